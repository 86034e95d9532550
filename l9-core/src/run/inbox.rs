//! The inbox of a run: commands become events, here and nowhere else, and what a run tells
//! others goes into theirs.

use std::time::Duration;

use super::command::{Command, CommandRequest};
use super::delegation::Completion;
use super::driver::Drive;
use super::event::{CancelRequested, CommandRejected, Event, RunPaused, RunResumed};
use super::outcome::RunOutcome;
use super::plan::{BreakpointReleased, BreakpointSet, PlanPatched, PlanRolledBack};
use crate::Result;
use crate::failpoint::{self, Point};
use crate::governor::mailbox;
use crate::id::{CommandId, RunId};
use crate::journal::Along;
use crate::plan::{PlanAsk, PlanChange};

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    /// Turns the commands that wait into events.
    pub(super) async fn obey(&mut self) -> Result<()> {
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
        failpoint::pass(Point::CommandRead);
        for stored in stored {
            match CommandRequest::open(&*self.driver.backing.vault, &tenant, run, &stored) {
                Ok(mut request) => {
                    if let Command::Complete(completion) = &mut request.command
                        && let Some(answer) = completion.artifact()
                        && let Err(error) = self.log.fetch(answer).await
                    {
                        if error.is_retryable() {
                            return Err(error);
                        }
                        // It was erased, or is damaged: the run goes on and is told so.
                        tracing::warn!(%run, child = %completion.child, %error, "a child's answer is gone");
                        completion.lose(&error);
                    }
                    self.carry_out(&request)?;
                }
                Err(error) => self.reject(&stored.id, None, &error.to_string())?,
            }
            self.log.consume(stored.id);
        }
        // Acknowledged when committed, and before anything acts on it.
        self.commit().await?;
        if self.log.state.cancel.is_some() {
            self.cancel.work.cancel();
        }
        Ok(())
    }

    fn carry_out(&mut self, request: &CommandRequest) -> Result<()> {
        if let Some(reason) = request.command.refusal(&self.log.state) {
            return self.reject(&request.id, Some(&request.by), &reason);
        }
        let (governor, log) = (&self.driver.governor, &mut self.log);
        let CommandRequest { id: command, by, command: asked } = request.clone();
        match asked {
            Command::Cancel { reason } => {
                log.push(Event::CancelRequested(CancelRequested { command, by, reason: reason.clone() }))?;
                self.cancel_children(&reason)
            }
            Command::Complete(completion) => match governor.complete(log, *completion)? {
                Some(why) => self.reject(&request.id, Some(&request.by), &why),
                None => Ok(()),
            },
            Command::Pause { reason } => log.push(Event::RunPaused(RunPaused { command, by, reason })),
            Command::Resume { reason } => {
                if log.state.paused.is_some() {
                    let (command, by, reason) = (command.clone(), by.clone(), reason.clone());
                    log.push(Event::RunResumed(RunResumed { command, by, reason }))?;
                }
                if log.state.plan.hits.is_empty() {
                    return Ok(());
                }
                log.push(Event::BreakpointReleased(BreakpointReleased { command, by, reason }))
            }
            Command::Patch { expected, patch, reason } => {
                let changed = self.consider(&PlanAsk::Patch { expected, patch: &patch });
                self.change(request, &reason, changed)
            }
            Command::Break { breakpoint, clear } => {
                let changed = self.consider(&PlanAsk::Break { breakpoint: &breakpoint, clear });
                self.change(request, "", changed)
            }
            Command::RollBack { target, reason } => {
                let changed = self.consider(&PlanAsk::RollBack { target: &target });
                self.change(request, &reason, changed)
            }
            Command::Signal { name, value } => governor.signal(log, command, by, (name, value)),
            Command::Decide { ask, choice, by, reason } => {
                match governor.decide(log, request, (ask, choice, by, reason))? {
                    Some(why) => self.reject(&request.id, Some(&request.by), &why),
                    None => Ok(()),
                }
            }
            Command::Refused { reason } => self.reject(&request.id, Some(&by), &reason),
            Command::Resolve { call, verdict, reason } => {
                governor.resolve_unknown(log, request, (call, verdict, reason))
            }
        }
    }

    fn consider(&self, ask: &PlanAsk<'_>) -> Result<PlanChange> {
        let (registry, tenant) = (self.driver.governor.registry(), &self.log.tenant);
        self.decider.consider(&self.log.state, ask, &|name| registry.find(tenant, name))
    }

    /// Journals what follows from something that the plan was asked, or why nothing does.
    fn change(&mut self, request: &CommandRequest, reason: &str, changed: Result<PlanChange>) -> Result<()> {
        let (command, by, reason) = (request.id.clone(), request.by.clone(), reason.to_owned());
        let log = &mut self.log;
        match changed {
            Ok(PlanChange::Patched { patch, contracts, agents }) => {
                let patch = log.keep(patch)?;
                let patched = PlanPatched { command, by, reason, patch, contracts, agents };
                log.push(Event::PlanPatched(Box::new(patched)))
            }
            Ok(PlanChange::Breakpoint { breakpoint, cleared }) => {
                log.push(Event::BreakpointSet(BreakpointSet { command, by, breakpoint, cleared }))
            }
            Ok(PlanChange::RolledBack(rollback)) => {
                log.push(Event::PlanRolledBack(PlanRolledBack { command, by, reason, rollback }))
            }
            Err(error) => self.reject(&request.id, Some(&request.by), error.message()),
        }
    }

    fn reject(&mut self, command: &CommandId, by: Option<&str>, reason: &str) -> Result<()> {
        let (command, by) = (command.clone(), by.map(str::to_owned));
        let reason = self.driver.governor.shown(reason);
        self.log.push(Event::CommandRejected(CommandRejected { command, by, reason }))
    }

    /// Asks the runs that work for this one to stop.
    pub(super) fn cancel_children(&mut self, reason: &str) -> Result<()> {
        let children: Vec<RunId> = self.log.state.open_children().map(|(_, child)| child).collect();
        for child in children {
            let command = Command::Cancel { reason: reason.to_owned() };
            self.post(child, &format!("cancel/run:{}", self.log.run), command)?;
        }
        Ok(())
    }

    /// Tells the run that this one works for how it ended.
    pub(super) fn report(&mut self, outcome: RunOutcome) -> Result<()> {
        let state = &self.log.state;
        let Some(parent) = state.created.as_ref().and_then(|created| created.parent.clone()) else { return Ok(()) };
        let (child, call) = (self.log.run, parent.call);
        // What is still reserved may have happened.
        let (spent, label) = (state.spent.plus(state.reserved), state.label.clone());
        let completion = Completion { child, call, outcome, spent, label };
        self.post(parent.run, &mailbox(child), Command::Complete(Box::new(completion)))
    }

    /// Sends a command to another run with what the next commit stores.
    fn post(&mut self, run: RunId, id: &str, command: Command) -> Result<()> {
        let request = CommandRequest { id: CommandId::new(id)?, by: format!("run:{}", self.log.run), command };
        let command = request.seal(&*self.driver.backing.vault, &self.log.tenant, run)?;
        // Whoever erases finds the run that it goes to before that has looked.
        let about = self.log.state.label.subjects.iter().copied().collect();
        self.log.bring_along(Along::Post { run, command, about });
        Ok(())
    }
}
