//! Tools of every effect class, which write to an outside that counts what reaches it.
//! They take time, fail for good or for now, hang, answer too late, panic now and then, and
//! some neither listen to a cancellation nor look at their deadline. What may be asked about
//! can be probed: what the outside says did not happen never will.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9::digest::Digest;
use l9::governor::Permit;
use l9::id::{CallId, RunId, TenantId, ToolId};
use l9::run::{DELEGATE, PLAN, WAIT};
use l9::tool::{
    EffectClass, Manifest, Probed, Tool, ToolFault, ToolName, ToolOutput, ToolRegistry, ToolSandbox, Validator,
};
use serde_json::{Value, json};

use crate::connection::{Fate, exchange};
use crate::gate::Gate;
use crate::judge::{Departure, Invariant};
use crate::random::Random;
use crate::sim::Sim;

/// The tools there are, one for each class that the governor treats alike.
pub(crate) const TOOLS: [(&str, &str, EffectClass); 5] = [
    ("sim/pure", "pure", EffectClass::Pure),
    ("sim/read", "read", EffectClass::Read),
    ("sim/keyed", "keyed_write", EffectClass::KeyedWrite),
    ("sim/queryable", "queryable_write", EffectClass::QueryableWrite),
    ("sim/opaque", "opaque_write", EffectClass::OpaqueWrite),
];

/// How long a call may take, in seconds: one of these in every seed, shorter and longer
/// than a lease.
const DEADLINES: [u64; 5] = [2, 4, 8, 15, 25];

/// How many in a thousand effects the outside refuses for good, whoever asks how often.
const REFUSED: u64 = 30;

/// How many requests in a thousand the outside refuses for now, in the worst weather.
const BUSY: u64 = 400;

/// How many answers in a thousand are large.
const LARGE: u64 = 10;

/// One tool on one node.
#[derive(Debug)]
struct SimTool {
    name: &'static str,
    class: EffectClass,
    sim: Arc<Sim>,
    gate: Arc<Gate>,
}

/// How one call goes.
#[derive(Debug)]
struct Conduct {
    before: Duration,
    /// Neither listens nor looks at the clock.
    stubborn: bool,
    panics: Option<Panics>,
    /// How often the network delivers the request.
    copies: u32,
    /// How many bytes it answers; many are kept beside the journal.
    words: usize,
}

/// What the outside says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    /// It had no effect, and never will.
    Refused,
    /// It had no effect; another may.
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Panics {
    Before,
    After,
}

impl SimTool {
    fn conduct(&self) -> Conduct {
        let (bad, class) = (self.sim.weather().misbehaviour, self.class);
        self.sim.draw(|random| {
            let before = if random.chance(bad) { random.millis(0, 12_000) } else { random.millis(0, 120) };
            let panics = random.chance(bad / 4).then(|| *random.pick(&[Panics::Before, Panics::After]));
            let may_repeat = matches!(class, EffectClass::Read | EffectClass::KeyedWrite) && random.chance(bad / 4);
            let words = if random.chance(LARGE) { 70_000 } else { 4 };
            let copies = if may_repeat { 2 } else { 1 };
            Conduct { before, stubborn: random.chance(bad / 2), panics, copies, words }
        })
    }

    /// The request and what the outside does with it.
    async fn send(&self, permit: &Permit, copies: u32) -> Option<Answer> {
        let (run, call, key) = (permit.run(), permit.call(), permit.idempotency_key());
        let departure =
            Departure { run, call, attempt: permit.attempt(), class: self.class, deadline: deadline(&self.sim) };
        self.sim.judge(|judge, now| judge.departs(departure, now));
        self.sim.note(Some(run), format!("  attempt {} at {call} leaves", permit.attempt()));
        self.sim.count(|counts| *counts.effects.entry(self.name).or_default() += 1);
        if self.class == EffectClass::Pure {
            return Some(Answer::Done);
        }
        let (sim, class, attempt) = (Arc::clone(&self.sim), self.class, permit.attempt());
        let fate = Fate::draw(&self.sim, &self.gate);
        let answer =
            exchange(&self.gate, fate, async move { handle(&sim, class, (run, call, attempt), key, copies) }).await;
        if matches!(answer, Some(Answer::Refused | Answer::Busy)) {
            self.sim.judge(|judge, _| judge.refused(run, call));
        }
        answer
    }
}

