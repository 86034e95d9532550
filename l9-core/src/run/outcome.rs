//! How a run ended, and what its answer's words stand on.

use serde::{Deserialize, Serialize};

use super::stored::Stored;
use crate::journal::Status;

/// Words of the answer that stand in a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Citation {
    /// The file, address or memory.
    pub source: String,
    /// Where within the source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub position: String,
    /// The words, exactly as they stand there.
    pub quote: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunOutcome {
    /// It has an answer.
    Succeeded {
        /// The answer: an agent's words, or a tool's output.
        answer: Stored,
        /// Which of its words stand in which source.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Citation>,
    },
    /// It has none.
    Failed {
        /// A stable code.
        code: String,
        /// What happened and how to mend it.
        message: String,
    },
    /// It was stopped.
    Cancelled {
        /// Who asked.
        by: String,
        /// Why.
        reason: String,
    },
}

impl RunOutcome {
    /// The status of a run that ended so.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }
}
