//! Step 7: the most that an effect may use is reserved within what its run has left. Its
//! intent holds the reservation, and so a crash does not lose it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::delegate::Child;
use super::path::{Refusal, Work};
use super::permit::Permit;
use crate::budget::{Budget, Cost};
use crate::id::CallId;
use crate::model::Estimate;
use crate::run::{RunCreated, RunState, Stage, WAIT};
use crate::time::Clock;
use crate::tool::{Runtime, Tool};

/// What is reserved for an effect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation {
    pub(super) cost: Cost,
    /// Of what the run's budget limits, as much as is reserved.
    pub(super) allowance: Budget,
    /// How long it may take.
    pub(super) deadline: Duration,
}

impl Reservation {
    /// Reserves for an effect that would take at most `deadline`. A compensation is counted, and
    /// never refused: what was done must be undone, whatever it has cost.
    pub(super) fn of(
        state: &RunState,
        created: &RunCreated,
        (call, work): (CallId, &Work),
        child: Option<&Child>,
        deadline: Duration,
    ) -> Result<Self, Refusal> {
        let unlimited = Budget::default();
        let budget = if call.is_undo() { &unlimited } else { &created.budget };
        if let Some(amount) = budget.used_up(&state.spent) {
            return Err(exceeded(format!("the budget is used up: {amount}; start the run with a larger one")));
        }
        let mut cost = match work {
            _ if let Some(child) = child => child.reserve(),
            Work::Model { client, name, request, .. } => {
                let Estimate { tokens, micro_usd, egress_bytes } = client.estimate(request);
                if micro_usd.is_none() && budget.micro_usd.is_some() {
                    let reason = format!(
                        "model {name} has no price, so that a budget in micro_usd cannot hold it: give it one under \
                         models.{}.prices, input: 0 if it is free, or start the run without micro_usd",
                        name.provider
                    );
                    return Err(Refusal::of(Stage::Budget, "unpriced_model", vec![reason]));
                }
                let micro_usd = micro_usd.unwrap_or_default();
                Cost { calls: 1, tokens, micro_usd, egress_bytes, ..Cost::default() }
            }
            Work::Tool { tool, arguments } => cost_of_call(tool, arguments),
        };
        let held = state.spent.plus(state.reserved);
        let mut deadline = deadline;
        // Waiting takes no time of anybody's, and a child's effects take their own.
        if child.is_none() && !is_wait(work) {
            if let Some(left) = budget.left(&held).time_ms {
                deadline = deadline.min(Duration::from_millis(left));
            }
            if deadline.is_zero() {
                let held = budget.exceeded_by(&held.plus(Cost { time_ms: 1, ..Cost::default() })).unwrap_or_default();
                return Err(exceeded(format!("no time is left: {held}; start the run with a larger budget")));
            }
            cost.time_ms = millis(deadline);
        }
        match budget.exceeded_by(&held.plus(cost)) {
            None => Ok(Self { cost, allowance: budget.limited_to(cost), deadline }),
            Some(amount) => {
                Err(exceeded(format!("the budget would be exceeded: {amount}; start the run with a larger one")))
            }
        }
    }
}

/// The most that one call of a tool uses, its time aside.
pub(crate) fn cost_of_call(tool: &Tool, arguments: &Value) -> Cost {
    let wasm = matches!(tool.manifest.runtime, Runtime::Wasm { .. });
    let fuel = if wasm { tool.manifest.limits.fuel } else { 0 };
    Cost { calls: 1, fuel, egress_bytes: tool.egress_bytes(arguments), ..Cost::default() }
}

/// What can be known here of an effect's use, however it ends: its time, and what it sent.
#[derive(Debug)]
pub(super) struct Meter {
    began: Option<Duration>,
    sent: Arc<AtomicU64>,
}

impl Meter {
    /// Begins to measure. Under a seed time stands still.
    pub(super) fn start(permit: &Permit, clock: &dyn Clock) -> Self {
        let began = (!permit.deterministic()).then(|| clock.monotonic());
        Self { began, sent: permit.sent() }
    }

    /// What was used until now. The moment that it takes to stop what is late, beyond
    /// `most_ms`, is nobody's.
    pub(super) fn read(&self, clock: &dyn Clock, most_ms: u64) -> Cost {
        let took = self.began.map_or(Duration::ZERO, |began| clock.monotonic().saturating_sub(began));
        let (time_ms, egress_bytes) = (millis(took).min(most_ms), self.sent.load(Ordering::Relaxed));
        Cost { time_ms, egress_bytes, ..Cost::default() }
    }
}

/// A time in whole milliseconds, those that were begun included.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn is_wait(work: &Work) -> bool {
    matches!(work, Work::Tool { tool, .. } if tool.manifest.id.as_str() == WAIT)
}

fn exceeded(reason: String) -> Refusal {
    Refusal::of(Stage::Budget, "budget_exceeded", vec![reason])
}