/// What the outside does with a request, and says to it.
fn handle(
    sim: &Sim,
    class: EffectClass,
    (run, call, attempt): (RunId, CallId, u32),
    key: Digest,
    copies: u32,
) -> Answer {
    let word = key.as_bytes().iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte));
    if Random::of(sim.seed, &[word]).chance(REFUSED) {
        sim.note(Some(run), format!("  {call} is refused outside"));
        return Answer::Refused;
    }
    let busy = BUSY.min(2 * sim.weather().misbehaviour);
    if sim.draw(|random| random.chance(busy)) {
        sim.note(Some(run), format!("  {call} comes when the outside is busy"));
        return Answer::Busy;
    }
    if class != EffectClass::Read {
        for _ in 0..copies {
            let keyed = class == EffectClass::KeyedWrite;
            let applied = sim.judge(|judge, _| judge.arrives((run, call, attempt), key, keyed));
            sim.note(Some(run), format!("  attempt {attempt} at {call} arrives, applied: {applied}"));
        }
    }
    Answer::Done
}

fn done(words: usize) -> Value {
    json!({"done": "x".repeat(words)})
}

#[async_trait]
impl ToolSandbox for SimTool {
    async fn call(&self, permit: Permit, _: &Manifest, _: &Value) -> Result<ToolOutput, ToolFault> {
        let (run, owner) = (permit.run(), &self.gate.owner);
        self.sim.judge(|judge, now| judge.starts(owner, run, self.class, now));
        let Conduct { before, stubborn, panics, copies, words } = self.conduct();
        let work = async {
            permit.wait(before).await;
            if panics == Some(Panics::Before) {
                panic!("{}", crate::PLANNED_PANIC);
            }
            self.gate.pass().await;
            permit.check().map_err(|error| ToolFault::new("not_sent", error.to_string()))?;
            let answer = self.send(&permit, copies).await;
            if panics == Some(Panics::After) {
                panic!("{}", crate::PLANNED_PANIC);
            }
            match answer {
                Some(Answer::Done) => Ok(ToolOutput { value: done(words), ..ToolOutput::default() }),
                Some(Answer::Refused) => Err(ToolFault::new("failed", "the outside refused it")),
                Some(Answer::Busy) => Err(ToolFault::passing("failed", "the outside is busy")),
                None if stubborn => std::future::pending().await,
                // Whether it took effect nobody knows; whether to try again, the classes tell.
                None => Err(ToolFault::passing("timeout", "no answer")),
            }
        };
        if stubborn {
            return work.await;
        }
        tokio::select! {
            biased;
            ended = work => ended,
            () = permit.cancelled().cancelled() => Err(ToolFault::new("cancelled", "the run was cancelled")),
            () = permit.wait(permit.remaining()) => Err(ToolFault::new("limit.time", "it took too long")),
        }
    }

    async fn probe(&self, permit: Permit, _: &Manifest, _: &Value) -> Result<Probed, ToolFault> {
        let (run, call, attempt) = (permit.run(), permit.call(), permit.attempt());
        self.gate.pass().await;
        self.sim.count(|counts| counts.probes += 1);
        let sim = Arc::clone(&self.sim);
        let fate = Fate::draw(&self.sim, &self.gate);
        let asked = exchange(&self.gate, fate, async move {
            let happened = sim.judge(|judge, _| judge.asked(run, call, attempt));
            sim.note(Some(run), format!("  attempt {attempt} at {call} is asked about, happened: {happened}"));
            // Now and then the outside keeps it to itself.
            (!sim.draw(|random| random.chance(100))).then_some(happened)
        });
        match asked.await {
            Some(Some(true)) => Ok(Probed::Happened(done(4))),
            Some(Some(false)) => Ok(Probed::NotHappened),
            Some(None) => Ok(Probed::Unknown),
            None => Err(ToolFault::new("timeout", "no answer")),
        }
    }
}

