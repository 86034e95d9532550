//! The policy of a system that was given no other: its rules over facts, and nothing else.
//!
//! Every rule reads one request and keeps no state, so that another policy language can say
//! the same rule by rule. Nothing here may look at what a text says.

use std::collections::BTreeSet;

use super::administer::Operation;
use super::policy::{Action, ArgumentFact, Decision, Facts, Policy, PolicyRequest, Standing, Verdict};
use crate::agent::AgentProfile;
use crate::principal::Role;
use crate::tool::{Approval, ArgRole, EffectClass, Integrity, Manifest};

/// The most sources that a reason names.
const NAMED: usize = 3;

/// The least a governed system must hold to. An agent may call what its profile grants. A
/// consequential argument needs a trusted source: what merely exists may receive something,
/// but is neither selected as a target nor destroyed without a question.
#[derive(Debug, Clone, Copy, Default)]
pub struct Baseline;

impl Policy for Baseline {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        let (manifest, agent) = match (request.action, request.agent) {
            (Action::CallModel { .. }, _) => return allow("model: the model is the profile's own"),
            (Action::Administer { .. }, _) if request.principal.roles.allow(Role::Admin) => {
                return allow("administer: an admin administers");
            }
            (Action::Administer { operation: Operation::Stop }, _) if request.principal.roles.allow(Role::Operator) => {
                return allow("stop: an operator may stop what runs");
            }
            (Action::Administer { operation }, _) => {
                return deny(format!("administer: {} is no admin, which {operation} needs", request.principal.subject));
            }
            (Action::ReadMemory { .. } | Action::WriteMemory { .. }, _) => {
                return allow("memory: it is the tenant's own");
            }
            (Action::Delegate { granted: true, .. }, _) => return allow("delegate: the profile names the agent"),
            (Action::Delegate { to, .. }, _) => {
                return deny(format!("delegate: the profile does not name {to}: add it to whom it may delegate to"));
            }
            (Action::Approve { .. }, _) if request.principal.roles.allow(Role::Approver) => {
                return allow("approve: an approver decides");
            }
            (Action::Approve { .. }, _) => {
                let reason = format!("approve: {} is no approver", request.principal.subject);
                return Verdict { decision: Decision::Deny, reasons: vec![reason] };
            }
            (Action::InvokeTool { manifest, .. }, agent) => (manifest, agent),
        };
        if let Some(reason) = ungranted(manifest, agent) {
            return Verdict { decision: Decision::Deny, reasons: vec![reason] };
        }
        let reasons = concerns(manifest, request.facts);
        if reasons.is_empty() {
            return allow("granted: nothing in it needs a person");
        }
        if request.approved {
            return allow("approved: a person who may has approved exactly this");
        }
        Verdict { decision: Decision::Ask, reasons }
    }
}

fn deny(reason: String) -> Verdict {
    Verdict { decision: Decision::Deny, reasons: vec![reason] }
}

fn allow(reason: &str) -> Verdict {
    Verdict { decision: Decision::Allow, reasons: vec![reason.to_owned()] }
}

/// `grant`: what the profile does not name is denied.
fn ungranted(manifest: &Manifest, agent: Option<&AgentProfile>) -> Option<String> {
    let (agent, id) = (agent?, &manifest.id);
    (!agent.may_call(id))
        .then(|| format!("grant: {id} is not granted to agent {}: add it to the profile's tools", agent.id))
}

/// Everything about a call that a person should decide, rule by rule.
fn concerns(manifest: &Manifest, facts: &Facts) -> Vec<String> {
    let id = &manifest.id;
    let writes = manifest.effect.writes();
    // What L9 keeps itself carries its labels along, so that nothing gains trust by it.
    let outward = writes && manifest.effect != EffectClass::SameDbWrite;
    let mut reasons = Vec::new();
    if manifest.approval == Approval::Always {
        reasons.push(format!("approval: the manifest of {id} asks a person every time"));
    }
    reasons.extend(facts.arguments.iter().filter_map(|fact| concern(fact, writes, manifest.destructive)));
    if let Some(most) = manifest.labels.max_confidentiality_out.filter(|most| facts.confidentiality > *most) {
        let held = facts.confidentiality;
        reasons.push(format!("confidentiality: {id} may be given {most}, and this holds {held}"));
    }
    if !facts.untrusted.is_empty() {
        let read = listed(&facts.untrusted);
        if manifest.destructive && facts.arguments.iter().all(|fact| !selects(fact.role)) {
            reasons.push(format!("destructive: {id} cannot be undone, and the run has read {read}"));
        }
        if outward && !facts.grounded {
            reasons.push(format!("grounding: nothing in it stands in the request, and the run has read {read}"));
        }
    }
    reasons
}

