//! The limit on everything a call allocates, summed over all its memories and tables.
//!
//! Wasmtime's stock limiter bounds each memory by itself; a component with many
//! memories would get the limit many times over.

use l9_core::tool::Limits;
use wasmtime::ResourceLimiter;

use super::fault::Refusal;
use super::settings::Settings;

/// What a call may still allocate.
#[derive(Debug)]
pub(super) struct Limiter {
    memory: Sum,
    table: Sum,
    instances: usize,
    memories: usize,
    tables: usize,
}

/// A sum that may grow up to a limit.
#[derive(Debug)]
struct Sum {
    used: usize,
    limit: usize,
}

impl Sum {
    fn up_to(limit: u64) -> Self {
        Self { used: 0, limit: usize::try_from(limit).unwrap_or(usize::MAX) }
    }

    /// Replaces one part of the sum; tells the sum that was wanted if it is too large.
    fn grow(&mut self, current: usize, desired: usize) -> Result<(), usize> {
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        if wanted > self.limit {
            return Err(wanted);
        }
        self.used = wanted;
        Ok(())
    }
}

impl Limiter {
    pub(super) fn new(limits: &Limits, settings: &Settings) -> Self {
        Self {
            memory: Sum::up_to(limits.memory_bytes),
            table: Sum::up_to(limits.table_elements),
            instances: limits.instances as usize,
            memories: settings.memories as usize,
            tables: settings.tables as usize,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let limit = self.memory.limit;
        self.memory.grow(current, desired).map_err(|wanted| Refusal::memory(wanted, limit))?;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let limit = self.table.limit;
        self.table.grow(current, desired).map_err(|wanted| Refusal::table(wanted, limit))?;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let mut limiter = Limiter::new(&limits, &Settings::default());
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(60, 70, None).unwrap());
        assert!(limiter.memory_growing(0, 31, None).is_err());
        assert!(limiter.memory_growing(0, 30, None).unwrap());
        assert!(limiter.memory_growing(30, 31, None).is_err());
    }
}
