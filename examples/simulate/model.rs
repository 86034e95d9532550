//! The model: what it answers depends on the task, the turn and the attempt, so that two
//! attempts at one turn differ and only the journaled answer may count.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9::governor::Permit;
use l9::model::{
    DeltaSink, Message, ModelClient, ModelFault, ModelRequest, ModelResponse, StopReason, ToolRequest, Usage,
};
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

    fn estimate(&self, _: &ModelRequest) -> (u64, u64) {
        (2, 0)
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
        Some(Message::User { text }) => text.bytes().fold(0, |hash: u64, byte| hash.rotate_left(7) ^ u64::from(byte)),
        _ => 0,
    };
    let turns = Random::of(seed, &[task]).between(0, TURNS);
    let mut random = Random::of(seed, &[task, said, u64::from(attempt)]);
    let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
    let blank = ModelResponse { usage, model: "sim".into(), ..ModelResponse::default() };
    if said >= turns {
        return ModelResponse { text: format!("done at attempt {attempt}"), ..blank };
    }
    let calls = random.between(1, 3);
    let tools = (0..calls)
        .map(|n| {
            let (name, ..) = *random.pick(&TOOLS);
            ToolRequest {
                id: format!("call_{n}"),
                name: name.into(),
                arguments: format!(r#"{{"n":{}}}"#, random.below(9)),
            }
        })
        .collect();
    ModelResponse { tools, stop: StopReason::Tools, ..blank }
}
