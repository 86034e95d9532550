//! What changes the system itself, put to policy by its name. Roles are asked for by whoever
//! serves; this is what policy takes away from them.
//!
//! An emergency stop is let through unless a rule that was written for this and could be
//! evaluated forbids it: a policy that is incomplete, broken or meant for something else must
//! not stand in its way, for whoever stops wrongly is corrected by an `unstop`.

use std::fmt;

use super::path::Governor;
use super::policy::{Action, Decision, Facts, PolicyRequest};
use crate::budget::{Budget, Cost};
use crate::label::Label;
use crate::principal::Principal;
use crate::{Error, ErrorKind, Result};

/// What is done to the system itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Stop everything of a tenant, or of all.
    Stop,
    /// Lift such a stop.
    Unstop,
    /// Empty the bodies of old runs.
    Retention,
    /// Remove all that is kept of a data subject.
    Erase,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Unstop, Self::Retention, Self::Erase];

    /// The name in policies and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Unstop => "unstop",
            Self::Retention => "retention",
            Self::Erase => "erase",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Governor {
    /// Asks policy whether somebody may carry out an operation.
    ///
    /// # Errors
    /// `Denied` with the reasons, if they may not.
    pub fn may_administer(&self, principal: &Principal, operation: Operation) -> Result<()> {
        let request = PolicyRequest {
            principal,
            agent: None,
            action: Action::Administer { operation },
            label: &Label::trusted(),
            facts: &Facts::default(),
            budget: &Budget::default(),
            used: Cost::default(),
            now: self.clock.now(),
            approved: false,
            timed_out: false,
        };
        let refused = if operation == Operation::Stop {
            Some(self.policy.prohibitions(&request)).filter(|reasons| !reasons.is_empty())
        } else {
            let verdict = self.policy.decide(&request);
            (verdict.decision != Decision::Allow).then_some(verdict.reasons)
        };
        let Some(reasons) = refused else { return Ok(()) };
        let reasons = reasons.join("; ");
        tracing::warn!(subject = principal.subject, %operation, reasons, "policy refuses an administrator");
        let message = format!("policy does not let {} carry out {operation}: {reasons}", principal.subject);
        Err(Error::new(ErrorKind::Denied, message))
    }
}
