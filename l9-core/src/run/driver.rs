//! The driver: the one loop that advances any run.
//!
//! It folds the journal, asks the decider, has the governor perform, appends what
//! happened; it holds the lease and the cancellation. Result n and intent n+1 share a
//! commit, so a step costs one flush. Nothing it does depends on what kind of run it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::command::{Command, CommandRequest};
use super::decide::{Call, Decider, Step};
use super::event::{CancelRequested, CommandRejected, EffectUnknown, Event, LeaseTaken, RunOutcome};
use super::hints::Hint;
use super::log::{Backing, RunLog};
use super::state::RunState;
use crate::governor::{Admission, Governor, Performed};
use crate::id::CallId;
use crate::journal::Lease;
use crate::label::Label;
use crate::time::Timestamp;
use crate::{Error, ErrorKind, Result};

/// How often a run that waits looks into its inbox by itself.
const POLL: Duration = Duration::from_millis(500);

/// An owner starts nothing this close to the end of its lease.
const MARGIN: Duration = Duration::from_secs(2);

/// Why a driver let go of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    /// The run ended.
    Closed,
    /// The process is going away; another takes the run up.
    Drained,
}

/// What advances the runs of one process.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) backing: Backing,
    pub(crate) governor: Arc<Governor>,
    /// The node's configured name, journaled.
    pub(crate) node: String,
    /// Whether results are appended in the order of their intents, not of completion.
    pub(crate) ordered: bool,
    /// Fires when the process is going away.
    pub(crate) drain: CancellationToken,
}

/// Effects under way.
struct Running {
    tasks: JoinSet<(u64, Performed)>,
    launched: u64,
    settled: u64,
    /// Completed effects whose turn has not come, when results are ordered.
    early: BTreeMap<u64, Performed>,
}

impl Driver {
    /// Drives a leased run until it ends or must be let go. `lease_ends` is on the
    /// monotonic clock.
    ///
    /// # Errors
    /// `Fenced` or `Conflict` when somebody else has the run; whatever the journal says.
    pub(crate) async fn drive(
        &self,
        lease: &Lease,
        lease_ends: impl Fn() -> Duration + Send + Sync,
        decider: impl Fn(&RunState) -> Result<Box<dyn Decider>> + Send,
    ) -> Result<Parked> {
        let hints = self.backing.hints.subscribe(lease.run);
        let mut log =
            RunLog::load(self.backing.clone(), lease.tenant.clone(), lease.run, (lease.epoch, lease.head)).await?;
        let decider = decider(&log.state)?;
        let former = (log.state.epoch, log.state.updated_at.unwrap_or(Timestamp::EPOCH));
        log.push(&Event::LeaseTaken(LeaseTaken { node: self.node.clone() }))?;
        let reissue = self.recover(&mut log, &*decider, lease, former).await?;
        let mut drive = Drive {
            driver: self,
            decider: &*decider,
            lease_ends: &lease_ends,
            log,
            cancel: CancellationToken::new(),
            running: Running { tasks: JoinSet::new(), launched: 0, settled: 0, early: BTreeMap::new() },
            hints,
            look: true,
            heard: 0,
        };
        let parked = drive.run(reissue).await;
        // Whatever is still under way when a run is let go must not outlive its owner.
        drive.cancel.cancel();
        drive.running.tasks.shutdown().await;
        parked
    }

