//! A cron line in a time zone. Croner matches wall-clock times; what becomes of a time that a
//! night in spring leaves out, or one in autumn has twice, is decided here.
//!
//! - A line of fixed times, with neither `*` nor `/` in second, minute and hour: a tick in the
//!   gap comes once, right after it; an hour that comes twice has its ticks the first time only.
//! - Any other line goes by elapsed time: the gap has no ticks, and an hour that comes twice
//!   has its ticks both times.
//!
//! That is what croner documents. Its own search takes lists and ranges of fixed times, such as
//! `0 2,14 * * *`, for the second kind, and would leave out a tick on a night in spring.

use croner::Cron;
use croner::parser::{CronParser, Year};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use l9_core::{Error, Result};

/// The fields of a line with seconds, and what may stand in each.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7 from Sunday to Sunday, or SUN to SAT"),
];

/// Names for lines.
const NAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A parsed line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    cron: Cron,
    /// Whether it names times of the day, rather than steps through it.
    fixed: bool,
}

impl Line {
    /// Reads five fields, six with seconds first, or a name such as `@daily`.
    ///
    /// # Errors
    /// `Invalid`, naming the field that is wrong.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        let fields: Vec<&str> = named.map_or(text, |(_, line)| line).split_whitespace().collect();
        if !(5..=6).contains(&fields.len()) {
            let shown: String = text.chars().take(80).collect();
            return Err(Error::invalid(format!(
                "the cron line {shown:?} has {} fields: use 5 (minute, hour, day of the month, month, day of the \
                 week), or 6 with the second before them",
                fields.len()
            )));
        }
        let timed = &fields[..fields.len() - 3];
        let fixed = !timed.iter().any(|field| field.contains(['*', '/']));
        let cron =
            read(&fields.join(" ")).map_err(|why| wrong_field(&fields).unwrap_or_else(|| refused(text, &why)))?;
        Ok(Self { cron, fixed })
    }

    /// The first tick after a time; `None` if there is none any more.
    pub(super) fn next(&self, zone: &TimeZone, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut part = Part::around(zone, after);
        let (mut from, mut inclusive) = (part.offset.to_datetime(after), false);
        loop {
            if let Some(again) = part.again.filter(|again| self.fixed && from < *again) {
                (from, inclusive) = (again, true);
            }
            let found = self.cron.find_next_occurrence(&from, inclusive).ok()?;
            let at = part.offset.to_timestamp(found).ok()?;
            let Some(end) = part.end.filter(|end| *end <= at) else { return Some(at) };
            part = Part::around(zone, end);
            from = part.offset.to_datetime(end);
            inclusive = true;
            // The time that was found is left out by the clock: this is right after the gap.
            if self.fixed && found < from {
                return Some(end);
            }
        }
    }
}

/// A part of time in which a zone's clock is not set.
struct Part {
    offset: Offset,
    /// When the clock is set next.
    end: Option<jiff::Timestamp>,
    /// Until which wall-clock time the part repeats what was before it.
    again: Option<DateTime>,
}

impl Part {
    /// The part that a time is in.
    fn around(zone: &TimeZone, time: jiff::Timestamp) -> Self {
        let offset = zone.to_offset(time);
        let end = zone.following(time).next().map(|set| set.timestamp());
        // What comes before the next moment is at most this one.
        let instant = jiff::SignedDuration::from_nanos(1);
        let begin = time.checked_add(instant).ok().and_then(|just| zone.preceding(just).next());
        let before = begin.as_ref().and_then(|set| set.timestamp().checked_sub(instant).ok());
        let again = before.map(|before| zone.to_offset(before).to_datetime(before)).and_then(|last| {
            // Whole seconds: the clock is never set within one.
            let reached = last.checked_add(instant).ok()?;
            (reached > offset.to_datetime(begin?.timestamp())).then_some(reached)
        });
        Self { offset, end, again }
    }
}

fn read(line: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(line).map_err(|error| error.to_string())
}

/// What is wrong, by the first field that is also wrong beside others that are right.
fn wrong_field(fields: &[&str]) -> Option<Error> {
    let first = FIELDS.len() - fields.len();
    fields.iter().enumerate().find_map(|(at, field)| {
        let alone: Vec<&str> = (0..FIELDS.len()).map(|place| if place == first + at { field } else { "*" }).collect();
        read(&alone.join(" ")).err().map(|_| {
            let (name, range) = FIELDS[first + at];
            let shown: String = field.chars().take(40).collect();
            Error::invalid(format!(
                "field {} of the cron line, the {name}, is {shown:?}: use {range}, lists as in 1,3, ranges as in 1-5, \
                 steps as in */2, or *",
                at + 1
            ))
        })
    })
}

