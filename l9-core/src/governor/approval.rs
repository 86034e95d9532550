//! Step 6: a person is asked, and what was decided is held to exactly what was asked.

use std::time::Duration;

use serde_json::Value;

use super::path::{Governor, Refusal, Stop, Work};
use super::policy::{Action, Decision, Facts, Policy, PolicyRequest, Verdict};
use crate::digest::{Digest, sha256};
use crate::id::{CallId, TenantId, ToolId};
use crate::json;
use crate::label::Label;
use crate::principal::Principal;
use crate::run::{
    APPROVE, Answer, Approval, ApprovalAsked, ApprovalDecided, CommandRequest, Event, Remember, RunCreated, RunLog,
    RunState, Stage,
};
use crate::time::Timestamp;
use crate::tool::{AuditDetail, ContractHash, EffectClass};
use crate::{Error, ErrorKind, Result};

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Choice {
    /// It may happen, with the arguments that were asked for or with others.
    Approve {
        /// Other arguments.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
        /// What else it holds for.
        #[serde(default)]
        remember: Remember,
    },
    /// It may not.
    Reject,
}

/// What step 5 is asked with, and asked again with in step 6.
pub(super) struct Asking<'a> {
    pub(super) state: &'a RunState,
    pub(super) created: &'a RunCreated,
    pub(super) call: CallId,
    pub(super) work: &'a Work,
    pub(super) contract: ContractHash,
    pub(super) label: &'a Label,
    pub(super) facts: Facts,
    /// How long a person is waited for, if less than usual.
    pub(super) within: Option<Duration>,
}

impl Asking<'_> {
    /// What a policy says of the effect.
    pub(super) fn put_to(&self, policy: &dyn Policy, now: Timestamp, approved: bool, timed_out: bool) -> Verdict {
        let Asking { state, created, work, label, facts, .. } = self;
        let action = match work {
            Work::Model { name, .. } => Action::CallModel { model: name },
            Work::Tool { tool, arguments } => Action::InvokeTool { manifest: &tool.manifest, arguments },
        };
        policy.decide(&PolicyRequest {
            principal: &created.principal,
            agent: super::resolve::agent(created),
            action,
            label,
            facts,
            budget: &created.budget,
            used: state.spent.plus(state.reserved),
            now,
            approved,
            timed_out,
        })
    }

    /// Whether somebody was asked and nobody decided in time.
    pub(super) fn is_late(&self) -> bool {
        self.state.approvals.get(&self.call).is_some_and(|approval| approval.until.is_none())
    }
}

/// A question that is not journaled yet.
#[derive(Debug)]
pub(crate) struct Question {
    call: CallId,
    target: String,
    arguments: Value,
    digest: Digest,
    contract: ContractHash,
    class: EffectClass,
    reasons: Vec<String>,
    facts: Facts,
    within: Option<Duration>,
    /// How much of the arguments the journal shows.
    detail: AuditDetail,
}

impl Governor {
    /// Steps 5 and 6: the reasons for which an effect is allowed.
    pub(super) fn allowed(&self, asking: &Asking<'_>) -> Result<Vec<String>, Stop> {
        let approval = asking.state.approvals.get(&asking.call);
        let Verdict { decision, reasons } = self.verdict(asking, false, asking.is_late());
        match (decision, approval) {
            (Decision::Allow, _) => Ok(reasons),
            (Decision::Deny, _) => Err(Refusal::of(Stage::Policy, "forbidden", reasons).into()),
            (Decision::Ask, Some(approval)) => self.approved(asking, approval),
            (Decision::Ask, None) => self.remembered(asking, reasons),
        }
    }

    fn verdict(&self, asking: &Asking<'_>, approved: bool, timed_out: bool) -> Verdict {
        asking.put_to(&*self.policy_of(asking.state), self.clock.now(), approved, timed_out)
    }

    /// Holds an approval to what it was given for, and asks policy once more with it.
    fn approved(&self, asking: &Asking<'_>, approval: &Approval) -> Result<Vec<String>, Stop> {
        let refuse = |code, reason: String| Err(Refusal::of(Stage::Approval, code, vec![reason]).into());
        let ask = approval.ask;
        let Some(until) = approval.until else {
            return refuse("approval_expired", format!("nobody decided question {ask} in time"));
        };
        let stale = if approval.requester.identity() != asking.created.principal.identity() {
            Some("it was asked for somebody else")
        } else if approval.contract != asking.contract {
            Some("the tool's contract has changed since")
        } else if approval.digest != asking.work.digest()? {
            Some("the arguments are not those that were approved")
        } else if approval.policy != self.policy_of(asking.state).digest() {
            Some("the policy has changed since")
        } else if until <= self.clock.now() {
            Some("it was not used in time")
        } else {
            None
        };
        if let Some(why) = stale {
            return refuse("approval_stale", format!("the approval of question {ask} does not hold: {why}"));
        }
        let Verdict { decision, mut reasons } = self.verdict(asking, true, false);
        if decision != Decision::Allow {
            return Err(Refusal::of(Stage::Policy, "forbidden", reasons).into());
        }
        let by = approval.by.as_ref().map_or("policy", |by| by.subject.as_str());
        reasons.push(format!("approved by {by}, question {ask}"));
        Ok(reasons)
    }

