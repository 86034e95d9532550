//! Requests that might be asked: enough of them that a policy which decides on none of them
//! most likely decides on none at all. They are made, never read from a run.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::compile::Rule;
use crate::agent::AgentProfile;
use crate::budget::{Budget, Cost};
use crate::governor::Operation;
use crate::governor::policy::{Action, ArgumentFact, Facts, PolicyRequest, Standing};
use crate::id::AgentId;
use crate::label::{Confidentiality, Label};
use crate::model::ModelName;
use crate::principal::{Principal, Role, Roles};
use crate::time::Timestamp;
use crate::tool::{Approval, ArgRole, EffectClass, Integrity, Manifest};

const CONFIDENTIALITY: [Confidentiality; 4] =
    [Confidentiality::Public, Confidentiality::Tenant, Confidentiality::Subject, Confidentiality::Secret];

const STANDINGS: [Standing; 3] = [Standing::Trusted, Standing::Identity, Standing::Untrusted];

const ROLES: [ArgRole; 8] = [
    ArgRole::Recipient,
    ArgRole::Url,
    ArgRole::Path,
    ArgRole::Target,
    ArgRole::Amount,
    ArgRole::Time,
    ArgRole::Secret,
    ArgRole::Body,
];

/// What a made-up request is about.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    Tool(Box<Manifest>),
    Model(ModelName),
    Read(String),
    Write(String),
    Delegate(AgentId, bool),
    Approve(Option<Box<Manifest>>, Principal),
    Administer(Operation),
}

/// A request that was made up.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    principal: Principal,
    agent: Option<AgentProfile>,
    subject: Subject,
    arguments: Value,
    label: Label,
    facts: Facts,
    budget: Budget,
    used: Cost,
    now: Timestamp,
    timed_out: bool,
}

impl Probe {
    fn of(subject: Subject) -> Self {
        let agent = match &subject {
            Subject::Tool(manifest) => agent("helper", Some(manifest)),
            _ => agent("helper", None),
        };
        Self {
            principal: Principal::local(),
            agent,
            subject,
            arguments: json!({}),
            label: Label::trusted(),
            facts: Facts { grounded: true, ..Facts::default() },
            budget: Budget::default(),
            used: Cost::default(),
            now: Timestamp::EPOCH,
            timed_out: false,
        }
    }

    /// The request, with and without an approval.
    pub(super) fn request(&self, approved: bool) -> PolicyRequest<'_> {
        let action = match &self.subject {
            Subject::Tool(manifest) => Action::InvokeTool { manifest, arguments: &self.arguments },
            Subject::Model(model) => Action::CallModel { model },
            Subject::Read(scope) => Action::ReadMemory { scope },
            Subject::Write(scope) => Action::WriteMemory { scope },
            Subject::Delegate(to, granted) => Action::Delegate { to, granted: *granted },
            Subject::Approve(manifest, requester) => Action::Approve { requester, manifest: manifest.as_deref() },
            Subject::Administer(operation) => Action::Administer { operation: *operation },
        };
        PolicyRequest {
            principal: &self.principal,
            agent: self.agent.as_ref(),
            action,
            label: &self.label,
            facts: &self.facts,
            budget: &self.budget,
            used: self.used,
            now: self.now,
            approved,
            timed_out: self.timed_out,
        }
    }
}

fn agent(id: &str, grants: Option<&Manifest>) -> Option<AgentProfile> {
    let mut agent = AgentProfile::new(id).ok()?;
    agent.tools.extend(grants.map(|manifest| manifest.id.clone().into()));
    Some(agent)
}

/// A tool of every kind, beside those that are registered.
fn tools(registered: &[Manifest]) -> Vec<Manifest> {
    let mut all = registered.to_vec();
    for effect in EffectClass::ALL {
        for flags in 0..8 {
            // A name of its own, so that what is told of it need not be told anew.
            let Some(mut manifest) = tool(&format!("example/thing-{}", all.len())) else { continue };
            manifest.effect = effect;
            manifest.destructive = flags & 1 != 0;
            manifest.approval = if flags & 2 != 0 { Approval::Always } else { Approval::Policy };
            manifest.labels.max_confidentiality_out = (flags & 4 != 0).then_some(Confidentiality::Public);
            all.push(manifest);
        }
    }
    all
}

fn tool(id: &str) -> Option<Manifest> {
    serde_json::from_value(json!({
        "schema_version": 1, "id": id, "version": "1.0.0", "title": id, "description": id,
        "runtime": {"kind": "native"}, "input_schema": {"type": "object"},
        "args": {"/it": {"role": "recipient"}},
    }))
    .ok()
}

fn people() -> Vec<Principal> {
    let with = |subject: &str, roles: Roles| Principal { subject: subject.to_owned(), roles, ..Principal::local() };
    let mut people = vec![with("person:ada", Roles::default()), with("service:ci", Roles::all())];
    people.extend(Role::ALL.into_iter().map(|role| with("person:ada", std::iter::once(role).collect())));
    people
}

