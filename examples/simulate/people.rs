//! People who look after runs: they pause and resume, send signals, decide upon unknown
//! writes, let plans go on and roll them back, fork, replay and expire, several of them at once
//! and from any node. While the world is troubled they do as they please; once it is healed they
//! give every run that cannot go on without them what it needs, answers to its questions too.
//! Runs with a deadline they leave alone then: those must end by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use l9::governor::Choice;
use l9::id::CallId;
use l9::kernel::Changes;
use l9::plan::Target;
use l9::run::{Command, Remember, Resolution};
use l9::{ErrorKind, Principal, RunId};
use serde_json::{Value, json};

use crate::clients::Client;
use crate::judge::{Invariant, PlanStand, Stand};
use crate::model::{self, SIGNALS};
use crate::node::Node;
use crate::random::Random;
use crate::tools::TOOLS;

/// How many looks in a thousand at a plan of which nothing is under way have it rolled back.
const BACK: u64 = 300;

/// How long before or after the end of a wait's time its signal is sent, in milliseconds.
const CLOSE: u64 = 40;

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) calm_at: Duration,
    /// What is under way among all of them.
    pub(crate) busy: Arc<AtomicU64>,
    /// What they have begun so far, for their names of it.
    pub(crate) begun: Arc<AtomicU64>,
    /// How many forks may still be made.
    pub(crate) forks: Arc<AtomicU64>,
}

/// What a person does next.
#[derive(Debug)]
enum Act {
    Command(Command),
    /// A pause, and its end at once.
    Blink,
    Signal {
        name: String,
        wait: Duration,
    },
    Fork,
    /// A plan that has ended, by a run that shares its past.
    RollBack(Target),
    Replay,
    Expire,
}

