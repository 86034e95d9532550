//! Waits: effects that the driver itself performs, by doing nothing until a signal comes
//! or a time has passed. A run that only waits holds no lease and no memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Action, EffectIntent};
use super::state::RunState;
use super::stored::Stored;
use crate::id::CallId;
use crate::time::Timestamp;

/// The tool that waits. No other tool may take its namespace.
pub const WAIT: &str = "run/wait";

/// The longest wait for a time, in seconds: ten years.
pub(super) const LONGEST: u64 = 315_360_000;

/// What an open wait waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// A signal of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// This time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl RunState {
    /// The waits for signals, and the signals' names.
    pub fn awaited(&self) -> impl Iterator<Item = (CallId, &String)> {
        let present = self.waits.iter().filter(|(call, _)| !self.is_past(**call));
        present.filter_map(|(call, wait)| Some((*call, wait.signal.as_ref()?)))
    }
}

/// The arguments of the tool.
#[derive(Debug, Deserialize)]
struct Arguments {
    signal: Option<String>,
    seconds: Option<u64>,
}

impl Wait {
    /// What an intent waits for, if it is a wait's. Its time counts from the intent.
    pub(super) fn of(intent: &EffectIntent, value: impl Fn(&Stored) -> Option<Value>) -> Option<Self> {
        let Action::Tool { tool, arguments } = &intent.action else { return None };
        if tool.as_str() != WAIT {
            return None;
        }
        let Arguments { signal, seconds } = serde_json::from_value(value(arguments)?).ok()?;
        // The permit of a wait ends when it does: see the governor.
        Some(Self { signal, until: seconds.map(|_| intent.not_after) })
    }

    /// How long a wait of these arguments takes if no signal ends it.
    pub(crate) fn length(arguments: &Value) -> Duration {
        let seconds = arguments.get("seconds").and_then(Value::as_u64).unwrap_or(LONGEST);
        Duration::from_secs(seconds.min(LONGEST))
    }
}
