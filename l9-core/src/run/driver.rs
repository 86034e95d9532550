//! The driver: the one loop that advances any run.
//!
//! It folds the journal, asks the decider, has the governor perform, appends what
//! happened; it holds the lease and the cancellation. Result n and intent n+1 share a
//! commit, so a step costs one flush. Nothing it does depends on what kind of run it is.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::decide::{Call, Decider, Step};
use super::event::{EffectIntent, EffectUnknown, Event, LeaseTaken};
use super::hints::Hint;
use super::line::{Due, Line};
use super::log::{Backing, RunLog, Stand};
use super::plan::BreakpointHit;
use super::running::Running;
use super::state::RunState;
use super::timing::Alarm;
use crate::agent::Profiles;
use crate::budget::Cost;
use crate::failpoint::{self, Point};
use crate::governor::{Admission, Admitted, Cancels, Governor, Performed, can_be_asked};
use crate::id::CallId;
use crate::journal::Lease;
use crate::label::Label;
use crate::time::Timestamp;
use crate::{Error, ErrorKind, Result};

/// How often a run that waits looks into its inbox by itself.
pub(super) const POLL: Duration = Duration::from_millis(500);

/// The least time between two looks at the clock.
pub(super) const GRAIN: Duration = Duration::from_millis(1);

/// What is due within this time is waited for without letting the run go.
const MOMENT: Duration = Duration::from_secs(2);

/// For how long effects that begin together are looked at in the driver's own task.
const INLINE: Duration = Duration::from_micros(250);

/// An owner starts nothing this close to the end of its lease.
const MARGIN: Duration = Duration::from_secs(2);

/// Why a driver let go of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    /// The run ended.
    Closed,
    /// The process is going away, or the run is held by an emergency stop; it is taken up
    /// later.
    Drained,
    /// It waits: for a command, or for this long as well.
    Waiting(Option<Duration>),
}

/// What advances the runs of one process.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) backing: Backing,
    pub(crate) governor: Arc<Governor>,
    /// The agents that may be delegated to.
    pub(crate) profiles: Arc<Profiles>,
    /// The node's configured name, journaled.
    pub(crate) node: String,
    /// Whether results are appended in the order of their intents, not of completion.
    pub(crate) ordered: bool,
    /// Fires when the process is going away.
    pub(crate) drain: CancellationToken,
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
        let stand = Stand { epoch: lease.epoch, head: lease.head, fork: lease.fork };
        let mut log = RunLog::load(self.backing.clone(), lease.tenant.clone(), lease.run, stand).await?;
        let decider = decider(&log.state)?;
        let former = (log.state.epoch, log.state.updated_at.unwrap_or(Timestamp::EPOCH));
        log.push(Event::LeaseTaken(LeaseTaken { node: self.node.clone() }))?;
        let reissue = self.recover(&mut log, &*decider, lease, former).await?;
        let mut drive = Drive {
            driver: self,
            decider: &*decider,
            lease_ends: &lease_ends,
            log,
            cancel: Cancels::default(),
            wanted: reissue.into_iter().map(Due::from).collect(),
            later: Vec::new(),
            line: Line::default(),
            alone: false,
            looked: None,
            running: Running::default(),
            hints,
            look: true,
            heard: 0,
            changes: 0,
            alarm: None,
        };
        let parked = drive.run().await;
        drive.leave_line();
        // Whatever is still under way when a run is let go must not outlive its owner.
        drive.cancel.all.cancel();
        drive.running.shutdown().await;
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
        self.governor.decide_unknown(log)?;
        let waits = |intent: &EffectIntent| log.state.is_elsewhere(intent.call);
        let open: Vec<EffectIntent> =
            log.state.open_intents().map(|(intent, _)| intent).filter(|intent| !waits(intent)).cloned().collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let (epoch, last_wrote) = former;
        // Whoever took the run over in between and gave it up unwritten knew no more of its
        // former owner than we do.
        if lease.expired.is_some() || epoch + 1 != lease.epoch {
            // The former owner may be frozen, not dead: its writes are waited out until
            // their permits have lapsed. Reads may overlap. It dated both times itself, so
            // that no two nodes' wall clocks are compared.
            let writes = open.iter().filter(|intent| !intent.class.may_just_repeat());
            if let Some(latest) = writes.map(|intent| intent.not_after).max() {
                // By the database's clock it has written nothing for at least that long.
                let silent = lease.expired.unwrap_or_default();
                self.backing.clock.sleep(latest.since(last_wrote).saturating_sub(silent)).await;
            }
        }
        let mut wanted = decider.again(&log.state);
        let mut reissue = Vec::new();
        for intent in open {
            let EffectIntent { call, attempt, class, .. } = intent;
            match wanted.remove(&call).filter(|_| class.may_repeat()) {
                Some(again) => reissue.push(again),
                None if can_be_asked(class) => self.governor.probe(log, intent).await?,
                None => {
                    let reason = "the process died after the intent and before the result".to_owned();
                    let (label, spent) = (Label::trusted(), Cost::default());
                    self.governor.unknown(log, EffectUnknown { call, attempt, reason, label, spent })?;
                }
            }
        }
        Ok(reissue)
    }
}

