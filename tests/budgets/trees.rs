//! Trees of delegation, made up at random and cut off at random: in every amount children
//! together never use more than their parent was given, what they did not use comes back, and
//! nothing begins once an amount is used up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9::governor::Permit;
use l9::id::CallId;
use l9::journal::{Journal as _, Leases as _, RunFilter};
use l9::kernel::Advance as _;
use l9::model::{
    DeltaSink, Estimate, Message, ModelClient, ModelFault, ModelRequest, ModelResponse, StopReason, ToolRequest, Usage,
};
use l9::run::{Event, RunState};
use l9::time::{Clock, Timestamp};
use l9::tool::EffectClass;
use l9::{AgentProfile, Budget, Cost, Engine, Principal, RunId, Runtime, StartOptions, native};
use l9_memory::in_memory::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::Nothing;
use crate::nodes::{LEASE, engine};

/// The most that one model call uses.
const MOST: Estimate = Estimate { tokens: 20, micro_usd: Some(50), egress_bytes: 300 };

/// Numbers that look like chance: Marsaglia's xorshift64.
#[derive(Debug)]
struct Chance(Mutex<u64>);

impl Chance {
    fn of(seed: u64) -> Self {
        Self(Mutex::new(seed | 1))
    }

    fn draw(&self, below: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) % below
    }
}

/// A clock that goes on by itself, and further when it is told to.
#[derive(Debug)]
struct Ahead {
    real: Arc<dyn Clock>,
    by: Mutex<Duration>,
}

impl Ahead {
    /// Of a clock, by nothing yet.
    fn of(real: &Arc<dyn Clock>) -> Self {
        Self { real: Arc::clone(real), by: Mutex::default() }
    }

    fn go_on(&self, by: Duration) {
        *self.by.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.after(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic() + *self.by.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.real.sleep(duration).await;
    }
}

/// A model that asks for the same calls in every run, and uses as much as chance says, never
/// more than it told.
#[derive(Debug)]
struct Node {
    plan: Mutex<Vec<(&'static str, String)>>,
    chance: Chance,
}

#[async_trait]
impl ModelClient for Node {
    fn default_model(&self) -> &str {
        "node"
    }

    fn estimate(&self, _: &ModelRequest) -> Estimate {
        MOST
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        _: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        permit.wait(Duration::from_millis(self.chance.draw(3))).await;
        let sent = permit.draw(self.chance.draw(MOST.egress_bytes + 1));
        sent.map_err(|error| ModelFault::new("bad_request", error.to_string()))?;
        if self.chance.draw(10) == 0 {
            return Err(ModelFault::new("cut_off", "as a test"));
        }
        let [input_tokens, output_tokens] = [0; 2].map(|_: u64| self.chance.draw(MOST.tokens / 2 + 1));
        let micro_usd = self.chance.draw(MOST.micro_usd.unwrap_or_default() + 1);
        let usage = Usage { input_tokens, output_tokens, micro_usd, ..Usage::default() };
        let response = ModelResponse { usage, model: "node".into(), ..ModelResponse::default() };
        if request.messages.iter().any(|message| matches!(message, Message::Assistant { .. })) {
            return Ok(ModelResponse { text: "done".into(), ..response });
        }
        let plan = self.plan.lock().unwrap().clone();
        let call = |(n, (name, arguments)): (usize, (&str, String))| ToolRequest {
            id: format!("call_{n}"),
            name: name.to_owned(),
            arguments,
        };
        let tools = plan.into_iter().enumerate().map(call).collect();
        Ok(ModelResponse { tools, stop: StopReason::Tools, ..response })
    }
}

/// Limits of some amounts, of each with that probability.
fn budget(limited: f64) -> impl Strategy<Value = Budget> {
    let up_to = move |most: u64| prop::option::weighted(limited, most / 20..most);
    (up_to(80), up_to(800), up_to(2_000), up_to(1_500_000_000), up_to(900_000), up_to(9_000)).prop_map(
        |(calls, tokens, micro_usd, fuel, time_ms, egress_bytes)| Budget {
            calls,
            tokens,
            micro_usd,
            fuel,
            time_ms,
            egress_bytes,
        },
    )
}

/// What a system is made of that may be built once for all trees.
struct World {
    runtime: Runtime,
    model: Arc<Node>,
}

impl World {
    async fn new() -> Self {
        let model = Arc::new(Node { plan: Mutex::default(), chance: Chance::of(11) });
        let mut agent = AgentProfile::new("node").unwrap().with_model("node").unwrap();
        for tool in ["office/work", "calc/evaluate"] {
            agent = agent.with_tool(tool).unwrap();
        }
        agent.delegates = vec!["node".parse().unwrap()];
        let work = native::tool("office/work", "1.0.0", "Works.").effect(EffectClass::Read);
        let runtime = Runtime::builder()
            .in_memory()
            .model("node", Arc::<Node>::clone(&model))
            .agent(agent)
            .tool(work.handler(|_, _: Nothing| async { Ok(Nothing {}) }))
            .build()
            .await
            .unwrap();
        Self { runtime, model }
    }