/// What is wrong with one argument, if anything.
fn concern(fact: &ArgumentFact, writes: bool, destructive: bool) -> Option<String> {
    let (trusted, made_up) = (fact.standing == Standing::Trusted, fact.standing == Standing::Untrusted);
    let rule = match fact.role {
        _ if fact.required == Some(Integrity::Trusted) && !trusted => "required",
        // A read that carries nothing out may look at anything.
        ArgRole::Url if !writes => return (made_up && !fact.shown).then(|| explain("url", fact)),
        _ if !writes => return None,
        role if destructive && selects(role) && !trusted => "destructive",
        ArgRole::Target if !trusted => "target",
        // When something happens is harmless unless a source that is not trusted names it.
        ArgRole::Time if made_up && !fact.written => "time",
        ArgRole::Recipient if made_up => "recipient",
        ArgRole::Url if made_up && fact.embedded => "link",
        ArgRole::Url if made_up => "url",
        ArgRole::Path if made_up => "path",
        ArgRole::Amount if made_up => "amount",
        ArgRole::Secret if made_up => "secret",
        _ => return None,
    };
    Some(explain(rule, fact))
}

/// Whether an argument of that role says what is acted upon, or who has it afterwards.
fn selects(role: ArgRole) -> bool {
    !matches!(role, ArgRole::Body | ArgRole::Time)
}

pub(super) fn explain(rule: &str, fact: &ArgumentFact) -> String {
    let ArgumentFact { pointer, value, sources, .. } = fact;
    let what = if fact.embedded { format!("the link {value} in {pointer}") } else { format!("{value} at {pointer}") };
    let why = match fact.standing {
        Standing::Trusted => return format!("{rule}: {what}"),
        Standing::Identity => "exists, but the request does not name it".to_owned(),
        Standing::Untrusted if fact.written => {
            format!("stands in nothing that is trusted, and the run has read {}", listed(sources))
        }
        Standing::Untrusted => format!("comes from {}", listed(sources)),
    };
    format!("{rule}: {what} {why}")
}

fn listed(sources: &BTreeSet<String>) -> String {
    let mut named: Vec<&str> = sources.iter().take(NAMED).map(String::as_str).collect();
    let more = sources.len().saturating_sub(NAMED);
    let rest = format!("{more} more");
    if more > 0 {
        named.push(&rest);
    }
    if named.is_empty() { "what is not trusted".to_owned() } else { named.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(role: ArgRole, standing: Standing) -> ArgumentFact {
        ArgumentFact {
            pointer: "/x".into(),
            role,
            required: None,
            standing,
            sources: BTreeSet::from(["web/read in step 1".into()]),
            value: "it".into(),
            written: false,
            shown: false,
            embedded: false,
        }
    }

    fn asks(fact: &ArgumentFact, writes: bool, destructive: bool) -> bool {
        concern(fact, writes, destructive).is_some()
    }

    #[test]
    fn identity_receives_and_is_not_selected_or_destroyed() {
        for role in [ArgRole::Recipient, ArgRole::Url, ArgRole::Path, ArgRole::Amount, ArgRole::Secret] {
            assert!(!asks(&fact(role, Standing::Identity), true, false), "{role:?}");
            assert!(asks(&fact(role, Standing::Identity), true, true), "{role:?}");
            assert!(asks(&fact(role, Standing::Untrusted), true, false), "{role:?}");
            assert!(!asks(&fact(role, Standing::Trusted), true, true), "{role:?}");
        }
        assert!(asks(&fact(ArgRole::Target, Standing::Identity), true, false));
        assert!(!asks(&fact(ArgRole::Body, Standing::Untrusted), true, true));
    }

    #[test]
    fn reads_are_asked_only_for_addresses_that_carry_something_out() {
        let made_up = fact(ArgRole::Url, Standing::Untrusted);
        assert!(asks(&made_up, false, false));
        assert!(!asks(&ArgumentFact { shown: true, ..made_up.clone() }, false, false));
        assert!(asks(&ArgumentFact { shown: true, ..made_up }, true, false), "a write to it is asked all the same");
        assert!(!asks(&fact(ArgRole::Target, Standing::Untrusted), false, false));
        let required = ArgumentFact { required: Some(Integrity::Trusted), ..fact(ArgRole::Target, Standing::Identity) };
        assert!(asks(&required, false, false));
    }

    #[test]
    fn a_time_is_asked_for_when_an_untrusted_source_names_it() {
        let time = fact(ArgRole::Time, Standing::Untrusted);
        assert!(asks(&time, true, false));
        assert!(!asks(&ArgumentFact { written: true, ..time }, true, false));
    }
}
