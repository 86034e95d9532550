//! One call: a fresh store and instance, every limit in force before the first
//! instruction, and an end in any case.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use l9_core::tool::{Limits, ToolFault, ToolOutput};
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

use super::fault;
use super::host::bindings::{Call as WireCall, Fault, FullPre};
use super::host::{Ambient, Reach, State};
use super::limiter::Limiter;
use super::sandbox::Shared;
use crate::error;

/// Fuel after which a busy guest lets others have the thread: some 100 microseconds. What costs
/// little fuel and takes long is interrupted by the ticker.
const SLICE: u64 = 100_000;

/// Bytes of a guest's own fault message that are kept.
const FAULT_BYTES: usize = 2_000;

/// What a call is made of.
pub(super) struct Call<'a> {
    pub(super) tool: &'a str,
    /// Canonical JSON.
    pub(super) input: &'a str,
    pub(super) limits: &'a Limits,
    pub(super) ambient: Ambient,
    pub(super) reach: Reach,
    /// How long the permit still holds.
    pub(super) remaining: &'a (dyn Fn() -> Duration + Send + Sync),
    pub(super) cancel: &'a CancellationToken,
}

/// How a call ended.
enum End {
    Answered(wasmtime::Result<Result<String, Fault>>),
    Cancelled,
    Late,
}

/// Runs a guest. The caller holds a place in the pool.
pub(super) async fn run(shared: &Shared, linked: &FullPre<State>, mut call: Call<'_>) -> Result<ToolOutput, ToolFault> {
    let within = call.limits.wall().min((call.remaining)());
    if within.is_zero() {
        return Err(fault::not_begun("its deadline had passed, try again"));
    }
    let reach = std::mem::take(&mut call.reach);
    let mut store = store(shared, linked, &call, reach).map_err(|cause| fault::of_error(&cause, call.limits, 0))?;
    let instances = metrics::gauge!("l9_wasm_instances");
    instances.increment(1.0);
    let running = shared.ticker.running();
    let end = tokio::time::timeout(within, async {
        let answer = pin!(invoke(&mut store, linked, call.tool, call.input));
        let answer = pin!(shared.turns.pace(&*shared.clock, answer));
        // The guest is looked at first: one that answers at once costs no timer and no waiter.
        match select(answer, pin!(call.cancel.cancelled())).await {
            Either::Left((answer, _)) => End::Answered(answer),
            Either::Right(_) => End::Cancelled,
        }
    })
    .await
    .unwrap_or(End::Late);
    drop(running);
    instances.decrement(1.0);
    let fuel = call.limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let State { changed, written, log, .. } = store.into_data();
    match settle(end, call.limits, within, fuel, (changed, written)) {
        Ok(value) => Ok(ToolOutput { value, fuel, log: log.finish(), ..ToolOutput::default() }),
        Err(fault) => Err(ToolFault { fuel, ..fault }),
    }
}

/// A store with every limit set.
fn store(shared: &Shared, linked: &FullPre<State>, call: &Call<'_>, reach: Reach) -> wasmtime::Result<Store<State>> {
    let limits = call.limits;
    let state = State::new(limits, Limiter::new(limits, &shared.settings), call.ambient.clone(), reach);
    let mut store = Store::new(linked.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(limits.fuel)?;
    store.fuel_async_yield_interval(Some(SLICE))?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_hostcall_fuel(usize::try_from(fault::at_once(limits)).unwrap_or(usize::MAX));
    store.set_max_component_handles(limits.handles as usize);
    Ok(store)
}

async fn invoke(
    store: &mut Store<State>,
    linked: &FullPre<State>,
    tool: &str,
    input: &str,
) -> wasmtime::Result<Result<String, Fault>> {
    let instance = linked.instantiate_async(&mut *store).await?;
    instance.call_invoke(store, WireCall { tool, input }).await
}

fn settle(
    end: End,
    limits: &Limits,
    within: Duration,
    fuel: u64,
    (changed, written): (bool, String),
) -> Result<serde_json::Value, ToolFault> {
    match end {
        End::Answered(Ok(Ok(output))) if written.is_empty() => error::read_output(output.as_bytes(), limits),
        End::Answered(Ok(Ok(last))) => error::read_output((written + &last).as_bytes(), limits),
        // Its own word that it failed does not undo what it did before.
        End::Answered(Ok(Err(Fault::InvalidInput(message) | Fault::Failed(message)))) if changed => {
            Err(told("failed_midway", &message))
        }
        End::Answered(Ok(Err(Fault::InvalidInput(message)))) => Err(told("invalid_input", &message)),
        End::Answered(Ok(Err(Fault::Failed(message)))) => Err(told("failed", &message)),
        End::Answered(Err(cause)) => Err(fault::of_error(&cause, limits, fuel)),
        End::Cancelled => Err(error::cancelled()),
        End::Late => Err(error::late(limits, within)),
    }
}

/// What a guest says of its own failure: foreign text.
fn told(code: &str, message: &str) -> ToolFault {
    ToolFault::new(code, crate::log::printable(message, FAULT_BYTES))
}