    /// Grows a tree to its end, each run advanced by whichever node is there; at every step
    /// that chance takes, the node dies at some point of what it does.
    async fn grow(&self, budget: Budget, deaths: u64, seed: u64) -> (Engine, RunId, u32) {
        // That of the governor: a lease is asked for by the one and looked at by the other.
        let clock = Arc::new(Ahead::of(&self.runtime.engine().parts().clock));
        let store = Arc::new(Store::new(Arc::<Ahead>::clone(&clock)));
        let node = |life: u32| engine(&self.runtime, &store, &clock, &format!("node-{life}"));
        let options = StartOptions { budget, ..StartOptions::default() };
        let agent = "node".parse().unwrap();
        let (mut life, chance) = (0, Chance::of(seed));
        let mut here = node(life);
        let root = here.start_agent(&Principal::local(), &agent, "go", options).await.unwrap().run;
        loop {
            let due = store.due(100, Duration::ZERO).await.unwrap();
            for task in due {
                if chance.draw(100) >= deaths {
                    here.advance(&task).await.unwrap();
                    continue;
                }
                let polls = chance.draw(40);
                let dies = async {
                    for _ in 0..polls {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    biased;
                    () = dies => {
                        life += 1;
                        here = node(life);
                        clock.go_on(2 * LEASE);
                    }
                    advanced = here.advance(&task) => drop(advanced.unwrap()),
                }
            }
            let rows = store.runs(&Principal::local().tenant, &RunFilter::default(), 1_000).await.unwrap();
            if rows.iter().all(|row| row.status.is_closed()) {
                return (here, root, life);
            }
            clock.go_on(Duration::from_secs(1));
        }
    }
}

/// Checks a run's journal record by record, and its children's; gives what it used and the most
/// that it might, and counts the runs.
async fn judge(engine: &Engine, run: RunId, judged: &mut usize) -> (Cost, Budget) {
    *judged += 1;
    let mut feed = engine.feed(&Principal::local().tenant, run, 0).await.unwrap();
    let (mut state, mut limits) = (RunState::default(), Budget::default());
    // What is charged, reckoned from the events alone.
    let (mut open, mut charged) = (BTreeMap::<CallId, Cost>::new(), Cost::default());
    let mut children = BTreeMap::new();
    loop {
        let page = feed.page().await.unwrap();
        if page.is_empty() {
            break;
        }
        for (view, event) in page {
            match &event {
                Event::RunCreated(created) => limits = created.budget,
                Event::EffectIntent(intent) => {
                    assert_eq!(limits.used_up(&state.spent), None, "{run}: something begins");
                    let cut_off = open.insert(intent.call, intent.reserved);
                    charged = charged.plus(cut_off.unwrap_or_default());
                }
                Event::ChildSpawned(spawned) => {
                    children.insert(spawned.call, Box::pin(judge(engine, spawned.run, judged)).await);
                }
                Event::EffectResult(result) => {
                    let reserved = open.remove(&result.call).unwrap();
                    let within = Budget::of(reserved);
                    assert_eq!(limits.limited_to(reserved).exceeded_by(&result.spent), None, "{run}: {event:?}");
                    assert!(children.contains_key(&result.call) || within.exceeded_by(&result.spent).is_none());
                    charged = charged.plus(result.spent);
                    if let Some((used, given)) = children.get(&result.call) {
                        let call = Cost { calls: 1, ..Cost::default() };
                        assert_eq!(result.spent, used.plus(call), "the child's own, and the delegation");
                        assert_eq!(reserved, given.most().plus(call), "all that it might use was held for it");
                        let missing = limits.amounts().into_iter().zip(given.amounts());
                        assert!(missing.into_iter().all(|((_, mine), (_, its))| mine.is_none() || its.is_some()));
                    }
                }
                Event::EffectRetry(retry) => {
                    open.remove(&retry.call).unwrap();
                    charged = charged.plus(retry.spent);
                }
                Event::EffectUnknown(unknown) => {
                    charged = charged.plus(open.remove(&unknown.call).unwrap()).plus(unknown.spent);
                }
                Event::EffectDenied(denied) => charged = charged.plus(open.remove(&denied.call).unwrap_or_default()),
                _ => {}
            }
            state.apply(view.epoch, view.at, event).unwrap();
            let held = open.values().fold(Cost::default(), |sum, reserved| sum.plus(*reserved));
            assert_eq!((state.spent, state.reserved), (charged, held), "{run} at {}", view.seq);
            assert_eq!(limits.exceeded_by(&state.spent.plus(state.reserved)), None, "{run} at {}", view.seq);
        }
    }
    assert!(state.closed.is_some() && state.reserved.is_zero(), "{run}: all is settled or refunded");
    (state.spent, limits)
}

#[test]
fn budgets_are_conserved_in_every_amount_over_crashes() {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = threads.block_on(World::new());
    let children = prop::collection::vec(budget(0.2), 0..3);
    let case = (budget(0.7), children, 0_usize..3, 0_usize..3, 0_u64..40, any::<u64>());
    let grown = Mutex::new((0, 0));
    let test = |(budget, asked, works, sums, deaths, seed): (Budget, Vec<Budget>, usize, usize, u64, u64)| {
        let delegate = |budget: &Budget| {
            ("run/delegate", serde_json::json!({"agent": "node", "input": "go", "budget": budget}).to_string())
        };
        let mut plan: Vec<_> = asked.iter().map(delegate).collect();
        plan.extend(vec![("office/work", "{}".to_owned()); works]);
        plan.extend(vec![("calc/evaluate", r#"{"expression":"6 * 7"}"#.to_owned()); sums]);
        if plan.is_empty() {
            plan.push(("office/work", "{}".to_owned()));
        }
        *world.model.plan.lock().unwrap() = plan;
        threads.block_on(async {
            let (engine, root, lives) = world.grow(budget, deaths, seed).await;
            let mut judged = 0;
            judge(&engine, root, &mut judged).await;
            let mut grown = grown.lock().unwrap();
            *grown = (grown.0 + judged, grown.1 + lives);
        });
        Ok(())
    };
    let config = Config { failure_persistence: None, ..Config::default() };
    let cases = config.cases as usize;
    TestRunner::new(config).run(&case, test).unwrap();
    let (runs, deaths) = *grown.lock().unwrap();
    println!("{cases} trees, {runs} runs, {deaths} deaths");
    assert!(runs > 2 * cases && deaths as usize > cases / 4, "{runs} runs, {deaths} deaths: too little was tried");
}
