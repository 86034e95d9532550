//! Questions to people: an effect that policy asks about waits for a decision, and the
//! decision binds exactly what was asked.
//!
//! A decision performs nothing: the effect starts again on the governed path, with the
//! decided arguments and the approval as one more fact.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call_state::CallState;
use super::state::RunState;
use super::stored::Stored;
use crate::digest::{Digest, sha256};
use crate::governor::{Choice, Facts};
use crate::id::{CallId, CommandId};
use crate::json;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::tool::{ContractHash, EffectClass};
use crate::{Error, Result};

/// A person is asked before an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalAsked {
    /// Its number among the run's questions, from 1.
    pub ask: u32,
    /// Which effect.
    pub call: CallId,
    /// The tool or model.
    pub target: String,
    /// The arguments as they would be executed; `null` for a model.
    pub arguments: Stored,
    /// SHA-256 of what would be executed, in canonical form: what an approval binds to.
    pub digest: Digest,
    /// The exact contract.
    pub contract: ContractHash,
    /// What a call does to the world.
    pub class: EffectClass,
    /// The rules that ask, and why.
    pub reasons: Vec<String>,
    /// What is known of the arguments.
    pub facts: Facts,
    /// The policy that asked.
    pub policy: Digest,
    /// When nobody is waited for any more.
    pub expires_at: Timestamp,
}

/// A question was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalDecided {
    /// Which question.
    pub ask: u32,
    /// Which effect.
    pub call: CallId,
    /// What was decided.
    pub answer: Answer,
    /// Who decided; nobody if its time passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// Why.
    pub reason: String,
    /// The command that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It may happen.
    Approved {
        /// Other arguments than were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Stored>,
        /// SHA-256 of what may be executed, in canonical form.
        digest: Digest,
        /// Until when it may begin.
        until: Timestamp,
        /// What else it holds for.
        #[serde(default)]
        remember: Remember,
    },
    /// It may not.
    Rejected,
    /// Nobody decided in time: policy does.
    Expired,
}

/// What an approval holds for besides the effect that was asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remember {
    /// Nothing else.
    #[default]
    Once,
    /// Further calls of the same tool in this run whose consequential arguments are the same.
    Class,
    /// Further calls of the same tool in this run that no further source has a part in.
    Provenance,
    /// Further calls of the same tool in this run.
    Run,
}

/// What a decision allows, until its effect has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Which question it answered.
    pub ask: u32,
    /// What it is bound to: the contract, what is executed, the policy that asked.
    pub contract: ContractHash,
    /// SHA-256 of what may be executed.
    pub digest: Digest,
    /// The policy that asked.
    pub policy: Digest,
    /// Other arguments than were asked for.
    pub arguments: Option<Stored>,
    /// Until when it may begin; `None` if nobody decided in time.
    pub until: Option<Timestamp>,
    /// Who decided.
    pub by: Option<Principal>,
    /// On whose behalf the effect was asked for.
    pub requester: Principal,
}

/// An approval that holds for further calls of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The question it came of.
    pub ask: u32,
    /// How far it reaches.
    pub reach: Remember,
    /// The exact contract.
    pub contract: ContractHash,
    /// The consequential arguments it was given for, by pointer.
    pub consequential: Vec<(String, Value)>,
    /// The sources that had a part.
    pub sources: BTreeSet<String>,
    /// The policy that asked.
    pub policy: Digest,
    /// Who decided.
    pub by: String,
}

impl Remembered {
    /// Whether it holds for another call.
    #[must_use]
    pub fn covers(&self, contract: ContractHash, policy: Digest, facts: &Facts, arguments: &Value) -> bool {
        let same = self.contract == contract && self.policy == policy;
        same && match self.reach {
            Remember::Once => false,
            Remember::Run => true,
            Remember::Provenance => sources(facts).is_subset(&self.sources),
            Remember::Class => consequential(facts, arguments) == self.consequential,
        }
    }
}

impl ApprovalDecided {
    /// Whether it is what somebody decides: the same of the same question, over again.
    pub(crate) fn is_again(&self, ask: u32, choice: &Choice, by: &Principal) -> bool {
        let same = match (&self.answer, choice) {
            (Answer::Rejected, Choice::Reject) => true,
            (
                Answer::Approved { arguments, digest, remember, .. },
                Choice::Approve { arguments: again, remember: reach },
            ) => {
                let executed = again.as_ref().map(|value| json::canonical(value).map(|text| sha256(&[&text])));
                remember == reach && executed.map_or(arguments.is_none(), |of| of.is_ok_and(|of| of == *digest))
            }
            _ => false,
        };
        same && self.ask == ask && self.by.as_ref().is_some_and(|who| who.identity() == by.identity())
    }
}

