//! Schedules: what starts runs by the clock.

mod book;
mod cron;
mod definition;
mod runs;
mod scheduler;
mod state;
mod ticks;
#[cfg(test)]
mod walk;
mod zone;

pub use book::{Book, Schedule};
pub use definition::{CatchUp, CronLine, Definition, Overlap, Target, When};
pub use l9_core::schedule::{Moved, ScheduleId, Schedules, SeriesId, StoredSchedule};
pub use runs::Runs;
pub use scheduler::{Scheduler, Settings};
pub use state::{Holder, LastRun, Outcome, Paused, State, Tick};
pub use ticks::Due;
