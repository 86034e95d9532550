//! The engine: accepts runs, advances them, takes commands, lets others follow.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::handle::RunHandle;
use crate::agent::{AgentDecider, Profiles, ToolDecider};
use crate::budget::Budget;
use crate::digest::{Digest, sha256};
use crate::entropy::Entropy;
use crate::evidence;
use crate::governor::Governor;
use crate::id::{AgentId, RunId, TenantId};
use crate::journal::{Created, Lease, NewRun, RunRow, RunStore};
use crate::json;
use crate::label::Label;
use crate::principal::Principal;
use crate::queue::{Task, TaskQueue};
use crate::run::{Backing, Decider, Driver, Event, Feed, Hints, RunCreated, RunLog, RunState, Stand, Subject};
use crate::time::Clock;
use crate::tool::ToolName;
use crate::vault::Vault;
use crate::{Error, ErrorKind, Result};

/// The most bytes of an agent's input.
const INPUT_BYTES: usize = 256 << 10;

/// The longest that a run may be given: ten years.
const LONGEST: Duration = Duration::from_secs(315_360_000);

/// What an engine is made of.
#[derive(Debug, Clone)]
pub struct Components {
    /// Where runs are stored.
    pub store: Arc<dyn RunStore>,
    /// Where keys live.
    pub vault: Arc<dyn Vault>,
    /// The only way to an effect.
    pub governor: Arc<Governor>,
    /// Where runs wait for a worker.
    pub queue: Arc<dyn TaskQueue>,
    /// The agents.
    pub profiles: Arc<Profiles>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness; a seeded one makes runs reproducible.
    pub entropy: Arc<dyn Entropy>,
}

/// How an engine behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The node's name, journaled with every lease.
    pub node: String,
    /// This process's name as an owner of leases: never used by another.
    pub owner: String,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
}

/// What may be said when a run starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// The conversation it belongs to.
    pub session: Option<String>,
    /// The most it may use; the stricter of this and the profile's.
    pub budget: Budget,
    /// How long it may take before it is stopped.
    pub deadline: Option<Duration>,
    /// The label of its input.
    pub label: Label,
    /// Greater goes first.
    pub priority: i32,
    /// A second run under the same key is the first one.
    pub idempotency_key: Option<String>,
}

/// A run that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// Whether it was there already, under the same key or seed.
    pub existing: bool,
}

/// Accepts and advances runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) parts: Components,
    pub(super) settings: Settings,
    pub(super) backing: Backing,
    pub(super) driver: Driver,
    drain: CancellationToken,
    /// The end of every lease this process holds, in monotonic milliseconds.
    renewed_until: AtomicU64,
    /// Held while it is learnt which stops stand.
    pub(super) learning: tokio::sync::Mutex<()>,
    /// The runs that a task of this process advances.
    pub(super) advancing: Mutex<HashSet<RunId>>,
}

