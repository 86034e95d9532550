//! A run's events as they come: each once, in order, from any seq on.
//!
//! The feed listens to hints first and reads the journal after; hints may be lost, so
//! it polls too. Whoever reconnects with the next seq misses nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::hints::{Hint, Hints};
use super::lineage;
use super::view::EventView;
use crate::id::{RunId, TenantId};
use crate::journal::{ForkPoint, RunStore};
use crate::run::Event;
use crate::time::Clock;
use crate::vault::Vault;
use crate::{Error, Result};

/// How long a feed waits for a hint before it looks by itself.
pub(crate) const POLL: Duration = Duration::from_millis(500);

/// How many records are read at a time.
const PAGE: usize = 256;

/// The events of one run.
#[derive(Debug)]
pub struct Feed {
    store: Arc<dyn RunStore>,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    run: RunId,
    fork: Option<ForkPoint>,
    next: u64,
    hints: watch::Receiver<Hint>,
    ready: VecDeque<(EventView, Event)>,
    closed: bool,
}

impl Feed {
    pub(crate) async fn open(
        store: Arc<dyn RunStore>,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
        hints: &Hints,
        (tenant, run, from): (TenantId, RunId, u64),
    ) -> Result<Self> {
        let hints = hints.subscribe(run);
        let row = store.run(&tenant, run).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("run {run} does not exist")))?;
        if from > row.head.next {
            return Err(Error::invalid(format!(
                "run {run} has no seq {from} yet: its next is {}; subscribe from at most that",
                row.head.next
            )));
        }
        let closed = row.status.is_closed() && from == row.head.next;
        let (fork, ready) = (row.fork, VecDeque::new());
        Ok(Self { store, vault, clock, tenant, run, fork, next: from, hints, ready, closed })
    }

    /// The next event; `None` after `run.closed`.
    ///
    /// # Errors
    /// When the journal cannot be read; the feed may be asked again.
    pub async fn next(&mut self) -> Result<Option<(EventView, Event)>> {
        loop {
            if let Some((view, event)) = self.ready.pop_front() {
                self.closed = matches!(event, Event::RunClosed(_));
                return Ok(Some((view, event)));
            }
            if self.closed {
                return Ok(None);
            }
            let commands = self.hints.borrow_and_update().commands;
            self.fill().await?;
            if self.ready.is_empty() {
                self.wait(commands).await;
            }
        }
    }

    /// Waits for a hint of something that was not read yet, though not for long.
    async fn wait(&mut self, commands: u64) {
        let mut poll = self.clock.sleep(POLL);
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.hints.changed() => {
                    let hint = *self.hints.borrow_and_update();
                    if hint.next > self.next || hint.commands != commands {
                        return;
                    }
                }
                () = &mut poll => return,
            }
        }
    }

    /// The events that are there already, without waiting; at most one page.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn page(&mut self) -> Result<Vec<(EventView, Event)>> {
        self.fill().await?;
        Ok(self.ready.drain(..).collect())
    }

    /// The run's tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The seq of the next event.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next - self.ready.len() as u64
    }

    async fn fill(&mut self) -> Result<()> {
        for record in lineage::read(&*self.store, &self.tenant, (self.run, self.fork), self.next, PAGE).await? {
            if record.seq != self.next {
                return Err(Error::corrupt(format!("record {} of run {} is missing", self.next, self.run)));
            }
            self.ready.push_back(EventView::of(&record, &*self.vault)?);
            self.next += 1;
        }
        Ok(())
    }
}