pub(super) struct Drive<'a, L> {
    pub(super) driver: &'a Driver,
    pub(super) decider: &'a dyn Decider,
    lease_ends: &'a L,
    pub(super) log: RunLog,
    pub(super) cancel: Cancels,
    /// What is to start next.
    pub(super) wanted: Vec<Due>,
    /// What starts once nothing is under way, when results are ordered.
    pub(super) later: Vec<Due>,
    /// What waits for its turn.
    pub(super) line: Line,
    /// Whether what began last is performed alone, when results are ordered.
    pub(super) alone: bool,
    /// How many effects had ended when it was looked last whether what waits is wanted still.
    pub(super) looked: Option<usize>,
    running: Running,
    hints: watch::Receiver<Hint>,
    /// Whether commands may wait in the inbox.
    pub(super) look: bool,
    /// How many commands this process has heard of.
    heard: u64,
    /// What had been asked of the plan when it was decided last.
    pub(super) changes: u64,
    pub(super) alarm: Option<Alarm<'a>>,
}

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    async fn run(&mut self) -> Result<Parked> {
        loop {
            if self.driver.governor.stops().is_stopped(&self.log.tenant) {
                self.leave_line();
                return self.stand_still().await;
            }
            self.obey().await?;
            self.reconsider();
            self.ring()?;
            let draining = self.driver.drain.is_cancelled();
            if draining && self.running.is_idle() {
                self.commit().await?;
                return Ok(Parked::Drained);
            }
            // A paused run keeps what it wants until it is resumed. One that is being stopped
            // has it refused, whether or not it is paused, so that it can end.
            let stopping = self.is_stopping();
            let keeps = (draining || self.log.state.paused.is_some() || self.log.state.plan.is_frozen()) && !stopping;
            if keeps || stopping {
                self.leave_line();
            }
            if !keeps {
                self.take_back();
            }
            // What a former owner left open is settled before anything new is decided.
            let mut stood = false;
            let open = self.wanted.is_empty() && self.later.is_empty() && (stopping || !self.stands_alone());
            if !draining && open {
                for step in self.next_steps() {
                    match step {
                        Step::Perform(call) => self.wanted.push(call.into()),
                        Step::Stand(hit) => {
                            self.log.push(Event::BreakpointHit(BreakpointHit { hit }))?;
                            stood = true;
                        }
                        Step::Close(outcome) if self.is_idle() => return self.close(outcome).await,
                        // An end that does not wait for open effects stops them first.
                        Step::Close(_) => self.cancel.work.cancel(),
                    }
                }
            }
            if stood {
                self.commit().await?;
                continue;
            }
            // What may not be repeated goes on to its end first.
            let repeatable = || self.log.state.open_intents().all(|(_, class)| class.may_repeat());
            if self.log.state.plan.is_frozen() && !self.running.is_idle() && repeatable() {
                return self.stand_still().await;
            }
            let now = if keeps { Vec::new() } else { self.batch() };
            let (refused, started) = self.start(now).await?;
            if !self.is_idle() {
                self.wait().await?;
            } else if !refused && !started && !draining && self.later.is_empty() {
                match self.rest(stopping).await? {
                    Some(parked) => return Ok(parked),
                    None => continue,
                }
            }
        }
    }

    /// Whether nothing is under way, and nothing waits for its turn.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_idle() && self.line.is_empty()
    }

    /// Stops what is under way and lets the run go. What may be repeated and gave nothing
    /// stays open, as though the process had died, and begins anew when the run goes on.
    async fn stand_still(&mut self) -> Result<Parked> {
        self.cancel.all.cancel();
        for performed in self.running.all().await? {
            let open = performed.without_value().and_then(|call| self.log.state.open(call));
            if !open.is_some_and(|intent| intent.class.may_repeat()) {
                self.receipt(performed)?;
            }
        }
        self.commit().await?;
        Ok(Parked::Drained)
    }

    /// A run that performs nothing and wants nothing: it is let go if it waits for
    /// something. What comes within a moment is waited for here.
    async fn rest(&mut self, stopping: bool) -> Result<Option<Parked>> {
        let state = &self.log.state;
        if !state.is_waiting() && state.paused.is_none() && !state.plan.is_frozen() {
            return self.stalled().await.map(Some);
        }
        let due = self.next_due(stopping);
        let next = due.map(|at| at.since(self.log.now()));
        self.commit().await?;
        // The clock of a seed stands still, so whoever takes the run up later would see nothing
        // pass: it is waited for here, however long.
        match next.filter(|next| *next <= MOMENT || self.driver.ordered) {
            None => Ok(Some(Parked::Waiting(next))),
            Some(next) => {
                tokio::select! {
                    biased;
                    () = self.driver.drain.cancelled() => {}
                    () = self.driver.governor.stops().stopped(&self.log.tenant) => {}
                    Ok(()) = self.hints.changed() => self.listen(),
                    () = self.driver.backing.clock.sleep(next) => self.log.reach(due),
                }
                Ok(None)
            }
        }
    }

    /// What the run wants next; once it is being stopped, only to end.
    fn next_steps(&self) -> Vec<Step> {
        let state = &self.log.state;
        if self.is_stopping() {
            let idle = self.running.is_idle() && self.patience_ends().is_none();
            return if idle { vec![Step::Close(self.stopped())] } else { Vec::new() };
        }
        if state.paused.is_some() {
            return Vec::new();
        }
        let mut steps = self.decider.decide(state);
        let now = self.log.now();
        let retries = state.retries().filter(|(_, at)| *at <= now).map(|(call, _)| call);
        // What was decided upon is wanted again, but beside what is under way it does not say so.
        let wanted = |call: &CallId| steps.iter().any(|step| matches!(step, Step::Perform(other) if other.id == *call));
        // A plan says so itself, if it has room.
        let decided = state.decided().filter(|_| !self.decider.takes_back());
        let due = retries.chain(decided).filter(|call| !wanted(call) && !self.line.holds(*call));
        let due: Vec<CallId> = due.collect();
        if !due.is_empty() {
            let mut again = self.decider.again(state);
            steps.extend(due.iter().filter_map(|call| again.remove(call).map(Step::Perform)));
        }
        steps.retain(|step| !matches!(step, Step::Perform(call) if self.line.holds(call.id)));
        steps
    }

    /// Takes wanted effects down the governed path, commits, launches; tells whether
    /// any was refused, and whether any was intended.
    async fn start(&mut self, wanted: Vec<Due>) -> Result<(bool, bool)> {
        let governor = Arc::clone(&self.driver.governor);
        let mut intended = Vec::new();
        let mut refused = false;
        for Due { call, slot, .. } in wanted {
            let admission = match governor.admit(&mut self.log, &call, &self.driver.profiles, slot)? {
                Admission::Admitted(admitted) if self.prepare(&admitted).await => {
                    governor.confirm(&self.log, &call, admitted)?
                }
                admission => admission,
            };
            match admission {
                Admission::Admitted(admitted) => intended.push(governor.intend(&mut self.log, *admitted)?),
                Admission::Waits(place) => self.line.enter(call, place),
                Admission::Asked(question) => {
                    refused = true;
                    governor.question(&mut self.log, *question)?;
                }
                // A stop that came this moment: it is wanted again when the run goes on.
                Admission::Denied(refusal) if refusal.is_stop() => refused = true,
                Admission::Denied(refusal) => {
                    refused = true;
                    governor.refuse(&mut self.log, &call, *refusal)?;
                }
            }
        }
        if intended.is_empty() && refused && self.is_idle() {
            // The refusals are committed with whatever they lead to.
            return Ok((true, false));
        }
        let started = !intended.is_empty();
        let (give_up, clock, running) = (self.give_up(), &*self.driver.backing.clock, &mut self.running);
        let mut left = INLINE;
        let launch = |launch| {
            let began = clock.monotonic();
            // What ends at once needs no task of its own; what is slow keeps no other waiting.
            running.launch(Arc::clone(&governor).perform(launch), !left.is_zero());
            left = left.saturating_sub(clock.monotonic().saturating_sub(began));
        };
        let appended = governor.commit_and_launch(&mut self.log, intended, &self.cancel, give_up, launch).await?;
        self.look |= appended.is_some_and(|appended| appended.commands);
        self.listen();
        Ok((refused, started))
    }

    /// Has whatever will perform an effect get ready, and tells whether that took a while. When
    /// something else is wanted of the run meanwhile, it goes on without, and the effect gets
    /// ready within its own time.
    async fn prepare(&mut self, admitted: &Admitted) -> bool {
        let heard = self.heard;
        let left = self.deadline().map_or(Duration::MAX, |at| at.since(self.log.now()));
        let mut ready = pin!(self.driver.governor.prepare(admitted));
        if futures_util::poll!(ready.as_mut()).is_ready() {
            return false;
        }
        tokio::select! {
            biased;
            () = ready => {}
            () = self.driver.drain.cancelled() => {}
            () = self.driver.governor.stops().stopped(&self.log.tenant) => {}
            () = self.driver.backing.clock.sleep(left) => {}
            _ = self.hints.wait_for(|hint| hint.commands != heard) => {}
        }
        true
    }

    /// Hears whether commands came, and no longer of what it appended itself.
    fn listen(&mut self) {
        let commands = self.hints.borrow_and_update().commands;
        self.look |= commands != std::mem::replace(&mut self.heard, commands);
    }

    /// Until when this owner may write and start effects, on the monotonic clock.
    fn give_up(&self) -> Duration {
        if failpoint::is_unfenced() {
            return Duration::MAX;
        }
        (self.lease_ends)().saturating_sub(MARGIN)
    }

    pub(super) async fn commit(&mut self) -> Result<()> {
        let give_up = self.give_up();
        self.log.commit(give_up).await?;
        Ok(())
    }

    /// Waits until an effect ends, a command may have come, or the process goes away.
    async fn wait(&mut self) -> Result<()> {
        let draining = self.driver.drain.is_cancelled();
        let alarm = self.next_alarm();
        let alarm = self.alarm.insert(alarm);
        // In this order, so that a simulation can repeat it: nothing starves, because every
        // turn of the loop listens to the hints and asks whether to drain.
        tokio::select! {
            biased;
            // Whose turn has come holds a place that others wait for.
            Some(due) = self.line.next() => {
                self.wanted.push(due);
                self.settle_ended()?;
            }
            Some(ended) = self.running.next() => {
                self.settle(ended?)?;
                self.settle_ended()?;
            }
            Ok(()) = self.hints.changed() => self.listen(),
            () = self.driver.governor.stops().stopped(&self.log.tenant) => {}
            () = self.driver.drain.cancelled(), if !draining => {}
            () = alarm => {
                self.alarm = None;
                self.look = true;
            }
        }
        if self.driver.backing.clock.monotonic() >= self.give_up() {
            // The effects under way are stopped, as far as they can be.
            return Err(Error::new(ErrorKind::Fenced, "the lease was not renewed in time: the run is let go"));
        }
        Ok(())
    }

    /// Takes what has ended by now: it shares the commit, and what follows from it.
    fn settle_ended(&mut self) -> Result<()> {
        while let Some(ended) = self.running.try_next() {
            self.settle(ended?)?;
        }
        Ok(())
    }

    fn settle(&mut self, ended: (u64, Performed)) -> Result<()> {
        for performed in self.running.settle(ended, self.driver.ordered) {
            self.receipt(performed)?;
        }
        Ok(())
    }

    fn receipt(&mut self, performed: Performed) -> Result<()> {
        failpoint::pass(Point::EffectEnded);
        self.driver.governor.receipt(&mut self.log, performed)?;
        failpoint::pass(Point::ResultPushed);
        Ok(())
    }
}