    /// Settles what a former owner left open: what may be repeated is wanted again,
    /// what may not is unknown. `former` is the newest lease that wrote, and when it last did.
    async fn recover(
        &self,
        log: &mut RunLog,
        decider: &dyn Decider,
        lease: &Lease,
        former: (u64, Timestamp),
    ) -> Result<Vec<Call>> {
        let open: Vec<(CallId, u32, bool)> =
            log.state.open_intents().map(|(intent, class)| (intent.call, intent.attempt, class.may_repeat())).collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let (epoch, last_wrote) = former;
        // Whoever took the run over in between and gave it up unwritten knew no more of its
        // former owner than we do.
        if lease.from_expired || epoch + 1 != lease.epoch {
            // The former owner may be frozen, not dead: its writes are waited out until
            // their permits have lapsed. Reads may overlap. It dated both times itself, so
            // that no two nodes' wall clocks are compared.
            let writes = log.state.open_intents().filter(|(_, class)| !class.may_just_repeat());
            if let Some(latest) = writes.map(|(intent, _)| intent.not_after).max() {
                self.backing.clock.sleep(latest.since(last_wrote)).await;
            }
        }
        // The decider wants an open effect again if it looks as though it had never been intended.
        let mut without = log.state.clone();
        without.calls.retain(|_, call| call.is_settled());
        let mut wanted: BTreeMap<CallId, Call> = decider
            .decide(&without)
            .into_iter()
            .filter_map(|step| match step {
                Step::Perform(call) => Some((call.id, call)),
                Step::Close(_) => None,
            })
            .collect();
        let mut reissue = Vec::new();
        for (call, attempt, may_repeat) in open {
            match wanted.remove(&call).filter(|_| may_repeat) {
                Some(again) => reissue.push(again),
                None => {
                    let reason = "the process died after the intent and before the result".to_owned();
                    let label = Label::trusted();
                    log.push(&Event::EffectUnknown(EffectUnknown { call, attempt, reason, label }))?;
                }
            }
        }
        Ok(reissue)
    }
}

