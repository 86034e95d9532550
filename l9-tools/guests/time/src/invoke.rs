//! The tools' border: JSON in, JSON out.

use serde::{Deserialize, Serialize};

use crate::calc::{self, Calculation};
use crate::moment::{Moment, zone};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Now {
    #[serde(default = "utc")]
    zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Runs the named tool on its JSON input; `now_ms` is asked for the time, in milliseconds
/// since 1970, by the tool that needs it.
///
/// # Errors
/// A sentence for the caller when there is no such tool or the input cannot be used.
pub fn invoke(tool: &str, input: &str, now_ms: impl FnOnce() -> u64) -> Result<String, String> {
    match tool {
        "time/now" => {
            let Now { zone: name } = read(input)?;
            let zone = zone(&name)?;
            let now = i64::try_from(now_ms()).ok().and_then(|now| jiff::Timestamp::from_millisecond(now).ok());
            let now = now.ok_or("the host's clock is out of range")?;
            write(&Moment::of(&now.to_zoned(zone)))
        }
        "time/calc" => write(&calc::answer(&read::<Calculation>(input)?)?),
        _ => Err(format!("no tool named {tool:?} in this component: it holds time/now and time/calc")),
    }
}

fn read<'a, T: Deserialize<'a>>(input: &'a str) -> Result<T, String> {
    serde_json::from_str(input).map_err(|error| format!("the input does not fit the tool: {error}"))
}

fn write<T: Serialize>(output: &T) -> Result<String, String> {
    serde_json::to_string(output).map_err(|error| error.to_string())
}
