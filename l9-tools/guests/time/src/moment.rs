//! A point in time within a zone: how it is read, and how it is told.

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use serde::Serialize;

/// Characters of an input that are repeated in a fault.
const SHOWN: usize = 60;

/// A point in time, told in every way that is asked for.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Moment {
    /// RFC 3339 in UTC.
    utc: String,
    /// RFC 3339 with the zone's offset.
    local: String,
    zone: String,
    date: String,
    time: String,
    weekday: &'static str,
    /// Of ISO 8601, such as 2026-W09.
    week: String,
    day_of_year: i16,
    /// Seconds since 1970, whole.
    unix: i64,
    /// Whether the clocks of the zone are set for summer.
    daylight_saving: bool,
}

impl Moment {
    pub(crate) fn of(at: &Zoned) -> Self {
        let week = at.date().iso_week_date();
        Self {
            utc: at.timestamp().to_string(),
            local: at.timestamp().display_with_offset(at.offset()).to_string(),
            zone: name(at.time_zone()),
            date: at.date().to_string(),
            time: at.time().to_string(),
            weekday: weekday(at.date()),
            week: format!("{}-W{:02}", week.year(), week.week()),
            day_of_year: at.day_of_year(),
            unix: at.timestamp().as_second(),
            daylight_saving: at.time_zone().to_offset_info(at.timestamp()).dst().is_dst(),
        }
    }
}

/// What is peculiar about a time of a calendar and a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peculiar {
    /// The clocks skipped it: it was moved forward by what they skipped.
    Skipped,
    /// The clocks showed it twice: the first time is meant.
    Twice,
}

/// Reads a time. One that names no offset and no zone of its own is of the zone `usual`.
///
/// # Errors
/// A sentence that shows the text and the forms there are.
pub(crate) fn read(text: &str, usual: &TimeZone) -> Result<(Zoned, Option<Peculiar>), String> {
    let shown: String = text.chars().take(SHOWN).collect();
    let unreadable = |error: jiff::Error| {
        format!(
            "{shown:?} is no time ({error}): write 2026-03-29, 2026-03-29T02:30, 2026-03-29T02:30:00+02:00 or \
             2026-03-29T02:30[Europe/Berlin]"
        )
    };
    let beyond = || format!("{shown:?} is {}: take one between", beyond());
    let pieces = Pieces::parse(text).map_err(unreadable)?;
    let civil = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or_default());
    if pieces.to_numeric_offset().is_some_and(|offset| offset.to_timestamp(civil).is_err()) {
        return Err(beyond());
    }
    if pieces.time_zone_annotation().is_some() && pieces.offset().is_some() {
        return Ok((text.parse::<Zoned>().map_err(unreadable)?, None));
    }
    let zone = pieces.to_time_zone().map_err(unreadable)?.unwrap_or_else(|| usual.clone());
    if pieces.offset().is_some() {
        return Ok((text.parse::<Timestamp>().map_err(unreadable)?.to_zoned(zone), None));
    }
    on_clocks(civil, zone).ok_or_else(beyond)
}

/// When the clocks of a zone show a time; nothing where that is beyond the times there are.
pub(crate) fn on_clocks(civil: DateTime, zone: TimeZone) -> Option<(Zoned, Option<Peculiar>)> {
    let ambiguous = zone.into_ambiguous_zoned(civil);
    let peculiar = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => None,
        AmbiguousOffset::Gap { .. } => Some(Peculiar::Skipped),
        AmbiguousOffset::Fold { .. } => Some(Peculiar::Twice),
    };
    Some((ambiguous.compatible().ok()?, peculiar))
}

/// Where a time is that is none of those there are.
pub(crate) fn beyond() -> String {
    format!("beyond the times that can be calculated with, {:.0} to {:.0}", Timestamp::MIN, Timestamp::MAX)
}

/// The zone of a name.
///
/// # Errors
/// A sentence that shows the name and what a name looks like.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        let shown: String = name.chars().take(SHOWN).collect();
        format!("there is no time zone {shown:?}: use a name of the IANA database, such as Europe/Berlin, or UTC")
    })
}

/// A zone's name, or its offset if it has none.
fn name(zone: &TimeZone) -> String {
    match (zone.iana_name(), zone.to_fixed_offset()) {
        (Some(name), _) => name.to_owned(),
        (None, Ok(offset)) => offset.to_string(),
        (None, Err(_)) => "unknown".to_owned(),
    }
}

fn weekday(date: Date) -> &'static str {
    use jiff::civil::Weekday::*;
    match date.weekday() {
        Monday => "Monday",
        Tuesday => "Tuesday",
        Wednesday => "Wednesday",
        Thursday => "Thursday",
        Friday => "Friday",
        Saturday => "Saturday",
        Sunday => "Sunday",
    }
}
