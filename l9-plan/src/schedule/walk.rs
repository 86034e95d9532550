//! What is due, held against whoever looks at the clock on the wall once a minute and knows
//! nothing of cron, of time zones' rules or of searching.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use l9_core::entropy::SystemEntropy;
use l9_core::id::AgentId;
use l9_core::schedule::SeriesId;
use l9_core::time::Timestamp;
use proptest::prelude::*;

use super::definition::{CatchUp, CronLine, Definition, Target, When};
use super::ticks::{Due, ON_TIME, Ticks};

const MINUTE: i64 = 60_000;

/// Zones, and nights in which their clocks are set.
const NIGHTS: [(&str, &str); 9] = [
    ("Europe/Berlin", "2027-03-28T01:00:00Z"),
    ("Europe/Berlin", "2027-10-31T01:00:00Z"),
    ("America/New_York", "2027-03-14T07:00:00Z"),
    ("America/New_York", "2027-11-07T06:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("Australia/Lord_Howe", "2027-10-02T15:30:00Z"),
    ("Australia/Lord_Howe", "2027-04-03T15:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("UTC", "2027-03-28T01:00:00Z"),
];

/// A field of a line, as it is written and as it is meant.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: Vec<i8>,
}

fn field(most: i8) -> impl Strategy<Value = Field> {
    prop_oneof![
        Just(Field { text: "*".into(), values: (0..=most).collect() }),
        (1..=most).prop_map(move |step| Field {
            text: format!("*/{step}"),
            values: (0..=most).step_by(step.unsigned_abs().into()).collect()
        }),
        prop::collection::btree_set(0..=most, 1..4).prop_map(|values| Field {
            text: values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            values: values.into_iter().collect()
        }),
        // Where nights are short and long.
        (0..=4.min(most), 0..=4.min(most)).prop_map(|(one, other)| Field {
            text: format!("{}-{}", one.min(other), one.max(other)),
            values: (one.min(other)..=one.max(other)).collect()
        }),
    ]
}

#[derive(Debug, Clone)]
struct Line {
    minute: Field,
    hour: Field,
    sundays: bool,
}

fn line() -> impl Strategy<Value = Line> {
    (field(59), field(23), any::<bool>()).prop_map(|(minute, hour, sundays)| Line { minute, hour, sundays })
}

impl Line {
    fn text(&self) -> String {
        format!("{} {} * * {}", self.minute.text, self.hour.text, if self.sundays { "SUN" } else { "*" })
    }

    fn is_fixed(&self) -> bool {
        !self.text().split(' ').take(2).any(|field| field.contains('*'))
    }

    fn shows(&self, wall: DateTime) -> bool {
        self.minute.values.contains(&wall.minute())
            && self.hour.values.contains(&wall.hour())
            && (!self.sundays || wall.weekday() == jiff::civil::Weekday::Sunday)
    }

    /// The ticks after one time up to another, minute by minute.
    fn walk(&self, zone: &TimeZone, after: i64, to: i64) -> Vec<Timestamp> {
        let wall = |at: i64| zone.to_datetime(jiff::Timestamp::from_millisecond(at).unwrap());
        let minute = Duration::from_secs(60);
        // From a day and a half before, so that it is known what the clock has shown.
        let mut at = (after - 36 * 60 * MINUTE).div_euclid(MINUTE) * MINUTE;
        let mut shown = wall(at);
        let mut ticks = Vec::new();
        while at < to {
            at += MINUTE;
            let now = wall(at);
            let mut left_out = false;
            let mut between = shown + minute;
            while between < now {
                left_out |= self.shows(between);
                between += minute;
            }
            let again = now <= shown;
            let due = if self.is_fixed() { left_out || (self.shows(now) && !again) } else { self.shows(now) };
            if due && at > after && at <= to {
                ticks.push(Timestamp::from_millis(at));
            }
            shown = shown.max(now);
        }
        ticks
    }
}

fn of(line: &Line, zone: &str, catch_up: CatchUp, jitter_ms: u64) -> Ticks {
    let when = When::Cron(CronLine { line: line.text(), zone: zone.into() });
    let starts = Target::Agent { id: AgentId::new("a").unwrap(), input: "x".into(), session: None };
    let definition = Definition {
        catch_up,
        catch_up_limit: 5,
        jitter_ms,
        start: Some(Timestamp::EPOCH),
        ..Definition::new(when, starts)
    };
    let series = SeriesId::generate(Timestamp::EPOCH, &SystemEntropy, "series");
    Ticks::of(&definition, Timestamp::EPOCH, series).unwrap()
}

fn night(at: usize) -> (&'static str, TimeZone, i64) {
    let (name, set) = NIGHTS[at];
    (name, TimeZone::get(name).unwrap(), set.parse::<Timestamp>().unwrap().as_millis())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_rule_gives_what_a_walk_gives(
        line in line(), at in 0..NIGHTS.len(), before in 0..40 * 3_600_000_i64, long in 0..60 * 3_600_000_i64,
    ) {
        let (name, zone, set) = night(at);
        let (decided, now) = (set - before, set - before + long);
        let all = line.walk(&zone, decided, now);
        let (missed, punctual): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|tick| *tick < Timestamp::from_millis(now).before(ON_TIME));
        for (rule, made_up) in [
            (CatchUp::Skip, &missed[missed.len()..]),
            (CatchUp::One, &missed[missed.len().saturating_sub(1)..]),
            (CatchUp::All, &missed[missed.len().saturating_sub(5)..]),
        ] {
            let due = of(&line, name, rule, 0).due(Timestamp::from_millis(decided), Timestamp::from_millis(now));
            let wanted = [made_up, &punctual[..]].concat();
            prop_assert_eq!(&due.ticks, &wanted, "{} in {} by {:?}", line.text(), name, rule);
            let dropped = missed.last().copied().filter(|_| rule == CatchUp::Skip);
            prop_assert_eq!(due.missed, dropped);
        }
    }

    #[test]
    fn whoever_looks_often_sees_each_tick_once_and_jitter_keeps_their_order(
        line in line(), at in 0..NIGHTS.len(), jitter in 0..7_200_000_u64,
        steps in prop::collection::vec(-1_200_000..1_200_000_i64, 1..200),
    ) {
        let (name, zone, set) = night(at);
        let ticks = of(&line, name, CatchUp::All, jitter);
        let begin = set - 3 * 3_600_000;
        let (mut decided, mut now, mut latest) = (Timestamp::from_millis(begin), begin, begin);
        let mut seen = Vec::new();
        for step in steps {
            // The clock goes forth and back, and never beyond what is made up for.
            now = (now + step).clamp(begin, latest + 4 * MINUTE);
            latest = latest.max(now);
            let Due { ticks: due, missed } = ticks.due(decided, Timestamp::from_millis(now));
            prop_assert_eq!(missed, None);
            decided = due.last().copied().unwrap_or(decided);
            seen.extend(due);
        }
        let come = |tick: &Timestamp| ticks.comes(*tick).as_millis() <= latest;
        prop_assert_eq!(&seen, &line.walk(&zone, begin, latest).into_iter().filter(come).collect::<Vec<_>>());
        for tick in seen {
            let comes = ticks.comes(tick);
            prop_assert!(comes >= tick && comes <= tick.after(Duration::from_millis(jitter)));
            prop_assert!(ticks.next(tick).is_none_or(|next| comes < next));
        }
    }
}