/// What may be known of a call, one thing after another.
fn facts() -> Vec<(Facts, bool)> {
    let read = || BTreeSet::from(["web/read in step 1".to_owned()]);
    let mut all = Vec::new();
    for grounded in [true, false] {
        all.push((Facts { grounded, ..Facts::default() }, false));
        all.push((Facts { grounded, untrusted: read(), ..Facts::default() }, false));
    }
    all.extend(
        CONFIDENTIALITY.map(|confidentiality| (Facts { grounded: true, confidentiality, ..Facts::default() }, false)),
    );
    all.push((Facts { grounded: true, ..Facts::default() }, true));
    for fact in arguments() {
        let untrusted = if fact.standing == Standing::Trusted { BTreeSet::new() } else { read() };
        all.push((Facts { arguments: vec![fact], grounded: true, untrusted, ..Facts::default() }, false));
    }
    all
}

fn arguments() -> Vec<ArgumentFact> {
    let mut all = Vec::new();
    for (role, embedded) in ROLES.into_iter().map(|role| (role, false)).chain([(ArgRole::Url, true)]) {
        for (standing, kinds) in STANDINGS.into_iter().zip([1, 2, 8]) {
            for flags in 0..kinds {
                all.push(ArgumentFact {
                    pointer: "/it".into(),
                    role,
                    required: (flags & 1 != 0).then_some(Integrity::Trusted),
                    standing,
                    sources: BTreeSet::new(),
                    value: "it".into(),
                    written: flags & 2 != 0,
                    shown: flags & 4 != 0,
                    embedded,
                });
            }
        }
    }
    all
}

/// The requests that are asked of every set of policies.
pub(super) fn usual(registered: &[Manifest]) -> Vec<Probe> {
    let (people, facts) = (people(), facts());
    let mut all = Vec::new();
    for manifest in tools(registered) {
        let base = Probe::of(Subject::Tool(Box::new(manifest.clone())));
        all.extend(facts.iter().map(|(facts, timed_out)| Probe {
            facts: facts.clone(),
            timed_out: *timed_out,
            ..base.clone()
        }));
        all.push(Probe { agent: agent("helper", None), ..base.clone() });
        all.extend(people.iter().map(|who| Probe { agent: None, principal: who.clone(), ..base.clone() }));
        for own in [true, false] {
            all.extend(people.iter().map(|who| decision(Some(manifest.clone()), who, own)));
        }
    }
    let scopes = ["tenant", "helper"].map(str::to_owned);
    let others = scopes.iter().flat_map(|scope| [Subject::Read(scope.clone()), Subject::Write(scope.clone())]);
    let administered = Operation::ALL.map(Subject::Administer);
    let mut subjects: Vec<Subject> = others.chain([Subject::Model(ModelName::auto())]).chain(administered).collect();
    if let Ok(other) = AgentId::new("other") {
        subjects.extend([true, false].map(|granted| Subject::Delegate(other.clone(), granted)));
    }
    for subject in subjects {
        let base = Probe::of(subject);
        all.push(base.clone());
        all.extend(people.iter().map(|who| Probe { agent: None, principal: who.clone(), ..base.clone() }));
    }
    all.extend([true, false].into_iter().flat_map(|own| people.iter().map(move |who| decision(None, who, own))));
    all
}

fn decision(manifest: Option<Manifest>, who: &Principal, own: bool) -> Probe {
    let requester = if own { who.clone() } else { Principal { subject: "person:else".into(), ..who.clone() } };
    let base = Probe::of(Subject::Approve(manifest.map(Box::new), requester));
    Probe { agent: None, principal: who.clone(), ..base }
}

/// Requests that hold what a policy compares with, in every combination that chance brings;
/// the same for the same policy.
pub(super) struct Around<'a> {
    rule: &'a Rule,
    people: Vec<Principal>,
    facts: Vec<(Facts, bool)>,
    tools: Vec<Manifest>,
    chance: Chance,
}

impl<'a> Around<'a> {
    pub(super) fn new(rule: &'a Rule, registered: &[Manifest]) -> Self {
        let of =
            |kind: &'static str| rule.usage.entities.iter().filter(move |(found, _)| found == kind).map(|(_, id)| id);
        let mut tools = tools(registered);
        for kind in tools.clone() {
            let spaces = of("L9::Namespace").map(|space| format!("{space}/thing"));
            let named = of("L9::Tool").cloned().chain(spaces).chain(rule.usage.words.iter().cloned());
            let ids = named.filter_map(|id| crate::id::ToolId::new(id).ok());
            tools.extend(ids.map(|id| Manifest { id, ..kind.clone() }));
        }
        let mut people = people();
        let subjects = of("L9::Person").map(|name| format!("person:{name}"));
        let services = of("L9::Service").map(|name| format!("service:{name}"));
        for subject in subjects.chain(services).chain(rule.usage.words.iter().cloned()) {
            people.push(Principal { subject, ..Principal::local() });
        }
        Self { rule, people, facts: facts(), tools, chance: Chance(0x9E37_79B9_7F4A_7C15) }
    }