    /// Looks for an earlier approval that holds for this effect as well; a person is asked
    /// otherwise.
    fn remembered(&self, asking: &Asking<'_>, mut reasons: Vec<String>) -> Result<Vec<String>, Stop> {
        let (facts, policy) = (&asking.facts, self.policy_of(asking.state).digest());
        let arguments = asking.work.arguments();
        let covers = asking.state.remembered.iter().find(|it| it.covers(asking.contract, policy, facts, &arguments));
        if let Some(grant) = covers {
            let Verdict { decision, reasons: again } = self.verdict(asking, true, false);
            if decision != Decision::Allow {
                return Err(Refusal::of(Stage::Policy, "forbidden", again).into());
            }
            reasons.push(format!("approved by {}, question {}, which holds for this too", grant.by, grant.ask));
            return Ok(reasons);
        }
        // Nobody is asked whether to begin what may have happened already.
        if asking.state.attempted(asking.call).is_some() {
            reasons.insert(0, "it was begun when nobody had to be asked, and policy asks now".to_owned());
            return Err(Refusal::of(Stage::Approval, "approval_stale", reasons).into());
        }
        let (target, class) = asking.work.named();
        Err(Stop::Asked(Box::new(Question {
            call: asking.call,
            target,
            digest: asking.work.digest()?,
            arguments,
            contract: asking.contract,
            class,
            reasons,
            facts: facts.clone(),
            within: asking.within,
            detail: asking.work.detail(),
        })))
    }

