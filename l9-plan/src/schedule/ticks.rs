//! When a schedule is due: pure functions of its definition and of times.
//!
//! A tick is named by its own time; jitter makes it come later, but never as late as the next
//! one, so that ticks come in their order.

use std::time::Duration;

use jiff::tz::TimeZone;
use l9_core::Result;
use l9_core::digest::sha256;
use l9_core::schedule::SeriesId;
use l9_core::time::Timestamp;

use super::cron::Line;
use super::definition::{CatchUp, Definition, When};
use super::zone;

/// How late a tick may come without being a missed one.
pub(super) const ON_TIME: Duration = Duration::from_secs(60);

/// The ticks of one schedule.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    rhythm: Rhythm,
    /// The first time that there may be one.
    from: Timestamp,
    until: Option<Timestamp>,
    jitter: Duration,
    series: SeriesId,
    catch_up: CatchUp,
    limit: usize,
}

#[derive(Debug, Clone)]
enum Rhythm {
    Cron(Box<Line>, TimeZone),
    Every { millis: i64, from: i64 },
    Once(Timestamp),
}

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The ticks to carry out, in their order.
    pub ticks: Vec<Timestamp>,
    /// The newest tick whose time has come and which nothing comes of; whatever was before the
    /// first of `ticks` is past too.
    pub missed: Option<Timestamp>,
}

impl Due {
    /// Up to where everything is decided.
    #[must_use]
    pub fn decided(&self) -> Option<Timestamp> {
        self.ticks.last().copied().max(self.missed)
    }
}

impl Ticks {
    /// Those of a definition that was made at a time.
    pub(super) fn of(definition: &Definition, made: Timestamp, series: SeriesId) -> Result<Self> {
        let from = definition.start.unwrap_or(made);
        let rhythm = match &definition.when {
            When::Cron(cron) => Rhythm::Cron(Box::new(Line::parse(&cron.line)?), zone::find(&cron.zone)?),
            When::EveryMs(millis) => {
                Rhythm::Every { millis: i64::try_from(*millis).unwrap_or(i64::MAX), from: from.as_millis() }
            }
            When::At(time) => Rhythm::Once(*time),
        };
        Ok(Self {
            rhythm,
            from,
            until: definition.end,
            jitter: Duration::from_millis(definition.jitter_ms),
            series,
            catch_up: definition.catch_up,
            limit: definition.catch_up_limit.max(1) as usize,
        })
    }

    /// The first tick after a time.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(self.from.before(Duration::from_millis(1)));
        let tick = match &self.rhythm {
            Rhythm::Cron(line, zone) => {
                let next = line.next(zone, jiff::Timestamp::from_millisecond(after.as_millis()).ok()?)?;
                Timestamp::from_millis(next.as_millisecond())
            }
            Rhythm::Every { millis, from } => {
                let gone = after.as_millis().saturating_sub(*from);
                let next = if gone < 0 { *from } else { from.checked_add((gone / millis + 1).checked_mul(*millis)?)? };
                Timestamp::from_millis(next)
            }
            Rhythm::Once(time) => (*time > after).then_some(*time)?,
        };
        self.until.is_none_or(|until| tick <= until).then_some(tick)
    }

    /// The last tick after `after` and at or before `to`, by halving.
    fn last(&self, after: Timestamp, to: Timestamp) -> Option<Timestamp> {
        let mut last = self.next(after).filter(|tick| *tick <= to)?;
        let mut to = to;
        while last < to {
            let middle = Timestamp::from_millis(last.as_millis() + (to.as_millis() - last.as_millis()) / 2);
            match self.next(middle).filter(|tick| *tick <= to) {
                Some(tick) => last = tick,
                None => to = middle,
            }
        }
        Some(last)
    }

    /// When a tick comes: its time and its jitter, the same wherever it is asked.
    pub(super) fn comes(&self, tick: Timestamp) -> Timestamp {
        let next =
            self.next(tick).map_or(self.jitter, |next| next.since(tick).saturating_sub(Duration::from_millis(1)));
        let most = u64::try_from(self.jitter.min(next).as_millis()).unwrap_or(u64::MAX);
        if most == 0 {
            return tick;
        }
        let hash = sha256(&[b"l9.jitter.1\0", self.series.as_bytes(), &tick.as_millis().to_be_bytes()]);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        tick.after(Duration::from_millis(u64::from_be_bytes(first) % (most + 1)))
    }

    /// What is due at `now`, if all up to `decided` was decided.
    pub(super) fn due(&self, decided: Timestamp, now: Timestamp) -> Due {
        let punctual = now.before(ON_TIME);
        let newest = self.missed(decided, punctual, now);
        let mut ticks = match (self.catch_up, newest) {
            (_, None) | (CatchUp::Skip, _) => Vec::new(),
            (CatchUp::One, Some(newest)) => vec![newest],
            (CatchUp::All, Some(newest)) => self.up_to(decided, newest),
        };
        let mut tick = newest.unwrap_or(decided);
        // On time: not many, since they come within a minute.
        while let Some(next) = self.next(tick).filter(|next| self.comes(*next) <= now) {
            ticks.push(next);
            tick = next;
        }
        let missed = newest.filter(|newest| !ticks.contains(newest));
        Due { ticks, missed }
    }

    /// The newest tick that came before `punctual`, of those after `decided`.
    fn missed(&self, decided: Timestamp, punctual: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let last = self.last(decided, punctual.min(now))?;
        if self.comes(last) < punctual {
            return Some(last);
        }
        // Each comes before the next one's own time, so the one before is past.
        self.last(decided, last.before(Duration::from_millis(1)))
    }

    /// The newest ticks up to one, as many as are made up for.
    fn up_to(&self, decided: Timestamp, newest: Timestamp) -> Vec<Timestamp> {
        let mut ticks = vec![newest];
        let mut first = newest;
        while ticks.len() < self.limit {
            match self.last(decided, first.before(Duration::from_millis(1))) {
                Some(tick) => first = tick,
                None => break,
            }
            ticks.push(first);
        }
        ticks.reverse();
        ticks
    }

    /// The next ticks, each with the time that it comes at.
    pub(super) fn preview(&self, after: Timestamp, count: usize) -> Vec<(Timestamp, Timestamp)> {
        std::iter::successors(self.next(after), |tick| self.next(*tick))
            .take(count)
            .map(|tick| (tick, self.comes(tick)))
            .collect()
    }
}
