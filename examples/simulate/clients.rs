//! Those who ask for runs: they start, retry what was not acknowledged, cancel, and follow
//! from any node and any seq.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use l9::id::{AgentId, CommandId};
use l9::kernel::Started;
use l9::run::{Command, CommandRequest, RunState};
use l9::{Error, ErrorKind, Principal, Result, RunId, StartOptions};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::judge::Invariant;
use crate::model;
use crate::node::{AGENT, Node};
use crate::plans;
use crate::random::Random;

/// How long a client waits for an answer before it asks another node.
const PATIENCE: Duration = Duration::from_secs(4);

/// How many runs in a thousand have a deadline.
const DEADLINES: u64 = 200;

/// How many connections in a thousand a follower drops after an event.
const DROPPED: u64 = 40;

/// How many runs in a thousand are of a single call, and how many of a plan.
const SINGLE: u64 = 200;
const PLANS: u64 = 350;

/// What a client has carried out.
#[derive(Debug)]
enum Work {
    Tool { tool: &'static str, arguments: String },
    Agent { task: String },
    Plan { plan: Value, input: Value },
}

impl Work {
    fn draw(random: &mut Random, number: u64) -> Self {
        match random.below(1_000) {
            kind if kind < SINGLE => {
                let (tool, arguments) = model::any_call(random);
                Self::Tool { tool, arguments }
            }
            kind if kind < SINGLE + PLANS => {
                let (plan, input) = plans::draw(random);
                Self::Plan { plan, input }
            }
            _ => Self::Agent { task: format!("task {number}") },
        }
    }

    async fn start(&self, node: Arc<Node>, options: StartOptions) -> Result<Started> {
        let (engine, principal) = (&node.engine, Principal::local());
        match self {
            Self::Tool { tool, arguments } => engine.start_tool(&principal, &tool.parse()?, arguments, options).await,
            Self::Agent { task } => engine.start_agent(&principal, &AgentId::new(AGENT)?, task, options).await,
            Self::Plan { plan, input } => engine.start_plan(&principal, plan, input, options).await,
        }
    }
}

/// One client, with a task of its own.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) number: u64,
}

impl Client {
    /// Does everything this client does; ends when its run has ended before its eyes.
    pub(crate) async fn live(self, within: Duration) {
        let sim = Arc::clone(&self.cluster.sim);
        let (wait, cancels, keyed) = sim.draw(|random| {
            (random.millis(0, u64::try_from(within.as_millis()).unwrap_or(0)), random.chance(250), random.chance(850))
        });
        sim.timeline.sleep(wait).await;
        let Some(run) = self.start(keyed).await else { return };
        let canceller = cancels.then(|| tokio::spawn(self.clone().cancel(run)));
        let second = sim.draw(|random| random.chance(400)).then(|| tokio::spawn(self.clone().follow(run)));
        self.clone().follow(run).await;
        for other in [canceller, second].into_iter().flatten() {
            other.await.expect("a client does not panic");
        }
    }

    /// Asks any node, and gives it up when it does not answer in time.
    pub(crate) async fn ask<T, F: Future<Output = Result<T>>>(&self, ask: impl FnOnce(Arc<Node>) -> F) -> Result<T> {
        let sim = &self.cluster.sim;
        let answer = match self.cluster.any() {
            Some((_, node)) => {
                let patience = sim.timeline.sleep(PATIENCE);
                tokio::select! {
                    biased;
                    answer = ask(node) => answer,
                    () = patience => Err(Error::unavailable("no answer from the node")),
                }
            }
            None => Err(Error::unavailable("there is no node")),
        };
        if answer.as_ref().is_err_and(Error::is_retryable) {
            let wait = sim.draw(|random| random.millis(20, 1_500));
            sim.timeline.sleep(wait).await;
        }
        answer
    }

    /// Starts the run. Without a key nobody may ask again: what came of it stays unknown.
    async fn start(&self, keyed: bool) -> Option<RunId> {
        let sim = &self.cluster.sim;
        let priority = sim.draw(|random| random.below(3));
        let work = sim.draw(|random| Work::draw(random, self.number));
        let deadline = sim.draw(|random| random.chance(DEADLINES).then(|| random.millis(500, 30_000)));
        let options = StartOptions {
            idempotency_key: keyed.then(|| format!("task {}", self.number)),
            priority: i32::try_from(priority).unwrap_or(0),
            deadline,
            ..StartOptions::default()
        };
        let mut first = None;
        loop {
            match self.ask(|node| work.start(node, options.clone())).await {
                Ok(started) => {
                    let run = started.run;
                    sim.note(Some(run), format!("client {} has its start acknowledged: {work:?}", self.number));
                    sim.judge(|judge, _| judge.start_acknowledged(run));
                    if first.is_some_and(|first| first != run) {
                        let what = "one key started two runs";
                        sim.judge(|judge, _| judge.found(Invariant::StartKept, Some(run), what));
                    }
                    first = Some(run);
                    // Some ask again though they were answered.
                    if !keyed || !sim.draw(|random| random.chance(200)) {
                        return first;
                    }
                }
                Err(error) if error.is_retryable() && keyed => {}
                Err(error) if error.is_retryable() => return None,
                // It was started, and it is so long ago that it can't be told from another.
                Err(error) if first.map_or(error.kind() == ErrorKind::Expired, |run| self.has_expired(run, &error)) => {
                    return first;
                }
                Err(error) => {
                    self.surprised(None, "start", &error);
                    return None;
                }
            }
        }
    }