#[test]
fn intervals_begin_with_their_start_and_one_time_is_one_tick() {
    let at = Timestamp::from_millis;
    let starts = Target::Agent { id: AgentId::new("a").unwrap(), input: "x".into(), session: None };
    let every = Definition::new(When::EveryMs(10_000), starts.clone());
    let series = SeriesId::default();
    let next = |definition: &Definition, after| {
        let ticks = definition.preview((at(1_000), series), at(after), 2).unwrap();
        ticks.into_iter().map(|(tick, _)| tick.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(next(&every, 1_000), [11_000, 21_000]);
    assert_eq!(next(&every, 20_999), [21_000, 31_000]);
    let later = Definition { start: Some(at(50_000)), end: Some(at(60_000)), ..every };
    assert_eq!(next(&later, 1_000), [50_000, 60_000]);
    assert_eq!(next(&later, 60_000), [0_i64; 0]);
    let once = Definition::new(When::At(at(70_000)), starts);
    assert_eq!(next(&once, 1_000), [70_000]);
    assert!(once.check(at(70_000)).unwrap_err().to_string().contains("never comes"));
    let due = once.due((at(1_000), series), at(1_000), at(1_000_000)).unwrap();
    assert_eq!(due, Due { ticks: vec![at(70_000)], missed: None });
}

#[test]
fn years_of_missed_seconds_are_made_up_for_at_once() {
    let line = When::Cron(CronLine { line: "* * * * * *".into(), zone: "Europe/Berlin".into() });
    let starts = Target::Agent { id: AgentId::new("a").unwrap(), input: "x".into(), session: None };
    let definition = Definition { catch_up: CatchUp::All, catch_up_limit: 1_000, ..Definition::new(line, starts) };
    let (made, now) = (Timestamp::from_millis(1_700_000_000_000), Timestamp::from_millis(1_900_000_000_000));
    let due = definition.due((made, SeriesId::default()), made, now).unwrap();
    assert_eq!(due.ticks.len(), 1_000 + 61);
    assert_eq!(due.decided(), Some(now));
}