fn refused(line: &str, why: &str) -> Error {
    let shown: String = line.chars().take(80).collect();
    Error::invalid(format!("the cron line {shown:?} is none: {}", why.trim_end_matches('.').to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (line, zone) = (Line::parse(line).unwrap(), TimeZone::get(zone).unwrap());
        let mut at: jiff::Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = line.next(&zone, at).unwrap();
            found.push(zone.to_datetime(at).to_string() + &zone.to_offset(at).to_string());
        }
        found
    }

    #[test]
    fn a_fixed_time_in_the_gap_of_a_spring_night_comes_once_right_after_it() {
        // Berlin leaves out 02:00 to 03:00 on 2027-03-28.
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2027-03-26T12:00:00Z", 3),
            ["2027-03-27T02:30:00+01", "2027-03-28T03:00:00+02", "2027-03-29T02:30:00+02"]
        );
        // Two times in the gap are one tick, and so is one that falls on its end.
        assert_eq!(
            ticks("0,30 2,3 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 3),
            ["2027-03-28T03:00:00+02", "2027-03-28T03:30:00+02", "2027-03-29T02:00:00+02"]
        );
        assert_eq!(
            ticks("15 2 * * SUN", "America/New_York", "2027-03-13T12:00:00Z", 2),
            ["2027-03-14T03:00:00-04", "2027-03-21T02:15:00-04"]
        );
    }

    #[test]
    fn a_fixed_time_in_an_hour_that_comes_twice_comes_the_first_time_only() {
        // Berlin has 02:00 to 03:00 twice on 2027-10-31, New York 01:00 to 02:00 on 2027-11-07.
        assert_eq!(
            ticks("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2),
            ["2027-10-31T02:30:00+02", "2027-11-01T02:30:00+01"]
        );
        assert_eq!(
            ticks("0 1,2 * * *", "America/New_York", "2027-11-06T12:00:00Z", 3),
            ["2027-11-07T01:00:00-04", "2027-11-07T02:00:00-05", "2027-11-08T01:00:00-05"]
        );
        // Whoever looks in the middle of the second time sees none of it either.
        assert_eq!(ticks("30 1 * * *", "America/New_York", "2027-11-07T06:10:00Z", 1), ["2027-11-08T01:30:00-05"]);
    }

    #[test]
    fn a_line_that_steps_goes_by_elapsed_time() {
        assert_eq!(
            ticks("*/30 * * * *", "Europe/Berlin", "2027-03-28T00:15:00Z", 3),
            ["2027-03-28T01:30:00+01", "2027-03-28T03:00:00+02", "2027-03-28T03:30:00+02"]
        );
        assert_eq!(
            ticks("0 * * * *", "Europe/Berlin", "2027-10-30T23:30:00Z", 4),
            ["2027-10-31T02:00:00+02", "2027-10-31T02:00:00+01", "2027-10-31T03:00:00+01", "2027-10-31T04:00:00+01"]
        );
    }

    #[test]
    fn seconds_names_and_rare_days_are_read() {
        assert_eq!(ticks("*/20 0 0 1 1 *", "UTC", "2026-06-01T00:00:00Z", 2)[1], "2027-01-01T00:00:20+00");
        assert_eq!(ticks("@daily", "UTC", "2026-06-01T00:00:00Z", 1), ["2026-06-02T00:00:00+00"]);
        assert_eq!(ticks("0 12 29 2 *", "UTC", "2026-06-01T00:00:00Z", 1), ["2028-02-29T12:00:00+00"]);
        assert_eq!(ticks("0 9 * * MON-FRI", "UTC", "2026-11-28T00:00:00Z", 1), ["2026-11-30T09:00:00+00"]);
        let never = Line::parse("0 0 30 2 *").unwrap();
        assert_eq!(never.next(&TimeZone::UTC, "2026-01-01T00:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn errors_point_at_the_field() {
        let wrong = |line: &str| Line::parse(line).unwrap_err().to_string();
        assert!(wrong("0 25 * * *").starts_with("field 2 of the cron line, the hour, is \"25\": use 0 to 23"));
        assert!(wrong("0 0 25 * * *").starts_with("field 3 of the cron line, the hour, is \"25\""));
        assert!(wrong("0 0 * FOO *").starts_with("field 4 of the cron line, the month, is \"FOO\""));
        assert!(wrong("60 * * * *").starts_with("field 1 of the cron line, the minute, is \"60\""));
        assert!(wrong("* * *").contains("has 3 fields: use 5"), "{}", wrong("* * *"));
        assert!(wrong("0 0 1 1 * * 2027").contains("has 7 fields"));
        assert!(wrong("@nightly").contains("has 1 fields"));
    }
}
