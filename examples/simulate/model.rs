//! The model: what it answers depends on the task, the instructions, its name, the turn and
//! the attempt, so that two attempts at one turn differ and only the journaled answer may
//! count, and a fork goes another way.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9::governor::Permit;
use l9::model::{
    DeltaSink, Estimate, Message, ModelClient, ModelFault, ModelRequest, ModelResponse, StopReason, ToolRequest, Usage,
};
use l9::run::WAIT;
use l9::tool::EffectClass;

use crate::gate::Gate;
use crate::judge::Departure;
use crate::random::Random;
use crate::sim::Sim;
use crate::tools::TOOLS;

/// How long a model call may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The most turns with calls before the last one.
const TURNS: u64 = 4;

/// How many tasks in a thousand have turns with many calls, so that their runs are long
/// enough for a snapshot.
const LONG: u64 = 25;

/// How many calls a turn of such a task has.
const MANY: u64 = 60;

/// How many calls in a thousand are waits.
const WAITS: u64 = 120;

/// The names of the signals that runs wait for.
pub(crate) const SIGNALS: [&str; 2] = ["paid", "signed"];

/// A model as one node reaches it.
#[derive(Debug)]
pub(crate) struct SimModel {
    pub(crate) sim: Arc<Sim>,
    pub(crate) gate: Arc<Gate>,
}

#[async_trait]
impl ModelClient for SimModel {
    fn default_model(&self) -> &str {
        "sim"
    }

    fn estimate(&self, _: &ModelRequest) -> Estimate {
        Estimate::local(2)
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        _: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        let (run, call, attempt) = (permit.run(), permit.call(), permit.attempt());
        self.sim.judge(|judge, now| judge.starts(&self.gate.owner, run, EffectClass::Read, now));
        self.gate.pass().await;
        let departure = Departure { run, call, attempt, class: EffectClass::Read, deadline: DEADLINE };
        self.sim.judge(|judge, now| judge.departs(departure, now));
        self.sim.note(Some(run), format!("  attempt {attempt} at {call} asks the model"));
        self.sim.count(|counts| *counts.effects.entry("model").or_default() += 1);
        let bad = self.sim.weather().misbehaviour;
        let (takes, fails, panics) = self.sim.draw(|random| {
            let takes = if random.chance(bad) { random.millis(0, 9_000) } else { random.millis(1, 400) };
            (takes, random.chance(bad / 8), random.chance(bad / 8))
        });
        tokio::select! {
            biased;
            () = permit.cancelled().cancelled() => return Err(ModelFault::new("cancelled", "the run was cancelled")),
            () = permit.wait(takes) => {}
        }
        if panics {
            panic!("{}", crate::PLANNED_PANIC);
        }
        if fails {
            return Err(ModelFault::new("unavailable", "the provider is away"));
        }
        Ok(answer(self.sim.seed, request, attempt))
    }
}

fn answer(seed: u64, request: &ModelRequest, attempt: u32) -> ModelResponse {
    let said = request.messages.iter().filter(|message| matches!(message, Message::Assistant { .. })).count() as u64;
    let task = match request.messages.first() {
        Some(Message::User { text }) => word(text),
        _ => 0,
    };
    // The task alone: a fork that changes the model stays as long as its parent.
    let (turns, long) = {
        let mut random = Random::of(seed, &[task]);
        (random.between(0, TURNS), random.chance(LONG))
    };
    let mut random = Random::of(seed, &[task, word(&request.model), word(&request.system), said, u64::from(attempt)]);
    if said >= turns.max(u64::from(long) * 3) {
        return said_all(&format!("done at attempt {attempt}"));
    }
    if long { calls(MANY, |_| quick(&mut random)) } else { calls(random.between(1, 3), |_| any_call(&mut random)) }
}

/// An answer without calls.
pub(crate) fn said_all(text: &str) -> ModelResponse {
    ModelResponse { text: text.into(), ..blank() }
}

/// An answer that asks for calls.
pub(crate) fn calls(count: u64, mut call: impl FnMut(u64) -> (&'static str, String)) -> ModelResponse {
    let tools = (0..count).map(|n| {
        let (name, arguments) = call(n);
        ToolRequest { id: format!("call_{n}"), name: name.into(), arguments }
    });
    ModelResponse { tools: tools.collect(), stop: StopReason::Tools, ..blank() }
}

fn blank() -> ModelResponse {
    let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
    ModelResponse { usage, model: "sim".into(), ..ModelResponse::default() }
}

/// Any tool, or a wait.
pub(crate) fn any_call(random: &mut Random) -> (&'static str, String) {
    if random.chance(WAITS) {
        return (WAIT, wait(random));
    }
    let (name, ..) = *random.pick(&TOOLS);
    (name, format!(r#"{{"n":{}}}"#, random.below(9)))
}

fn quick(random: &mut Random) -> (&'static str, String) {
    (if random.chance(950) { TOOLS[0].0 } else { random.pick(&TOOLS).0 }, "{}".to_owned())
}

/// The arguments of a wait: for a signal, for a time, or for whichever is first.
pub(crate) fn wait(random: &mut Random) -> String {
    let (signal, seconds) = (*random.pick(&SIGNALS), random.between(0, 9));
    match random.below(4) {
        0 => format!(r#"{{"signal":"{signal}"}}"#),
        1 => format!(r#"{{"seconds":{seconds}}}"#),
        _ => format!(r#"{{"signal":"{signal}","seconds":{seconds}}}"#),
    }
}

fn word(text: &str) -> u64 {
    text.bytes().fold(0, |hash: u64, byte| hash.rotate_left(7) ^ u64::from(byte))
}