impl Engine {
    /// Puts the parts together. Nothing runs until a worker advances.
    #[must_use]
    pub fn new(parts: Components, settings: Settings) -> Self {
        let backing = Backing {
            store: Arc::clone(&parts.store),
            vault: Arc::clone(&parts.vault),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            hints: Hints::default(),
            queue: Arc::clone(&parts.queue),
        };
        let drain = CancellationToken::new();
        let driver = Driver {
            backing: backing.clone(),
            governor: Arc::clone(&parts.governor),
            profiles: Arc::clone(&parts.profiles),
            node: settings.node.clone(),
            ordered: parts.entropy.seed().is_some(),
            drain: drain.clone(),
        };
        let inner = Inner {
            parts,
            settings,
            backing,
            driver,
            drain,
            learning: tokio::sync::Mutex::default(),
            renewed_until: AtomicU64::new(0),
            advancing: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// This process's name as an owner of leases.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.inner.settings.owner
    }

    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &Components {
        &self.inner.parts
    }

    /// Accepts a run of an agent; durable when it returns.
    ///
    /// # Errors
    /// `NotFound` for an unknown agent, tool or model; `Invalid` for bad input, and for input
    /// that holds a known secret; `Conflict` when the idempotency key was used for another input.
    pub async fn start_agent(
        &self,
        principal: &Principal,
        agent: &AgentId,
        input: &str,
        options: StartOptions,
    ) -> Result<Started> {
        if input.trim().is_empty() {
            return Err(Error::invalid("the input is empty: say what the agent should do"));
        }
        if input.len() > INPUT_BYTES {
            return Err(Error::invalid(format!("the input has {} bytes: use at most {INPUT_BYTES}", input.len())));
        }
        let profile = (*self.inner.parts.profiles.get(agent)?).clone();
        let (profile, contracts) = self.inner.parts.governor.pin(&principal.tenant, profile)?;
        let budget = options.budget.within(profile.budget);
        let asked = ("agent", agent.as_str(), input);
        let make = |log: &mut RunLog| {
            Ok(Subject::Agent {
                profile: Box::new(profile),
                contracts,
                input: log.keep(Value::String(input.to_owned()))?,
            })
        };
        self.start(principal, asked, make, (AgentDecider::VERSION, budget), options).await
    }

    /// Accepts a run of one governed tool call; durable when it returns.
    ///
    /// # Errors
    /// `NotFound` for an unknown tool, `Denied` for one that may not be called; as
    /// [`Engine::start_agent`].
    pub async fn start_tool(
        &self,
        principal: &Principal,
        tool: &ToolName,
        arguments: &str,
        mut options: StartOptions,
    ) -> Result<Started> {
        let found = self.inner.parts.governor.registry().find(&principal.tenant, tool)?;
        if arguments.len() as u64 > found.manifest.limits.input_bytes {
            let limit = found.manifest.limits.input_bytes;
            return Err(Error::invalid(format!(
                "the arguments have {} bytes: {tool} takes at most {limit}",
                arguments.len()
            )));
        }
        let named = self.inner.parts.governor.named_as_written(&principal.tenant, &found.manifest, arguments);
        options.label.subjects.extend(named);
        let name = tool.to_string();
        let asked = ("tool", name.as_str(), arguments);
        let make = |log: &mut RunLog| {
            let arguments = log.keep_arguments(found.manifest.audit.args, Value::String(arguments.to_owned()))?;
            Ok(Subject::Tool { tool: tool.id.clone(), contract: found.contract, arguments })
        };
        self.start(principal, asked, make, (ToolDecider::VERSION, options.budget), options).await
    }

    /// `asked` is the kind, the name and the input or arguments; `make` takes the log that keeps
    /// what it is made of.
    pub(super) async fn start(
        &self,
        principal: &Principal,
        asked: (&str, &str, &str),
        make: impl FnOnce(&mut RunLog) -> Result<Subject>,
        (decider, budget): (u32, Budget),
        options: StartOptions,
    ) -> Result<Started> {
        let parts = &self.inner.parts;
        if let Some(why) = options.budget.oversized() {
            return Err(Error::invalid(format!("the budget cannot be kept: {why}")));
        }
        if options.deadline.is_some_and(|deadline| deadline.is_zero() || deadline > LONGEST) {
            return Err(Error::invalid("the deadline is not within a millisecond and ten years from now"));
        }
        options.label.check_subjects()?;
        let what = match asked.0 {
            "tool" => "the call's arguments hold",
            "plan" => "the plan holds",
            _ => "the input holds",
        };
        parts.governor.without_secrets(what, asked.2)?;
        let StartOptions { session, label, idempotency_key, priority, deadline, .. } = options;
        let request = json::canonical(&(
            principal.identity(),
            asked,
            &session,
            options.budget,
            deadline.map(|after| after.as_millis() as u64),
            &label,
        ))?;
        let request = sha256(&[b"l9.request.1\0", &request]);
        // Under a seed the id is a function of what is asked, so the same again is the same run.
        let run = RunId::generate(parts.clock.now(), &*parts.entropy, &format!("run/{request}"));
        let mut log = RunLog::begin(self.inner.backing.clone(), principal.tenant.clone(), run);
        let subject = make(&mut log)?;
        let (kind, name) = (subject.kind().to_owned(), subject.name().to_owned());
        let seed = parts.entropy.seed().map(|seed| seed.to_string());
        let principal = principal.clone();
        let deadline = deadline.map(|after| parts.clock.now().after(after));
        let parent = None;
        let created =
            RunCreated { subject, principal, session, budget, label, request, decider, deadline, parent, seed };
        log.push(Event::RunCreated(Box::new(created)))?;
        let (record, artifacts, about) =
            log.into_first().ok_or_else(|| Error::internal("a run without a first record"))?;
        self.accept(NewRun { kind, name, priority, idempotency_key, fork: None, record, artifacts, about }, request)
            .await
    }

    /// Stores a run and has it advanced; `request` is what its caller asked for.
    pub(super) async fn accept(&self, new: NewRun, request: Digest) -> Result<Started> {
        let parts = &self.inner.parts;
        let tenant = new.record.tenant.clone();
        if parts.governor.stops().is_ordered(&tenant) {
            let message = format!("tenant {tenant} is stopped: an admin's `unstop` lets it go on");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let (row, existing) = match parts.store.create(new).await? {
            Created::New(row) => (row, false),
            Created::Existing(row) => {
                self.same_request(&row, request).await?;
                (row, true)
            }
        };
        self.inner.backing.hints.appended(row.run, row.head.next, row.status.is_closed());
        if !row.status.is_closed() {
            let task = Task { tenant, run: row.run, priority: row.priority };
            // A full queue is no failure: the run is durable, and the reconciler finds it.
            if let Err(error) = parts.queue.enqueue(task, Duration::ZERO).await {
                tracing::warn!(run = %row.run, %error, "accepted but not queued; the reconciler will");
            }
        }
        Ok(Started { run: row.run, existing })
    }

    async fn same_request(&self, row: &RunRow, request: Digest) -> Result<()> {
        let own = row.own();
        let mut feed = self.feed(&row.tenant, row.run, own).await?;
        match feed.next().await? {
            Some((_, Event::RunCreated(first))) if first.request == request => Ok(()),
            Some((_, Event::RunForked(first))) if first.request == request => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Conflict,
                format!("run {} was started under the same key with another request: use a new key", row.run),
            )),
        }
    }