    /// The next made-up request.
    pub(super) fn next(&mut self) -> Probe {
        let (words, entities) = (self.rule.usage.words.clone(), self.rule.usage.entities.clone());
        let manifest = self.tools[self.chance.draw(self.tools.len())].clone();
        let named = |kind: &str| {
            entities.iter().filter(|(found, _)| found == kind).map(|(_, id)| id.clone()).collect::<Vec<_>>()
        };
        let words: Vec<String> = words.into_iter().collect();
        let who = self.people[self.chance.draw(self.people.len())].clone();
        let subject = match self.chance.draw(8) {
            0 => Subject::Model(self.model(&words, &named("L9::Model"))),
            1 => Subject::Read(self.pick(&named("L9::MemoryScope"), "helper")),
            2 => Subject::Write(self.pick(&named("L9::MemoryScope"), "helper")),
            3 => match AgentId::new(self.pick(&named("L9::AgentProfile"), "other")) {
                Ok(to) => Subject::Delegate(to, self.chance.draw(2) == 0),
                Err(_) => Subject::Administer(self.operation()),
            },
            4 if self.chance.draw(2) == 0 => Subject::Administer(self.operation()),
            4 => Subject::Approve(Some(Box::new(manifest)), self.people[self.chance.draw(self.people.len())].clone()),
            _ => Subject::Tool(Box::new(manifest)),
        };
        let mut probe = Probe::of(subject);
        probe.principal = who;
        if let Ok(tenant) = crate::id::TenantId::new(self.pick(&words, "default")) {
            probe.principal.tenant = tenant;
        }
        let grants = match &probe.subject {
            Subject::Tool(manifest) if self.chance.draw(8) != 0 => Some((**manifest).clone()),
            _ => None,
        };
        let name = self.pick(&named("L9::Agent"), "helper");
        probe.agent = if self.chance.draw(3) == 0 { None } else { agent(&name, grants.as_ref()) };
        (probe.facts, probe.timed_out) = self.facts[self.chance.draw(self.facts.len())].clone();
        probe.label.untrusted = words.iter().filter(|_| self.chance.draw(2) == 0).cloned().collect();
        let mut values: Vec<&str> = words.iter().filter(|_| self.chance.draw(2) == 0).map(String::as_str).collect();
        if self.chance.draw(2) == 0 {
            values.push("what no policy names");
        }
        probe.arguments = json!({"it": values});
        let nothing = Cost::default();
        probe.used = nothing.with(nothing, |_, _| self.amount());
        probe.budget = Budget::of(probe.used).with(Budget::default(), |used, _| {
            let more = self.amount();
            used.map(|used| used + more).filter(|_| self.chance.draw(2) != 0)
        });
        probe.now = self.time();
        probe
    }

    fn operation(&mut self) -> Operation {
        Operation::ALL[self.chance.draw(Operation::ALL.len())]
    }

    fn model(&mut self, words: &[String], named: &[String]) -> ModelName {
        let whole = self.pick(named, "openai/model");
        let name = whole.parse().unwrap_or_else(|_| ModelName::auto());
        match self.chance.draw(3) {
            0 => ModelName { provider: self.pick(words, "openai"), ..name },
            1 => ModelName { model: Some(self.pick(words, "model")), ..name },
            _ => name,
        }
    }

    /// A number around one that the policy compares with.
    fn amount(&mut self) -> u64 {
        let numbers: Vec<i64> = self.rule.usage.numbers.iter().copied().collect();
        match self.chance.draw(numbers.len() + 1) {
            0 => 0,
            at => (numbers[at - 1].max(0) as u64).saturating_add(self.chance.draw(3) as u64).saturating_sub(1),
        }
    }

    /// A time around one that the policy compares with, at any hour.
    fn time(&mut self) -> Timestamp {
        let times: Vec<Timestamp> = self.rule.usage.times.iter().filter_map(|text| time(text)).collect();
        let base = match self.chance.draw(times.len() + 1) {
            0 => Timestamp::EPOCH,
            at => Timestamp::from_millis(times[at - 1].as_millis() - 1),
        };
        base.after(Duration::from_millis([0, 1, 2, self.chance.draw(8 * 24) as u64 * 3_600_000][self.chance.draw(4)]))
    }

    fn pick(&mut self, from: &[String], usual: &str) -> String {
        match self.chance.draw(from.len() + 1) {
            0 => usual.to_owned(),
            at => from[at - 1].clone(),
        }
    }
}

/// Numbers that look like chance, and are the same every time: Marsaglia's xorshift64.
struct Chance(u64);

impl Chance {
    /// A number below another.
    fn draw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below.max(1)
    }
}

/// A date, or a date and a time.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()
}
