//! Schedules: what starts runs by the clock.

mod cron;
mod definition;
mod ticks;
#[cfg(test)]
mod walk;
mod zone;

pub use definition::{CatchUp, CronLine, Definition, Overlap, Target, When};
pub use l9_core::schedule::{ScheduleId, Schedules, SeriesId};
pub use ticks::{Due, ON_TIME};