impl Person {
    /// Looks after runs until the world ends.
    pub(crate) async fn live(self) {
        let sim = Arc::clone(&self.client.cluster.sim);
        loop {
            let wait = sim.draw(|random| random.millis(50, 1_500));
            sim.timeline.sleep(wait).await;
            let now = sim.now();
            if now >= self.calm_at {
                for stand in sim.judge(|judge, _| judge.open_stands()) {
                    self.rescue(&stand).await;
                }
                continue;
            }
            let runs = sim.judge(|judge, _| judge.runs());
            let picked = sim.draw(|random| (!runs.is_empty()).then(|| *random.pick(&runs)));
            let stand = picked.and_then(|run| sim.judge(|judge, _| judge.stand(run)));
            if let Some(stand) = stand
                && let Some(act) = sim.draw(|random| choose(random, &stand, now))
            {
                let person = self.clone();
                self.busy.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    person.act(&stand, act).await;
                    person.busy.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    }

    /// Gives a run what it waits for.
    async fn rescue(&self, stand: &Stand) {
        let sim = &self.client.cluster.sim;
        let for_ever = |signals: &[(String, Option<_>)]| {
            signals.iter().find(|(_, until)| until.is_none()).map(|(name, _)| name.clone())
        };
        if stand.is_held() {
            self.command(stand.run, Command::Resume { reason: "go on".into() }).await;
        } else if let Some(call) = stand.undecided.first() {
            let verdict = sim.draw(verdict);
            self.command(stand.run, Command::Resolve { call: *call, verdict, reason: "seen".into() }).await;
        } else if let Some(ask) = stand.questions.first().copied() {
            let choice = Choice::Approve { arguments: None, remember: Remember::Once };
            let (by, reason) = (Principal::local(), "seen".into());
            self.command(stand.run, Command::Decide { ask, choice, by, reason }).await;
        } else if let Some(name) = for_ever(&stand.signals) {
            self.command(stand.run, Command::Signal { name, value: Value::Null }).await;
        }
    }

    async fn act(&self, stand: &Stand, act: Act) {
        let run = stand.run;
        match act {
            Act::Command(command) => self.command(run, command).await,
            Act::Blink => {
                self.command(run, Command::Pause { reason: "wait".into() }).await;
                self.command(run, Command::Resume { reason: "no, go on".into() }).await;
            }
            Act::Signal { name, wait } => {
                self.client.cluster.sim.timeline.sleep(wait).await;
                self.command(run, Command::Signal { name, value: json!(7) }).await;
            }
            Act::Fork => self.fork(stand).await,
            Act::RollBack(target) => self.roll_back(run, &target).await,
            Act::Replay => self.replay(stand).await,
            Act::Expire => self.expire().await,
        }
    }

    async fn command(&self, run: RunId, command: Command) {
        let id = format!("person-{}", self.begun.fetch_add(1, Ordering::Relaxed));
        self.client.command(run, id, command).await;
    }

    /// Forks a run where it is delicate, and follows what comes of it.
    async fn fork(&self, stand: &Stand) {
        if self.forks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return;
        }
        let sim = Arc::clone(&self.client.cluster.sim);
        let places = sim.judge(|judge, _| judge.delicate(stand.run));
        let at = sim.draw(|random| match places.is_empty() || random.chance(300) {
            true => random.between(1, stand.next),
            false => *random.pick(&places),
        });
        let ended = sim.judge(|judge, _| judge.ended_before(stand.run, at));
        let changes = sim.draw(|random| changes(random, stand.agent, &ended));
        let key = format!("fork-{}", self.begun.fetch_add(1, Ordering::Relaxed));
        sim.note(Some(stand.run), format!("is to be forked at {at} with {changes:?}"));
        loop {
            let (changes, key) = (changes.clone(), key.clone());
            let run = stand.run;
            let fork = self
                .client
                .ask(|node| async move { node.engine.fork(&Principal::local(), run, at, &changes, Some(key)).await });
            match fork.await {
                Ok(fork) => {
                    sim.judge(|judge, _| judge.start_acknowledged(fork.run));
                    return self.client.clone().follow(fork.run).await;
                }
                Err(error) if error.is_retryable() => {}
                // The end of a run cannot be part of a fork.
                Err(error) if error.kind() == ErrorKind::Invalid => return,
                Err(error) if self.client.has_expired(run, &error) => return,
                Err(error) => return self.client.surprised(Some(run), "fork", &error),
            }
        }
    }

    /// Rolls a plan back that has ended, and follows what comes of it.
    async fn roll_back(&self, run: RunId, target: &Target) {
        let sim = Arc::clone(&self.client.cluster.sim);
        sim.note(Some(run), format!("is to be rolled back: {target:?}"));
        loop {
            let back = |node: Arc<Node>| async move { node.engine.roll_back(&Principal::local(), run, target).await };
            match self.client.ask(back).await {
                Ok(back) => {
                    sim.judge(|judge, _| judge.start_acknowledged(back.run));
                    return self.client.clone().follow(back.run).await;
                }
                Err(error) if error.is_retryable() => {}
                // Another target was gone back to before, or there is nothing to go back from.
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => return,
                Err(error) if self.client.has_expired(run, &error) => return,
                Err(error) => return self.client.surprised(Some(run), "roll back", &error),
            }
        }
    }

    /// Replays a run as it was, or with an edited result.
    async fn replay(&self, stand: &Stand) {
        let (sim, run) = (Arc::clone(&self.client.cluster.sim), stand.run);
        let ended = sim.judge(|judge, _| judge.ended_before(run, stand.next));
        let edit = sim.draw(|random| {
            let edits = !ended.is_empty() && random.chance(300);
            edits.then(|| {
                let call = *random.pick(&ended);
                edited(random, call)
            })
        });
        let edits: BTreeMap<CallId, Value> = edit.into_iter().collect();
        let (asked, tenant) = (&edits, Principal::local().tenant);
        let tenant = &tenant;
        match self.client.ask(|node| async move { node.engine.replay(tenant, run, asked).await }).await {
            Ok(replayed) => {
                sim.count(|counts| counts.replays += 1);
                if let Some(divergence) = replayed.divergence.filter(|_| edits.is_empty()) {
                    let what = format!("{divergence:?}");
                    sim.judge(|judge, _| judge.found(Invariant::ReplayPure, Some(run), what));
                }
            }
            Err(error) if error.is_retryable() || self.client.has_expired(run, &error) => {}
            Err(error) => self.client.surprised(Some(run), "replay", &error),
        }
    }

    async fn expire(&self) {
        let age = self.client.cluster.sim.draw(|random| random.millis(0, 8_000));
        let tenant = Principal::local().tenant;
        let tenant = &tenant;
        match self.client.ask(|node| async move { node.engine.expire(tenant, age, false, None).await }).await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => {}
            Err(error) => self.client.surprised(None, "expire", &error),
        }
    }
}

