//! How a run ends: by itself or stopped, and what becomes of what it leaves undone.

use std::time::Duration;

use super::driver::{Drive, Parked};
use super::event::Event;
use super::outcome::RunOutcome;
use crate::Result;
use crate::failpoint::{self, Point};
use crate::id::CallId;

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    /// Ends the run, and all that goes with its end.
    pub(super) async fn close(&mut self, outcome: RunOutcome) -> Result<Parked> {
        failpoint::pass(Point::CloseBegun);
        self.leave_retries()?;
        if outcome == self.stopped() {
            self.compensate().await?;
        }
        self.log.push(Event::RunClosed(Box::new(outcome.clone())))?;
        self.cancel_children("the run they worked for has ended")?;
        self.report(outcome)?;
        self.commit().await?;
        failpoint::pass(Point::CloseDone);
        Ok(Parked::Closed)
    }

    /// What an attempt may have done that is not made again is unknown, and is compensated as such.
    fn leave_retries(&mut self) -> Result<()> {
        let retries: Vec<CallId> = self.log.state.retries().map(|(call, _)| call).collect();
        let why = "no other was made: the run ended";
        retries.into_iter().try_for_each(|call| self.driver.governor.leave_unknown(&mut self.log, call, why))
    }

    /// A run that wants nothing and waits for nothing would hang for ever.
    pub(super) async fn stalled(&mut self) -> Result<Parked> {
        let message = "the run wants nothing and waits for nothing: a defect of its decider".to_owned();
        self.close(RunOutcome::Failed { code: "stalled".into(), message }).await
    }

    /// How a run ends that does not end by itself.
    pub(super) fn stopped(&self) -> RunOutcome {
        match &self.log.state.cancel {
            Some(request) => RunOutcome::Cancelled { by: request.by.clone(), reason: request.reason.clone() },
            None => {
                let message = "the run had not ended at its deadline: start it again with more time".to_owned();
                RunOutcome::Failed { code: "deadline".to_owned(), message }
            }
        }
    }
}
