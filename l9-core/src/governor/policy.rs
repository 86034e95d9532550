//! The trait behind which policy decides, and what it is told. It must not decide anything.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::administer::Operation;
use crate::agent::AgentProfile;
use crate::budget::{Budget, Cost};
use crate::digest::Digest;
use crate::id::AgentId;
use crate::label::{Confidentiality, Label};
use crate::model::ModelName;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::tool::{ArgRole, Integrity, Manifest};

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

/// What is known of a call before policy decides, computed from what the run has read; a
/// rule needs nothing else, and no text but what it shows to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The consequential arguments: those the manifest gives a role, and the links within
    /// any words of the call.
    pub arguments: Vec<ArgumentFact>,
    /// Whether something of the call stands in the principal's own words. True as well when
    /// the run has read nothing untrusted, and of tools that declare no consequential argument.
    pub grounded: bool,
    /// The untrusted sources that the run has read, as they are shown to people: whoever
    /// wrote them may have chosen this call. Empty when nobody can have.
    pub untrusted: BTreeSet<String>,
    /// The most confidential of what the arguments pass on.
    pub confidentiality: Confidentiality,
}

/// What stands for a value that is not named.
const UNNAMED: &str = "it";

impl Facts {
    /// The same without the arguments' values: they are for people, and decide nothing.
    #[must_use]
    pub(super) fn without_values(mut self) -> Self {
        self.arguments.iter_mut().for_each(|fact| UNNAMED.clone_into(&mut fact.value));
        self
    }

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
            value: UNNAMED.to_owned(),
            written: false,
            shown: false,
            embedded: false,
        });
        Self {
            arguments: arguments.collect(),
            grounded: label.is_trusted(),
            untrusted: label.untrusted.clone(),
            confidentiality: label.confidentiality,
        }
    }
}

/// What is known of one consequential argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgumentFact {
    /// Where it stands: the manifest's JSON pointer, or that of the words that hold a link, or of
    /// the argument itself where only the empty pointer covers it.
    pub pointer: String,
    /// What it decides.
    pub role: ArgRole,
    /// What the manifest demands of it.
    pub required: Option<Integrity>,
    /// How far it is to be believed.
    pub standing: Standing,
    /// The untrusted sources it may come from, as they are shown to people.
    pub sources: BTreeSet<String>,
    /// The beginning of the value that the standing is about, for people; never a secret.
    pub value: String,
    /// Whether it occurs in nothing that the run has read, nor in what it was told: the model
    /// wrote it itself.
    pub written: bool,
    /// Whether it stands, letter by letter, in something that the run has read or was told: to
    /// repeat it tells whoever receives it nothing.
    pub shown: bool,
    /// Whether it is a link within words, and no argument by itself.
    pub embedded: bool,
}

/// How far an argument is to be believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The principal chose it: it stands in their words, in the one record that their words
    /// name, or nothing untrusted was read at all.
    #[default]
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
    /// Read what is remembered.
    ReadMemory {
        /// Whose memory: an agent's id, or `tenant` for all of the tenant's.
        scope: &'a str,
    },
    /// Remember or forget something.
    WriteMemory {
        /// Whose memory: an agent's id, or `tenant` for all of the tenant's.
        scope: &'a str,
    },
    /// Have another agent do something.
    Delegate {
        /// The other agent.
        to: &'a AgentId,
        /// Whether the profile names it.
        granted: bool,
    },
    /// Change the system itself, or stop it.
    Administer {
        /// What is done.
        operation: Operation,
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

impl Verdict {
    /// The stricter of both; the first if they are equal, with the reasons of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        match self.decision.cmp(&other.decision) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Equal => {
                self.reasons.extend(other.reasons);
                self
            }
            std::cmp::Ordering::Greater => self,
        }
    }
}

/// Allow, ask a person, or deny: each is stricter than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

    /// What expressly forbids a request, for people: rules that were written for its action and
    /// could be evaluated. It is asked where silence must not deny.
    fn prohibitions(&self, _: &PolicyRequest<'_>) -> Vec<String> {
        Vec::new()
    }

    /// What the policy is, so that an approval under another can be told: a policy that can
    /// change gives another digest then.
    fn digest(&self) -> Digest {
        Digest::ZERO
    }

    /// Why newer policies than those that decide cannot be used, if they cannot.
    fn fault(&self) -> Option<String> {
        None
    }
}