fn choose(random: &mut Random, stand: &Stand, now: Duration) -> Option<Act> {
    let of_any = match random.below(100) {
        0..14 => Some(Act::Fork),
        14..24 => Some(Act::Replay),
        24..28 => Some(Act::Expire),
        _ => None,
    };
    if of_any.is_some() {
        return of_any;
    }
    let back = stand.plan.as_ref().filter(|plan| plan.idle && random.chance(BACK)).map(|plan| target(random, plan));
    if stand.closed {
        return back.map(Act::RollBack);
    }
    if let Some(target) = back {
        return Some(Act::Command(Command::RollBack { target, reason: "wrong".into() }));
    }
    if let Some(call) = stand.undecided.first().filter(|_| random.chance(700)) {
        let verdict = verdict(random);
        return Some(Act::Command(Command::Resolve { call: *call, verdict, reason: "seen".into() }));
    }
    if stand.is_held() {
        return random.chance(400).then(|| Act::Command(Command::Resume { reason: "go on".into() }));
    }
    if let Some((name, until)) = stand.signals.first().filter(|_| random.chance(600)) {
        // Many are sent just when the time passes.
        let at_its_end = until.filter(|_| random.chance(600)).map(|until| until.since(crate::clock::BEGINNING));
        let wait = at_its_end.map_or(Duration::ZERO, |until| {
            (until + Duration::from_millis(CLOSE)).saturating_sub(now + random.millis(0, 2 * CLOSE))
        });
        return Some(Act::Signal { name: name.clone(), wait });
    }
    match random.below(100) {
        0..15 => Some(Act::Command(Command::Pause { reason: "wait".into() })),
        15..25 => Some(Act::Blink),
        25..30 => Some(Act::Command(Command::Signal { name: (*random.pick(&SIGNALS)).into(), value: Value::Null })),
        30..33 => Some(Act::Command(Command::Resume { reason: "go on".into() })),
        _ => None,
    }
}

/// How far somebody wants to go back: to the beginning, to a node, or to what failed.
fn target(random: &mut Random, plan: &PlanStand) -> Target {
    match random.below(4) {
        0 => Target::Start,
        1 => Target::Failed,
        _ => Target::Node(random.pick(&plan.nodes).clone()),
    }
}

fn verdict(random: &mut Random) -> Resolution {
    match random.below(3) {
        0 => Resolution::Happened { value: json!({"done": "seen"}) },
        1 => Resolution::NotHappened,
        _ => Resolution::Unknown,
    }
}

/// What a fork changes: nothing, the model, the instructions, the tools, a result.
fn changes(random: &mut Random, agent: bool, ended: &[CallId]) -> Changes {
    let mut changes = Changes::default();
    if agent && random.chance(300) {
        changes.model = "sim/other".parse().ok();
    }
    if agent && random.chance(200) {
        changes.instructions = Some("be brief".into());
    }
    if agent && random.chance(100) {
        let some = TOOLS.iter().filter(|_| random.chance(600));
        changes.tools = Some(some.filter_map(|(tool, ..)| tool.parse().ok()).collect());
    }
    if !ended.is_empty() && random.chance(400) {
        let call = *random.pick(ended);
        changes.results.extend([edited(random, call)]);
    }
    changes
}

/// What an effect might have given instead.
fn edited(random: &mut Random, call: CallId) -> (CallId, Value) {
    let answer = match call {
        CallId::Turn(_) if random.chance(300) => serde_json::to_value(model::said_all("edited")),
        CallId::Turn(_) => {
            let count = random.between(1, 3);
            serde_json::to_value(model::calls(count, |_| model::any_call(random)))
        }
        _ => Ok(json!({"done": "edited"})),
    };
    (call, answer.unwrap_or_default())
}
