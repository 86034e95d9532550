//! The trait behind which policy decides, and the policy of a system without one.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::agent::AgentProfile;
use crate::budget::{Budget, Cost};
use crate::digest::Digest;
use crate::label::Label;
use crate::model::ModelName;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::tool::{Approval, ArgRole, Integrity, Manifest};

/// What policy is asked.
#[derive(Debug, Clone, Copy)]
pub struct PolicyRequest<'a> {
    /// On whose behalf.
    pub principal: &'a Principal,
    /// The agent that wants it; `None` when the principal asks directly.
    pub agent: Option<&'a AgentProfile>,
    /// What is wanted.
    pub action: Action<'a>,
    /// The label of everything the run has seen.
    pub label: &'a Label,
    /// What is known of the arguments.
    pub facts: &'a Facts,
    /// The most the run may use.
    pub budget: &'a Budget,
    /// What it used and holds reserved, without this effect.
    pub used: Cost,
    /// When it is asked.
    pub now: Timestamp,
    /// Whether somebody who may has approved exactly this effect with exactly these arguments.
    pub approved: bool,
    /// Whether somebody was asked, and nobody decided in time.
    pub timed_out: bool,
}

/// What is known of a call's arguments before policy decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The consequential arguments: those the manifest gives a role.
    pub arguments: Vec<ArgumentFact>,
    /// Whether something of the call stands in the principal's own words.
    pub grounded: bool,
}

impl Facts {
    /// What the run's label alone tells of the arguments: all that the manifest gives a role
    /// are as trusted as everything the run has seen.
    #[must_use]
    pub fn of_label(manifest: &Manifest, label: &Label) -> Self {
        let standing = if label.is_trusted() { Standing::Trusted } else { Standing::Untrusted };
        let arguments = manifest.args.iter().map(|(pointer, rule)| ArgumentFact {
            pointer: pointer.clone(),
            role: rule.role,
            required: rule.required_integrity,
            standing,
            sources: label.untrusted.clone(),
        });
        Self { arguments: arguments.collect(), grounded: label.is_trusted() }
    }
}

/// What is known of one consequential argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentFact {
    /// Where it stands: the manifest's JSON pointer.
    pub pointer: String,
    /// What it decides.
    pub role: ArgRole,
    /// What the manifest demands of it.
    pub required: Option<Integrity>,
    /// How far it is to be believed.
    pub standing: Standing,
    /// The untrusted sources it may come from, as they are shown to people.
    pub sources: BTreeSet<String>,
}

/// How far an argument is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It comes from trusted sources only.
    Trusted,
    /// It occurs in a trusted source: it is something that exists, but an untrusted source
    /// may have chosen it.
    Identity,
    /// An untrusted source may have made it up.
    Untrusted,
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Action<'a> {
    /// Call a tool.
    InvokeTool {
        /// Its contract.
        manifest: &'a Manifest,
        /// Its arguments, valid against the input schema.
        arguments: &'a serde_json::Value,
    },
    /// Ask a model.
    CallModel {
        /// The model.
        model: &'a ModelName,
    },
    /// Decide a question; the principal is whoever decides.
    Approve {
        /// On whose behalf the effect was asked for.
        requester: &'a Principal,
        /// The tool's contract, if a tool was asked for and is still there.
        manifest: Option<&'a Manifest>,
    },
}

/// What policy answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The rules that decided, for people.
    pub reasons: Vec<String>,
}

/// Allow, ask a person, or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Go on.
    Allow,
    /// A deny that an approval would turn into an allow.
    Ask,
    /// No.
    Deny,
}

/// Decides. Pure and quick: asked for every effect.
pub trait Policy: fmt::Debug + Send + Sync {
    /// The verdict on one effect.
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict;

    /// What the policy is, so that an approval under another can be told: a policy that can
    /// change gives another digest then.
    fn digest(&self) -> Digest {
        Digest::ZERO
    }
}

/// The least a governed system must hold to: an agent may call what its profile
/// grants; whatever the manifest marks as needing a person, or trusted arguments,
/// asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Baseline;

impl Policy for Baseline {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        let (decision, reason) = match (request.action, request.agent) {
            (Action::CallModel { .. }, _) => (Decision::Allow, "baseline: the model is the profile's own".to_owned()),
            (Action::InvokeTool { manifest, .. }, agent) => match tool(manifest, agent, request.label) {
                (Decision::Ask, _) if request.approved => (Decision::Allow, "baseline: approved".to_owned()),
                verdict => verdict,
            },
            (Action::Approve { .. }, _) => (Decision::Allow, "baseline: whoever is let in may decide".to_owned()),
        };
        Verdict { decision, reasons: vec![reason] }
    }
}

fn tool(manifest: &Manifest, agent: Option<&AgentProfile>, label: &Label) -> (Decision, String) {
    let id = &manifest.id;
    if let Some(agent) = agent.filter(|agent| !agent.may_call(id)) {
        let reason = format!("baseline: {id} is not granted to agent {}: add it to the profile's tools", agent.id);
        return (Decision::Deny, reason);
    }
    if manifest.approval == Approval::Always {
        return (Decision::Ask, format!("baseline: the manifest of {id} asks a person every time"));
    }
    let needs_trust = manifest.args.values().any(|rule| rule.required_integrity == Some(Integrity::Trusted));
    if (needs_trust || manifest.destructive) && !label.is_trusted() {
        let sources: Vec<&str> = label.untrusted.iter().map(String::as_str).collect();
        return (Decision::Ask, format!("baseline: {id} needs trusted arguments, but {} was read", sources.join(", ")));
    }
    (Decision::Allow, "baseline: granted".to_owned())
}