    /// Journals a question; nothing is reserved, and the run waits.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn question(&self, log: &mut RunLog, question: Question) -> Result<()> {
        let Question { call, target, arguments, digest, contract, class, reasons, facts, within, detail } = question;
        let patience = within.into_iter().fold(self.settings.approval_timeout, Duration::min);
        let asked = ApprovalAsked {
            ask: log.state.asked + 1,
            call,
            target,
            arguments: log.keep_arguments(detail, arguments)?,
            digest,
            contract,
            class,
            reasons: reasons.iter().map(|reason| self.shown(reason)).collect(),
            facts,
            policy: self.policy_of(&log.state).digest(),
            expires_at: log.now().after(patience),
        };
        tracing::info!(run = %log.run, call = %call, ask = asked.ask, "a person is asked");
        log.push(Event::ApprovalAsked(Box::new(asked)))
    }

    /// Journals what somebody decided, or why the decision does not count.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn decide(
        &self,
        log: &mut RunLog,
        request: &CommandRequest,
        (ask, choice, by, reason): (u32, Choice, Principal, String),
    ) -> Result<Option<String>> {
        let question = match self.decidable(&log.state, ask, &choice, &by, log.now()) {
            Ok(question) => question.clone(),
            Err(why) => return Ok(Some(why.message().to_owned())),
        };
        let answer = match choice {
            Choice::Reject => Answer::Rejected,
            Choice::Approve { arguments, remember } => {
                let until = log.now().after(self.settings.approval_validity);
                match arguments.filter(|edited| Some(edited) != log.state.value(&question.arguments)) {
                    None => Answer::Approved { arguments: None, digest: question.digest, until, remember },
                    Some(edited) => {
                        let digest = sha256(&[&json::canonical(&edited)?]);
                        let arguments = Some(log.keep_arguments(question.arguments.detail(), edited)?);
                        Answer::Approved { arguments, digest, until, remember }
                    }
                }
            }
        };
        let command = Some(request.id.clone());
        let (call, reason) = (question.call, self.shown(&reason));
        log.push(Event::ApprovalDecided(Box::new(ApprovalDecided {
            ask,
            call,
            answer,
            by: Some(by),
            reason,
            command,
        })))?;
        Ok(None)
    }

    /// The question that somebody decides so.
    ///
    /// # Errors
    /// Why the decision does not count: `Conflict` for a question that is not open any more,
    /// `Denied` for somebody who may not decide it, `Invalid` for arguments that cannot be
    /// executed.
    pub(crate) fn decidable<'a>(
        &self,
        state: &'a RunState,
        ask: u32,
        choice: &Choice,
        by: &Principal,
        now: Timestamp,
    ) -> Result<&'a ApprovalAsked> {
        let refuse = |kind, why: &str| Error::new(kind, self.shown(why));
        let question = state.question(ask).map_err(|why| refuse(ErrorKind::Conflict, &why))?;
        let created = state.created()?;
        if by.tenant != created.principal.tenant {
            return Err(refuse(ErrorKind::Denied, &format!("question {ask} is another tenant's")));
        }
        if let Some(why) = self.may_not_decide(state, created, question, by) {
            return Err(refuse(ErrorKind::Denied, &why));
        }
        if question.expires_at <= now {
            let own = created.seed.as_ref().map(|seed| format!(", by the clock of --seed {seed}")).unwrap_or_default();
            let why = format!("question {ask} was open until {}{own}: start the run again", question.expires_at);
            return Err(refuse(ErrorKind::Conflict, &why));
        }
        if let Choice::Approve { remember, .. } = choice
            && *remember != Remember::Once
            && question.target == APPROVE
        {
            let why = format!("question {ask} is the plan's own, and each of those is asked: approve it once");
            return Err(refuse(ErrorKind::Invalid, &why));
        }
        if let Choice::Approve { arguments: Some(edited), .. } = choice
            && Some(edited) != state.value(&question.arguments)
            && let Some(why) = self.unfit(&by.tenant, question, edited)
        {
            return Err(refuse(ErrorKind::Invalid, &why));
        }
        Ok(question)
    }

    /// Why policy does not let somebody decide a question; `None` if it does.
    fn may_not_decide(
        &self,
        state: &RunState,
        created: &RunCreated,
        question: &ApprovalAsked,
        by: &Principal,
    ) -> Option<String> {
        let known = |id: ToolId| self.registry.known(&by.tenant, &id, &question.contract);
        let tool = question.target.parse().ok().and_then(known);
        let verdict = self.policy_of(state).decide(&PolicyRequest {
            principal: by,
            agent: super::resolve::agent(created),
            action: Action::Approve {
                requester: &created.principal,
                manifest: tool.as_deref().map(|tool| &tool.manifest),
            },
            label: &state.label,
            facts: &question.facts,
            budget: &created.budget,
            used: state.spent.plus(state.reserved),
            now: self.clock.now(),
            approved: false,
            timed_out: false,
        });
        let allowed = verdict.decision == Decision::Allow;
        let (who, ask) = (&by.subject, question.ask);
        (!allowed).then(|| format!("{who} may not decide question {ask}: {}", verdict.reasons.join("; ")))
    }

    /// Why arguments that somebody would put in place cannot be executed.
    fn unfit(&self, tenant: &TenantId, question: &ApprovalAsked, edited: &Value) -> Option<String> {
        let Ok(id) = question.target.parse() else {
            return Some("only the arguments of a tool can be edited".to_owned());
        };
        let tool = match self.registry.pinned(tenant, &id, &question.contract) {
            Ok(tool) => tool,
            Err(error) => return Some(error.message().to_owned()),
        };
        if let Some(why) = json::unjournalable(edited) {
            return Some(format!("the arguments cannot be kept: {why}"));
        }
        let bytes = usize::try_from(tool.manifest.limits.input_bytes).unwrap_or(usize::MAX);
        if !json::fits(edited, bytes) || json::depth(edited) > tool.manifest.limits.depth as usize {
            return Some(format!("the arguments are larger or deeper than {} takes", question.target));
        }
        let violations = tool.input.violations(edited);
        (!violations.is_empty()).then(|| format!("the arguments do not fit: {}", violations.join("; ")))
    }

    /// Journals that nobody decided in time; the effect starts again, and policy decides.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn expire_question(&self, log: &mut RunLog, ask: u32, call: CallId) -> Result<()> {
        let reason = "nobody decided in time".to_owned();
        let answer = Answer::Expired;
        log.push(Event::ApprovalDecided(Box::new(ApprovalDecided {
            ask,
            call,
            answer,
            by: None,
            reason,
            command: None,
        })))
    }
}

impl Work {
    /// What would be executed, as an approval binds it.
    fn digest(&self) -> Result<Digest, Stop> {
        match self {
            Self::Model { digest, .. } => Ok(*digest),
            Self::Tool { arguments, .. } => json::canonical(arguments)
                .map(|text| sha256(&[&text]))
                .map_err(|error| Refusal::of(Stage::Bounds, "malformed_arguments", vec![error.to_string()]).into()),
        }
    }

    fn arguments(&self) -> Value {
        match self {
            Self::Model { .. } => Value::Null,
            Self::Tool { arguments, .. } => arguments.clone(),
        }
    }

    /// How much of the arguments the journal shows.
    fn detail(&self) -> AuditDetail {
        match self {
            Self::Model { .. } => AuditDetail::Full,
            Self::Tool { tool, .. } => tool.manifest.audit.args,
        }
    }

    fn named(&self) -> (String, EffectClass) {
        match self {
            Self::Model { name, .. } => (name.to_string(), EffectClass::Read),
            Self::Tool { tool, .. } => (tool.manifest.id.to_string(), tool.manifest.effect),
        }
    }
}