impl ApprovalAsked {
    /// The kind of its event.
    pub const KIND: &str = "approval.asked";

    /// The sources that have a part in its arguments.
    #[must_use]
    pub fn sources(&self) -> BTreeSet<String> {
        sources(&self.facts)
    }
}

fn sources(facts: &Facts) -> BTreeSet<String> {
    facts.arguments.iter().flat_map(|argument| argument.sources.iter().cloned()).collect()
}

fn consequential(facts: &Facts, arguments: &Value) -> Vec<(String, Value)> {
    let value = |pointer: &String| arguments.pointer(pointer).cloned().unwrap_or_default();
    facts.arguments.iter().map(|argument| (argument.pointer.clone(), value(&argument.pointer))).collect()
}

impl RunState {
    /// The questions that wait for a decision.
    pub fn questions(&self) -> impl Iterator<Item = &ApprovalAsked> {
        self.pending().filter_map(|(_, call)| match call {
            CallState::Asked(question) => Some(&**question),
            _ => None,
        })
    }

    /// The open question of a number.
    ///
    /// # Errors
    /// Why there is none, and which are open.
    pub fn question(&self, ask: u32) -> std::result::Result<&ApprovalAsked, String> {
        if self.closed.is_some() {
            return Err("the run has ended".to_owned());
        }
        self.questions().find(|question| question.ask == ask).ok_or_else(|| {
            let open: Vec<String> = self.questions().map(|question| question.ask.to_string()).collect();
            let others = if open.is_empty() { "none is".to_owned() } else { format!("open are {}", open.join(", ")) };
            format!("question {ask} is not open: {others}")
        })
    }

    /// The effects that were decided upon and not attempted yet.
    pub fn decided(&self) -> impl Iterator<Item = CallId> {
        self.approvals.keys().copied().filter(|call| !self.calls.contains_key(call))
    }

    /// The arguments that a person put in place of those that were asked for.
    #[must_use]
    pub fn amended(&self, call: CallId) -> Option<&Value> {
        self.value(self.approvals.get(&call)?.arguments.as_ref()?)
    }

    pub(super) fn ask(&mut self, question: Box<ApprovalAsked>) -> Result<()> {
        let (call, expected) = (question.call, self.asked + 1);
        if question.ask != expected {
            return Err(Error::corrupt(format!("question {} stands where {expected} should", question.ask)));
        }
        if self.calls.contains_key(&call) {
            return Err(Error::corrupt(format!("effect {call} was asked about when it was under way")));
        }
        self.asked = expected;
        self.approvals.remove(&call);
        self.reach(call);
        self.put(call, CallState::Asked(question));
        Ok(())
    }

    pub(super) fn decide_upon(&mut self, decided: ApprovalDecided) -> Result<()> {
        let ApprovalDecided { ask, call, answer, by, reason, .. } = decided;
        let open = matches!(self.calls.get(&call), Some(CallState::Asked(question)) if question.ask == ask);
        let question = match open.then(|| self.calls.remove(&call)).flatten() {
            Some(CallState::Asked(question)) => question,
            _ => return Err(Error::corrupt(format!("question {ask} was decided, but is not open"))),
        };
        self.pending.remove(&call);
        let requester = match &self.created {
            Some(created) => created.principal.clone(),
            None => return Err(Error::corrupt("a question of a run that never began")),
        };
        let (arguments, digest, until) = match answer {
            Answer::Rejected => {
                let who = by.map_or_else(|| "policy".to_owned(), |by| by.subject);
                let reasons = vec![format!("{who} rejected it: {reason}")];
                let stage = super::event::Stage::Approval;
                self.put(call, CallState::Denied { stage, code: "rejected".to_owned(), reasons });
                return Ok(());
            }
            Answer::Expired => (None, question.digest, None),
            Answer::Approved { arguments, digest, until, remember } => {
                if remember != Remember::Once {
                    self.remember(&question, arguments.as_ref(), remember, by.as_ref());
                }
                (arguments, digest, Some(until))
            }
        };
        let (contract, policy) = (question.contract, question.policy);
        self.approvals.insert(call, Approval { ask, contract, digest, policy, arguments, until, by, requester });
        Ok(())
    }

    fn remember(&mut self, question: &ApprovalAsked, edited: Option<&Stored>, reach: Remember, by: Option<&Principal>) {
        let arguments = self.value(edited.unwrap_or(&question.arguments)).cloned().unwrap_or_default();
        self.remembered.push(Remembered {
            ask: question.ask,
            reach,
            contract: question.contract,
            consequential: consequential(&question.facts, &arguments),
            sources: question.sources(),
            policy: question.policy,
            by: by.map_or_else(|| "policy".to_owned(), |by| by.subject.clone()),
        });
    }
}
