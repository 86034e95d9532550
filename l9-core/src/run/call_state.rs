//! Where one effect of a run is.

use serde::{Deserialize, Serialize};

use super::approval::ApprovalAsked;
use super::event::{Action, EffectIntent, Outcome, Stage};
use crate::time::Timestamp;

/// Where one effect of a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It may be happening, or may have happened.
    Intended(Box<EffectIntent>),
    /// Somebody must decide whether it may happen.
    Asked(Box<ApprovalAsked>),
    /// Its last attempt ended without effect; the next is due at a time.
    Retrying {
        /// The last attempt's intent.
        intent: Box<EffectIntent>,
        /// When the next is due.
        at: Timestamp,
    },
    /// It ended.
    Ended {
        /// What it did.
        action: Action,
        /// How.
        outcome: Outcome,
    },
    /// It was refused.
    Denied {
        /// Where on the path.
        stage: Stage,
        /// A stable code.
        code: String,
        /// Why.
        reasons: Vec<String>,
    },
    /// Nobody knows whether it happened.
    Unknown {
        /// What it would have done.
        action: Action,
        /// Why nobody knows.
        reason: String,
        /// Whether the run may go on without knowing: a read's end does not matter, and a
        /// write's was decided.
        decided: bool,
    },
}

impl CallState {
    /// Whether the effect needs nothing more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Intended(_) | Self::Asked(_) | Self::Retrying { .. } => false,
            Self::Unknown { decided, .. } => *decided,
            Self::Ended { .. } | Self::Denied { .. } => true,
        }
    }
}