    /// Follows a run from a seq on.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Invalid` for a seq beyond its end.
    pub async fn feed(&self, tenant: &TenantId, run: RunId, from: u64) -> Result<Feed> {
        let parts = &self.inner.parts;
        let (store, vault, clock) = (Arc::clone(&parts.store), Arc::clone(&parts.vault), Arc::clone(&parts.clock));
        Feed::open(store, vault, clock, &self.inner.backing.hints, (tenant.clone(), run, from)).await
    }

    /// A handle on a run, from its first event on.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    pub async fn handle(&self, principal: &Principal, run: RunId) -> Result<RunHandle> {
        let feed = self.feed(&principal.tenant, run, 0).await?;
        Ok(RunHandle::new(run, feed, self.clone()))
    }

    /// The index row of a run.
    pub(super) async fn row(&self, tenant: &TenantId, run: RunId) -> Result<RunRow> {
        let row = self.inner.parts.store.run(tenant, run).await?;
        row.ok_or_else(|| Error::not_found(format!("run {run} does not exist")))
    }

    /// The index row and the folded state of a run, every record verified.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Corrupt` when it does not verify.
    pub async fn show(&self, tenant: &TenantId, run: RunId) -> Result<(RunRow, RunState)> {
        let row = self.row(tenant, run).await?;
        let log = RunLog::load(self.inner.backing.clone(), tenant.clone(), run, Stand::from(&row)).await?;
        Ok((row, log.state))
    }

    /// Verifies every record of every run.
    ///
    /// # Errors
    /// When the store cannot be read at all; what does not verify is in the report.
    pub async fn verify(&self) -> Result<evidence::Report> {
        evidence::verify(&*self.inner.parts.store, &*self.inner.parts.vault).await
    }

    /// Who hears that a run has something new.
    #[must_use]
    pub fn hints(&self) -> &Hints {
        &self.inner.backing.hints
    }

    /// How many runs this process advances at the moment.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.inner.advancing.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Lets every run go at its next step; effects under way are waited for.
    pub fn drain(&self) {
        self.inner.drain.cancel();
    }

    /// Renews this process's leases until it drains and is dropped. Spawn it once.
    pub async fn renew_leases(self) {
        let every = self.inner.settings.lease / 3;
        loop {
            self.inner.parts.clock.sleep(every).await;
            let asked = self.inner.parts.clock.monotonic();
            match self.inner.parts.store.renew(&self.inner.settings.owner, self.inner.settings.lease).await {
                Ok(leases) => {
                    self.inner.extend(asked);
                    self.inner.give_up_strays(leases).await;
                }
                Err(error) => tracing::warn!(%error, "leases were not renewed"),
            }
        }
    }

    pub(super) fn decider(&self, state: &RunState) -> Result<Box<dyn Decider>> {
        let created = state.created()?;
        let (newest, decider): (u32, Box<dyn Decider>) = match &created.subject {
            Subject::Agent { contracts, .. } => {
                let registry = self.inner.parts.governor.registry();
                // The model is shown only what is still there under the pinned contract.
                let tools: Vec<_> = contracts
                    .iter()
                    .filter_map(|(id, contract)| registry.known(&created.principal.tenant, id, contract))
                    .collect();
                (AgentDecider::VERSION, Box::new(AgentDecider::new(tools.iter().map(|tool| &**tool))))
            }
            Subject::Tool { .. } => (ToolDecider::VERSION, Box::new(ToolDecider)),
            Subject::Plan { .. } => {
                let plans = self.inner.parts.governor.plans();
                (plans.version(), plans.decider())
            }
        };
        if created.decider > newest {
            let message = format!("the run needs decider {}, this version has {newest}: upgrade it", created.decider);
            return Err(Error::new(ErrorKind::Newer, message));
        }
        Ok(decider)
    }
}

impl Inner {
    fn extend(&self, asked: Duration) {
        let until = asked + self.settings.lease;
        self.renewed_until.fetch_max(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Gives up the leases that no task of this process asked for any more when they were
    /// granted: whoever takes such a run next gets a greater epoch.
    async fn give_up_strays(&self, leases: Vec<Lease>) {
        let mine = self.advancing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for stray in leases.into_iter().filter(|lease| !mine.contains(&lease.run)) {
            if let Err(error) = self.parts.store.release(&stray, Some(Duration::ZERO)).await {
                tracing::warn!(run = %stray.run, %error, "a lease that nobody uses was not released");
            }
        }
    }

    pub(super) fn renewed(&self) -> Duration {
        Duration::from_millis(self.renewed_until.load(Ordering::Relaxed))
    }
}
