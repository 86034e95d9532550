//! What is wrong with a plan, node by node, told at once.

use std::fmt::Display;

use l9_core::{Error, Result};

/// The most faults that are told at once.
const TOLD: usize = 20;

/// Faults of a plan, node by node.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<String>, usize);

impl Faults {
    pub(super) fn add(&mut self, node: &str, what: impl Display) {
        self.1 += 1;
        if self.0.len() < TOLD {
            self.0.push(if node.is_empty() { what.to_string() } else { format!("node {node}: {what}") });
        }
    }

    /// Whether no further fault is told.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= TOLD
    }

    pub(super) fn into_result(self, plan: &str) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let more = match self.1 - self.0.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Err(Error::invalid(format!("plan {plan} cannot run: {}{more}", self.0.join("; "))))
    }
}
