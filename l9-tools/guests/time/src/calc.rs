//! Calculating with times: what is added is added by the calendar and the clocks of a zone,
//! so a day may have 23 hours.

use jiff::{Span, Unit, Zoned};
use serde::{Deserialize, Serialize};

use crate::moment::{Moment, Peculiar, beyond, on_clocks, read, zone};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calculation {
    at: String,
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    add: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

/// What it comes to.
#[derive(Debug, Serialize)]
pub(crate) struct Calculated {
    at: Moment,
    /// What is peculiar about the time as it was given, or as what was added made it, if anything.
    peculiar: Option<Peculiar>,
    /// From there until the other time, if that was asked for.
    until: Option<Distance>,
}

/// How far one time is from another; less than nothing if that is earlier.
#[derive(Debug, Serialize)]
pub(crate) struct Distance {
    at: Moment,
    peculiar: Option<Peculiar>,
    /// ISO 8601, by the calendar: years, months, days and less.
    duration: String,
    /// Whole days by the calendar.
    days: i64,
    /// Seconds, whole; less than one is none.
    seconds: i64,
}

/// # Errors
/// A sentence that names the value and the mend.
pub(crate) fn answer(asked: &Calculation) -> Result<Calculated, String> {
    let usual = zone(asked.zone.as_deref().unwrap_or("UTC"))?;
    let (mut at, mut peculiar) = read(&asked.at, &usual)?;
    // A time that brings its zone along is told in the zone that was asked for, if one was.
    if asked.zone.is_some() {
        at = at.with_time_zone(usual);
    }
    if let Some(add) = &asked.add {
        let sum = added(&at, &duration(add)?).ok_or_else(|| format!("add {add:?} leads {}: add less", beyond()))?;
        at = sum.0;
        peculiar = sum.1.or(peculiar);
    }
    if let Some(to) = &asked.to {
        at = at.with_time_zone(zone(to)?);
    }
    let until = match &asked.until {
        None => None,
        Some(until) => {
            let (other, peculiar) = read(until, at.time_zone())?;
            let other = other.with_time_zone(at.time_zone().clone());
            let far = |error: jiff::Error| format!("until {until:?} is too far away: {error}");
            let span = at.until((Unit::Year, &other)).map_err(far)?;
            let days = at.until((Unit::Day, &other)).map_err(far)?.get_days();
            let seconds = at.duration_until(&other).as_secs();
            let at = Moment::of(&other);
            Some(Distance { at, peculiar, duration: span.to_string(), days: days.into(), seconds })
        }
    };
    Ok(Calculated { at: Moment::of(&at), peculiar, until })
}

/// A time later by a span, with what is peculiar about it: years to days lead to a time of the
/// calendar, which the clocks may skip or show twice; hours and less go by from there. Nothing
/// if that is beyond the times there are.
fn added(at: &Zoned, span: &Span) -> Option<(Zoned, Option<Peculiar>)> {
    let calendar =
        Span::new().years(span.get_years()).months(span.get_months()).weeks(span.get_weeks()).days(span.get_days());
    let clock = span.years(0).months(0).weeks(0).days(0);
    let (day, peculiar) = if calendar.is_zero() {
        (at.clone(), None)
    } else {
        on_clocks(at.datetime().checked_add(calendar).ok()?, at.time_zone().clone())?
    };
    Some((day.checked_add(clock).ok()?, peculiar))
}

/// A duration of ISO 8601, such as `P1M`, `-P3D` or `PT90M`; no words.
fn duration(text: &str) -> Result<Span, String> {
    let mend = || format!("add {text:?} is no duration of ISO 8601: write P1Y2M3D, P2W, PT90M or -P1D");
    if !text.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        return Err(mend());
    }
    text.parse().map_err(|_| mend())
}