struct Drive<'a, L> {
    driver: &'a Driver,
    decider: &'a dyn Decider,
    lease_ends: &'a L,
    log: RunLog,
    cancel: CancellationToken,
    running: Running,
    hints: watch::Receiver<Hint>,
    /// Whether commands may wait in the inbox.
    look: bool,
    /// How many commands this process has heard of.
    heard: u64,
}

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    async fn run(&mut self, reissue: Vec<Call>) -> Result<Parked> {
        let mut wanted = reissue;
        loop {
            self.obey().await?;
            if self.driver.drain.is_cancelled() && self.running.is_idle() {
                self.commit().await?;
                return Ok(Parked::Drained);
            }
            // What a former owner left open is settled before anything new is decided.
            if !self.driver.drain.is_cancelled() && wanted.is_empty() {
                for step in self.next_steps() {
                    match step {
                        Step::Perform(call) => wanted.push(call),
                        Step::Close(outcome) if self.running.is_idle() => return self.close(outcome).await,
                        // An end that does not wait for open effects stops them first.
                        Step::Close(_) => self.cancel.cancel(),
                    }
                }
            }
            let refused = self.start(std::mem::take(&mut wanted)).await?;
            if self.running.is_idle() {
                if refused {
                    continue;
                }
                if !self.driver.drain.is_cancelled() {
                    return self.stalled().await;
                }
                continue;
            }
            self.wait().await?;
        }
    }

    /// What the run wants next; once it is being stopped, only to end.
    fn next_steps(&self) -> Vec<Step> {
        match &self.log.state.cancel {
            None => self.decider.decide(&self.log.state),
            Some(_) if !self.running.is_idle() => Vec::new(),
            Some(request) => {
                let (by, reason) = (request.by.clone(), request.reason.clone());
                vec![Step::Close(RunOutcome::Cancelled { by, reason })]
            }
        }
    }

    /// Takes wanted effects down the governed path, commits, launches; tells whether
    /// any was refused.
    async fn start(&mut self, wanted: Vec<Call>) -> Result<bool> {
        let governor = Arc::clone(&self.driver.governor);
        let mut intended = Vec::new();
        let mut refused = false;
        for call in wanted {
            match governor.admit(&self.log.state, &call)? {
                Admission::Admitted(admitted) => {
                    governor.prepare(&admitted).await;
                    intended.push(governor.intend(&mut self.log, *admitted)?);
                }
                Admission::Denied(refusal) => {
                    refused = true;
                    governor.refuse(&mut self.log, &call, *refusal)?;
                }
            }
        }
        if intended.is_empty() && refused && self.running.is_idle() {
            // The refusals are committed with whatever they lead to.
            return Ok(true);
        }
        let (give_up, running) = (self.give_up(), &mut self.running);
        let launch = |launch| {
            let (order, governor) = (running.launched, Arc::clone(&governor));
            running.launched += 1;
            running.tasks.spawn(async move { (order, governor.perform(launch).await) });
        };
        let appended = governor.commit_and_launch(&mut self.log, intended, &self.cancel, give_up, launch).await?;
        self.look |= appended.is_some_and(|appended| appended.commands);
        self.listen();
        Ok(refused)
    }

    /// Hears whether commands came, and no longer of what it appended itself.
    fn listen(&mut self) {
        let commands = self.hints.borrow_and_update().commands;
        self.look |= commands != std::mem::replace(&mut self.heard, commands);
    }

    /// Until when this owner may write and start effects, on the monotonic clock.
    fn give_up(&self) -> Duration {
        (self.lease_ends)().saturating_sub(MARGIN)
    }

    async fn commit(&mut self) -> Result<()> {
        let give_up = self.give_up();
        self.log.commit(give_up).await?;
        Ok(())
    }

    /// Waits until an effect ends, a command may have come, or the process goes away.
    async fn wait(&mut self) -> Result<()> {
        let draining = self.driver.drain.is_cancelled();
        let clock = &self.driver.backing.clock;
        // In this order, so that a simulation can repeat it: nothing starves, because every
        // turn of the loop listens to the hints and asks whether to drain.
        tokio::select! {
            biased;
            Some(ended) = self.running.tasks.join_next() => {
                let (order, performed) = ended.map_err(lost)?;
                self.settle(order, performed)?;
                // What ended meanwhile shares the commit.
                while let Some(ended) = self.running.tasks.try_join_next() {
                    let (order, performed) = ended.map_err(lost)?;
                    self.settle(order, performed)?;
                }
            }
            Ok(()) = self.hints.changed() => self.listen(),
            () = self.driver.drain.cancelled(), if !draining => {}
            () = clock.sleep(POLL) => self.look = true,
        }
        if self.driver.backing.clock.monotonic() >= self.give_up() {
            // The effects under way are stopped, as far as they can be.
            return Err(Error::new(ErrorKind::Fenced, "the lease was not renewed in time: the run is let go"));
        }
        Ok(())
    }

    fn settle(&mut self, order: u64, performed: Performed) -> Result<()> {
        if !self.driver.ordered {
            self.running.settled += 1;
            return self.driver.governor.receipt(&mut self.log, performed);
        }
        self.running.early.insert(order, performed);
        while let Some(performed) = self.running.early.remove(&self.running.settled) {
            self.running.settled += 1;
            self.driver.governor.receipt(&mut self.log, performed)?;
        }
        Ok(())
    }

    /// Turns the commands that wait into events.
    async fn obey(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.look) {
            return Ok(());
        }
        let (tenant, run) = (self.log.tenant.clone(), self.log.run);
        let stored = match self.driver.backing.store.pending(&tenant, run).await {
            Ok(stored) => stored,
            Err(error) if error.is_retryable() => {
                tracing::warn!(%run, %error, "the inbox was not read");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if stored.is_empty() {
            return Ok(());
        }
        for stored in stored {
            let event = match CommandRequest::open(&*self.driver.backing.vault, &tenant, run, &stored) {
                Ok(CommandRequest { id, by, command: Command::Cancel { reason } }) => {
                    Event::CancelRequested(CancelRequested { command: id, by, reason })
                }
                Err(error) => {
                    let reason = error.to_string();
                    Event::CommandRejected(CommandRejected { command: stored.id.clone(), reason })
                }
            };
            self.log.push(&event)?;
            self.log.consume(stored.id);
        }
        // Acknowledged when committed, and before anything acts on it.
        self.commit().await?;
        if self.log.state.cancel.is_some() {
            self.cancel.cancel();
        }
        Ok(())
    }

    async fn close(&mut self, outcome: RunOutcome) -> Result<Parked> {
        self.log.push(&Event::RunClosed(Box::new(outcome)))?;
        self.commit().await?;
        Ok(Parked::Closed)
    }

    /// A run that wants nothing and waits for nothing would hang for ever.
    async fn stalled(&mut self) -> Result<Parked> {
        let message = "the run wants nothing and waits for nothing: a defect of its decider".to_owned();
        self.close(RunOutcome::Failed { code: "stalled".into(), message }).await
    }
}

impl Running {
    fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.early.is_empty()
    }
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::internal("an effect was lost").caused_by(error)
}