    /// Cancels the run, twice now and then, from whatever node answers.
    async fn cancel(self, run: RunId) {
        let sim = Arc::clone(&self.cluster.sim);
        let wait = sim.draw(|random| random.millis(0, 5_000));
        sim.timeline.sleep(wait).await;
        let id = format!("cancel-{}", self.number);
        self.command(run, id, Command::Cancel { reason: "enough".into() }).await;
    }

    /// Asks something of a run until it is acknowledged, or refused because the run is not
    /// there for it any more.
    pub(crate) async fn command(&self, run: RunId, id: String, command: Command) {
        let sim = Arc::clone(&self.cluster.sim);
        let id = CommandId::new(id).expect("a command id");
        let request = CommandRequest { id: id.clone(), by: format!("person:{}", self.number), command };
        loop {
            let asked = &request;
            let tenant = Principal::local().tenant;
            match self.ask(|node| async move { node.engine.command(&tenant, run, asked).await }).await {
                Ok(_) => {
                    sim.note(Some(run), format!("client {} has command {id} acknowledged", self.number));
                    sim.judge(|judge, now| judge.command_acknowledged(run, id.clone(), now));
                    if !sim.draw(|random| random.chance(200)) {
                        return;
                    }
                }
                Err(error) if error.is_retryable() => {}
                // It ended before, or does not wait for that.
                Err(error) if error.kind() == ErrorKind::Conflict => return,
                Err(error) => return self.gone(run, &error),
            }
        }
    }

    /// Follows the run to its end, folding what it is shown.
    pub(crate) async fn follow(self, run: RunId) {
        let sim = Arc::clone(&self.cluster.sim);
        let tenant = Principal::local().tenant;
        let (mut state, mut next) = (RunState::default(), 0);
        loop {
            // Whoever reconnects may ask for what they have seen already.
            let from = sim.draw(|random| if random.chance(200) { random.between(0, next) } else { next });
            let asked = &tenant;
            let feed = self.ask(|node| async move { node.engine.feed(asked, run, from).await }).await;
            sim.count(|counts| counts.reconnects += 1);
            let mut feed = match feed {
                Ok(feed) => feed,
                Err(error) if error.is_retryable() => continue,
                Err(error) => return self.gone(run, &error),
            };
            let mut expected = from;
            loop {
                let patience = sim.timeline.sleep(PATIENCE);
                let shown = tokio::select! {
                    biased;
                    shown = feed.next() => shown,
                    () = patience => break,
                };
                match shown {
                    Ok(Some((view, event))) => {
                        sim.count(|counts| counts.events_followed += 1);
                        sim.judge(|judge, _| judge.shown(run, view.seq, view.hash));
                        if view.seq != expected {
                            let what = format!("a client was shown {} where {expected} should be", view.seq);
                            return sim.judge(|judge, _| judge.found(Invariant::ClientSeesTheFold, Some(run), what));
                        }
                        expected += 1;
                        if view.seq == next {
                            next += 1;
                            if let Err(error) = state.apply(view.epoch, view.at, event.clone()) {
                                return self.surprised(Some(run), "fold", &error);
                            }
                            sim.judge(|judge, _| judge.folded(run, next, &state));
                        }
                    }
                    Ok(None) if next == expected && state.closed.is_some() => return,
                    Ok(None) => break,
                    Err(error) if error.is_retryable() => break,
                    Err(error) => return self.gone(run, &error),
                }
                if sim.draw(|random| random.chance(DROPPED)) {
                    break;
                }
            }
        }
    }

    /// Whoever comes too late is told so.
    fn gone(&self, run: RunId, error: &Error) {
        let expired = self.cluster.sim.judge(|judge, _| judge.stand(run)).is_some_and(|stand| stand.expired);
        if error.kind() != ErrorKind::Expired || !expired {
            self.surprised(Some(run), "see", error);
        }
    }

    /// Whether an error tells that bodies are gone, of a run or of one that left it, and they are.
    pub(crate) fn has_expired(&self, run: RunId, error: &Error) -> bool {
        error.kind() == ErrorKind::Expired && self.cluster.sim.judge(|judge, _| judge.has_expired(run))
    }

    /// An answer that no client should ever get.
    pub(crate) fn surprised(&self, run: Option<RunId>, asked: &str, error: &Error) {
        let what = format!("client {} asked to {asked} and heard {error:?}", self.number);
        self.cluster.sim.judge(|judge, _| judge.found(Invariant::ClientSeesTheFold, run, what));
    }
}