/// What the driver itself does, by waiting or by a run of its own: no node performs it.
const DRIVEN: [(&str, EffectClass); 3] =
    [(WAIT, EffectClass::Pure), (DELEGATE, EffectClass::SameDbWrite), (PLAN, EffectClass::SameDbWrite)];

/// A tool that no node performs.
#[derive(Debug)]
struct Driven {
    sim: Arc<Sim>,
}

#[async_trait]
impl ToolSandbox for Driven {
    async fn call(&self, permit: Permit, manifest: &Manifest, _: &Value) -> Result<ToolOutput, ToolFault> {
        let what = format!("{} was performed", manifest.id);
        self.sim.judge(|judge, _| judge.found(Invariant::IntentBeforeCall, Some(permit.run()), what.clone()));
        Err(ToolFault::new("failed", what))
    }
}

/// The tools of one node.
#[derive(Debug)]
pub(crate) struct SimRegistry {
    tools: BTreeMap<ToolId, Arc<Tool>>,
}

impl SimRegistry {
    pub(crate) fn new(sim: &Arc<Sim>, gate: &Arc<Gate>) -> l9::Result<Self> {
        let mut tools = BTreeMap::new();
        for (id, name, class) in TOOLS {
            let sandbox = SimTool { name, class, sim: Arc::clone(sim), gate: Arc::clone(gate) };
            let tool = Tool::new(manifest(id, class, deadline(sim))?, Arc::new(Anything), None, Arc::new(sandbox))?;
            tools.insert(ToolId::new(id)?, Arc::new(tool));
        }
        for (id, class) in DRIVEN {
            let sandbox = Arc::new(Driven { sim: Arc::clone(sim) });
            let tool = Tool::new(manifest(id, class, deadline(sim))?, Arc::new(Anything), None, sandbox)?;
            tools.insert(ToolId::new(id)?, Arc::new(tool));
        }
        Ok(Self { tools })
    }
}

impl ToolRegistry for SimRegistry {
    fn find(&self, _: &TenantId, name: &ToolName) -> l9::Result<Arc<Tool>> {
        let tool = self.tools.get(&name.id).cloned();
        tool.ok_or_else(|| l9::Error::not_found(format!("there is no tool {name}")))
    }

    fn list(&self, _: &TenantId) -> Vec<Arc<Tool>> {
        self.tools.values().cloned().collect()
    }
}

/// How long a call may take in this seed.
fn deadline(sim: &Sim) -> Duration {
    Duration::from_secs(*Random::of(sim.seed, &[0xdead_11e5]).pick(&DEADLINES))
}

/// A pure tool says that it is a component: only those start before their intent is durable.
fn manifest(id: &str, class: EffectClass, deadline: Duration) -> l9::Result<Manifest> {
    let module = json!({"sha256": "0".repeat(64), "size": 1, "world": "l9:tool/tool@0.1.0"});
    let pure = class == EffectClass::Pure && id != WAIT;
    let runtime = if pure { json!({"kind": "wasm", "module": module}) } else { json!({"kind": "native"}) };
    let manifest = json!({
        "schema_version": 1, "id": id, "version": "1.0.0", "title": id, "description": "Simulated.",
        "runtime": runtime, "input_schema": {"type": "object"}, "effect": class,
    });
    let mut manifest: Manifest =
        serde_json::from_value(manifest).map_err(|error| l9::Error::invalid(error.to_string()))?;
    manifest.limits.wall_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    Ok(manifest)
}

#[derive(Debug)]
struct Anything;

impl Validator for Anything {
    fn violations(&self, _: &Value) -> Vec<String> {
        Vec::new()
    }
}
