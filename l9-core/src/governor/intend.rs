//! Step 8: the intent. A permit exists only for an intent that is durable.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::budget::Reservation;
use super::path::{Admitted, Given, Governor, Work};
use super::permit::{Grant, Permit};
use super::rates::Hold;
use crate::budget::Cost;
use crate::digest::{Digest, sha256};
use crate::id::CallId;
use crate::journal::Appended;
use crate::run::{Action, DELEGATE, EffectIntent, Event, PLAN, RunLog, WAIT};
use crate::tool::{EffectClass, Runtime};
use crate::{Error, ErrorKind, Result};

/// An effect whose intent is in the log, durable or not yet.
#[derive(Debug)]
pub(crate) struct Intended {
    grant: Grant,
    tries: u32,
    class: EffectClass,
    deadline: Duration,
    reserved: Cost,
    hold: Hold,
    doubted: bool,
    work: Work,
    given: Given,
}

/// What stops the effects of a run.
#[derive(Debug)]
pub(crate) struct Cancels {
    /// All of them: the run is let go.
    pub(crate) all: CancellationToken,
    /// All but compensations: somebody stops the run, or its time is up. A run that does nothing
    /// but compensate is stopped in that.
    pub(crate) work: CancellationToken,
}

impl Default for Cancels {
    fn default() -> Self {
        let all = CancellationToken::new();
        Self { work: all.child_token(), all }
    }
}

impl Cancels {
    /// What stops an effect; `compensates` if its run does nothing else.
    fn of(&self, call: CallId, compensates: bool) -> &CancellationToken {
        if call.is_undo() && !compensates { &self.all } else { &self.work }
    }
}

/// An effect that may be performed now.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(super) permit: Permit,
    /// The attempts that have ended once this one has.
    pub(super) tries: u32,
    pub(super) class: EffectClass,
    pub(super) deadline: Duration,
    pub(super) reserved: Cost,
    /// Given back once it has ended.
    pub(super) hold: Hold,
    pub(super) doubted: bool,
    pub(super) work: Work,
    pub(super) given: Given,
}

impl Intended {
    /// Whether the driver performs it itself, by waiting: for a signal, a time, a child.
    fn waits(&self) -> bool {
        matches!(&self.work, Work::Tool { tool, .. } if matches!(tool.manifest.id.as_str(), WAIT | DELEGATE | PLAN))
    }

    /// Whether nothing outside can notice it: a pure tool in the sandbox, which has no way
    /// out. A manifest's word alone is not enough.
    fn starts_early(&self) -> bool {
        let Work::Tool { tool, .. } = &self.work else { return false };
        self.class == EffectClass::Pure && matches!(tool.manifest.runtime, Runtime::Wasm { .. })
    }
}

impl Governor {
    /// Has whatever will perform the effect get ready, so that its deadline is its own.
    pub(crate) async fn prepare(&self, admitted: &Admitted) {
        if let Work::Tool { tool, .. } = &admitted.work {
            tool.prepare().await;
        }
    }

    /// Adds the intent of an admitted effect to the log, and with it its reservation.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn intend(&self, log: &mut RunLog, admitted: Admitted) -> Result<Intended> {
        let Admitted {
            call,
            attempt,
            tries,
            work,
            class,
            contract,
            label,
            given,
            reserved,
            hold,
            reasons,
            policy,
            deterministic,
            doubted,
            child,
        } = admitted;
        let Reservation { cost: reserved, allowance, deadline } = reserved;
        let issued_at = log.now();
        // The open attempt's own key, whatever version of L9 made it.
        let key =
            log.state.attempted(call).map(|open| open.idempotency_key).unwrap_or_else(|| idempotency_key(log, call));
        let action = match &work {
            Work::Model { name, digest, .. } => Action::Model { model: name.clone(), request: *digest },
            Work::Tool { tool, arguments } => Action::Tool {
                tool: tool.manifest.id.clone(),
                arguments: log.keep_arguments(tool.manifest.audit.args, arguments.clone())?,
            },
        };
        log.push(Event::EffectIntent(Box::new(EffectIntent {
            call,
            attempt,
            action,
            class,
            contract,
            idempotency_key: key,
            not_after: issued_at.after(deadline),
            label: label.clone(),
            reserved,
            reasons,
            policy,
        })))?;
        if let Some(child) = child {
            self.begin(log, call, *child, &label)?;
        }
        let grant = Grant {
            tenant: log.tenant.clone(),
            run: log.run,
            call,
            attempt,
            contract,
            idempotency_key: key,
            issued_at,
            lapses_at: self.clock.monotonic() + deadline,
            allowance,
            deterministic,
            label,
        };
        Ok(Intended { grant, tries, class, deadline, reserved, hold, doubted, work, given })
    }

    /// Makes the log durable and launches what it intends. Pure sandboxed effects start
    /// while the commit is under way; every other starts after it. Nothing starts at or
    /// after `give_up` on the monotonic clock, near the end of the lease.
    ///
    /// # Errors
    /// `Fenced` or `Conflict` when the run has another owner; only pure effects started.
    pub(crate) async fn commit_and_launch(
        &self,
        log: &mut RunLog,
        intended: Vec<Intended>,
        cancel: &Cancels,
        give_up: Duration,
        mut launch: impl FnMut(Launch),
    ) -> Result<Option<Appended>> {
        let in_time = |any: bool| {
            if any && self.clock.monotonic() >= give_up {
                return Err(Error::new(ErrorKind::Fenced, "the lease is about to end: no effect is started"));
            }
            Ok(())
        };
        in_time(!intended.is_empty())?;
        let performed = intended.into_iter().filter(|intended| !intended.waits());
        let (early, barrier): (Vec<_>, Vec<_>) = performed.partition(Intended::starts_early);
        let compensates = log.state.plan.compensates();
        let mut commit = std::pin::pin!(log.commit(give_up));
        // The store is at work while these begin.
        let at_once = match futures_util::poll!(commit.as_mut()) {
            Poll::Ready(appended) => Some(appended?),
            Poll::Pending => None,
        };
        early.into_iter().for_each(|intended| launch(self.permit(intended, cancel, compensates)));
        let appended = match at_once {
            Some(appended) => appended,
            None => commit.await?,
        };
        for intended in barrier {
            in_time(true)?;
            launch(self.permit(intended, cancel, compensates));
        }
        Ok(appended)
    }

    fn permit(&self, intended: Intended, cancel: &Cancels, compensates: bool) -> Launch {
        let Intended { grant, tries, class, deadline, reserved, hold, doubted, work, given } = intended;
        let words = self.deltas.sink(grant.run, Arc::clone(&self.redactor));
        let cancel = cancel.of(grant.call, compensates).child_token();
        let permit = Permit::issue(grant, Arc::clone(&self.clock), cancel, words);
        Launch { permit, tries, class, deadline, reserved, hold, doubted, work, given }
    }
}

/// The same for every attempt at an effect, and for no other effect of any tenant. The
/// four zero bytes are its generation, which a rollback of a plan will raise.
fn idempotency_key(log: &RunLog, call: CallId) -> Digest {
    let (tenant, call) = (log.tenant.as_str().as_bytes(), call.to_string());
    sha256(&[b"l9.idempotency.1\0", tenant, b"\0", log.run.as_bytes(), &0_u32.to_be_bytes(), call.as_bytes()])
}
