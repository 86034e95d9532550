//! Policies decide: a request becomes one or two questions to Cedar, and its answers a
//! verdict. *Ask* is a deny that becomes an allow once somebody has approved.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision as Answer, Effect, Entities, PolicyId, PolicySet, Request};

use super::built::Built;
use super::compile::{Compiled, Rule, compile};
use super::differing;
use super::entities::{Asked, Key, Pair, action_uid, asked};
use super::facts::{self, Known, Told, told};
use super::problem::{Problem, refused};
use super::slice::{Answers, Case, Part, Said, Slice, set};
use super::source::{self, Source};
use super::usage::Looks;
use crate::Result;
use crate::digest::Digest;
use crate::governor::policy::{Action, ArgumentFact, Decision, Facts, Policy, PolicyRequest, Standing, Verdict};
use crate::governor::{PolicyCompiler, baseline};

/// The most arguments that one reason names.
const NAMED: usize = 4;

/// The most bytes of a policy that a run brings itself.
const OWN: usize = 256 << 10;

/// Policies in the Cedar language.
pub struct Cedar {
    sources: Vec<Source>,
    rules: Vec<Rule>,
    by_id: HashMap<String, usize>,
    problems: Vec<Problem>,
    digest: Digest,
    authorizer: Authorizer,
    cases: Built<Key, Arc<Case>>,
    slices: Built<Vec<usize>, Arc<Slice>>,
    /// Slices whose parts are those that permit and those that forbid.
    split: Built<Vec<usize>, Arc<Slice>>,
    contexts: Built<Known, Context>,
}

impl Cedar {
    /// Compiles texts.
    ///
    /// # Errors
    /// `Invalid` with the file, line and column of everything that is wrong.
    pub fn new(sources: Vec<Source>) -> Result<Self> {
        let compiled = compile(&sources)?;
        let errors = compiled.errors();
        if !errors.is_empty() {
            return Err(refused(&errors));
        }
        let Compiled { rules, problems } = compiled;
        Ok(Self::of(sources, rules, problems))
    }

    pub(super) fn of(sources: Vec<Source>, rules: Vec<Rule>, problems: Vec<Problem>) -> Self {
        let digest = source::digest(&sources);
        let (cases, slices, split, contexts) = (Built::default(), Built::default(), Built::default(), Built::default());
        let by_id = rules.iter().enumerate().map(|(at, rule)| (rule.id.clone(), at)).collect();
        Self { sources, rules, by_id, problems, digest, authorizer: Authorizer::new(), cases, slices, split, contexts }
    }

    /// Compiles one text.
    ///
    /// # Errors
    /// As [`Cedar::new`].
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        Self::new(vec![Source::new(name, text)])
    }

    /// The texts.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// What is suspicious about them, though they can be used.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.problems
    }

    /// The ids of the policies, in the order of their text.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id.as_str())
    }

    /// The policies that say why they may allow what was denied before, and why.
    pub fn explanations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.iter().filter_map(|rule| Some((rule.id.as_str(), rule.explains.as_deref()?)))
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What a request is to Cedar itself, with every policy: for measurements and tests.
    ///
    /// # Errors
    /// `Internal` where Cedar does not take it.
    #[doc(hidden)]
    pub fn raw(&self, request: &PolicyRequest<'_>) -> Result<Raw> {
        let (asked, _) = asked(request);
        let pair = Pair::build(&Key::of(request, &asked), &asked)?;
        let known = known(request, &asked, request.approved);
        let raw = put(&asked, &pair, varying(request, known, &Looks::everywhere())?)?;
        let policies = set(&self.rules.iter().collect::<Vec<_>>())?;
        Ok(Raw { request: raw, policies, entities: pair.entities, authorizer: Authorizer::new() })
    }

    /// Which policies hold for a request, those that permit and those that forbid.
    pub(super) fn holding(&self, request: &PolicyRequest<'_>) -> Result<(Vec<usize>, Vec<usize>)> {
        let (asked, _) = asked(request);
        let case = self.case(request, &asked)?;
        let forbids = |rule: &Rule| rule.forbids();
        let split =
            self.split.get(self.fitting(&asked, &case.pair), |_| true, |fitting| self.slice(fitting, forbids))?;
        let known = known(request, &asked, request.approved);
        let put = put(&asked, &case.pair, varying(request, known, &Looks::everywhere())?)?;
        let hold = |part: &Part| {
            let settled = self.ask(&part.settled, &put, &case.pair);
            settled.with(&self.ask(&part.varying, &put, &case.pair))
        };
        let places = |ids: Vec<PolicyId>| ids.iter().filter_map(|id| self.place(id)).collect();
        Ok((places(hold(&split.steady).permits), places(hold(&split.approving).forbids)))
    }

    fn verdict(&self, request: &PolicyRequest<'_>, asked: &Asked<'_>) -> Result<Verdict> {
        let case = self.case(request, asked)?;
        let Slice { steady, approving } = &*case.slice;
        let approving = |approved| self.said(request, asked, &case.pair, (approving, &case.approving), approved);
        let steady = self.said(request, asked, &case.pair, (steady, &case.steady), false)?;
        if steady.denies() {
            return Ok(self.denied(request, &[&steady]));
        }
        let first = if request.approved { Arc::default() } else { approving(false)? };
        if !request.approved && steady.and(&first) == Decision::Allow {
            return Ok(self.allowed(&[&steady, &first]));
        }
        if case.slice.approving.is_empty() {
            return Ok(match steady.and(&first) {
                Decision::Allow => self.allowed(&[&steady]),
                _ => self.denied(request, &[&steady]),
            });
        }
        let second = approving(true)?;
        Ok(match (steady.and(&second), request.approved) {
            (Decision::Allow, true) => self.allowed(&[&steady, &second]),
            (Decision::Allow, false) if !first.forbids.is_empty() => {
                self.reasons(Decision::Ask, request, &first.forbids)
            }
            (Decision::Allow, false) => self.reasons(Decision::Ask, request, &second.permits),
            _ => self.denied(request, &[&steady, &second]),
        })
    }

    /// Who asks for what, and the policies that may bear on it.
    fn case(&self, request: &PolicyRequest<'_>, asked: &Asked<'_>) -> Result<Arc<Case>> {
        let holds = |found: &Arc<Case>| found.pair.holds(asked);
        self.cases.get(Key::of(request, asked), holds, |key| {
            let pair = Pair::build(key, asked)?;
            let sees_approval = |rule: &Rule| rule.usage.sees_approval();
            let fitting = self.fitting(asked, &pair);
            let slice = self.slices.get(fitting, |_| true, |fitting| self.slice(fitting, sees_approval))?;
            Ok(Arc::new(Case::new(pair, slice)))
        })
    }

    /// Some policies, those of a kind apart from the others.
    fn slice(&self, places: &[usize], apart: impl Fn(&Rule) -> bool) -> Result<Arc<Slice>> {
        let rules: Vec<&Rule> = places.iter().filter_map(|at| self.rules.get(*at)).collect();
        Ok(Arc::new(Slice::of(&rules, apart)?))
    }

    /// The policies whose scope may fit.
    fn fitting(&self, asked: &Asked<'_>, pair: &Pair) -> Vec<usize> {
        let fits = |(_, rule): &(usize, &Rule)| rule.scope.may_fit(asked.action, &pair.principal, &pair.resource);
        self.rules.iter().enumerate().filter(fits).map(|(at, _)| at).collect()
    }

    /// What some policies say of a request. Those that are settled are asked once.
    fn said(
        &self,
        request: &PolicyRequest<'_>,
        asked: &Asked<'_>,
        pair: &Pair,
        (part, answers): (&Part, &Answers),
        approved: bool,
    ) -> Result<Arc<Said>> {
        let known = known(request, asked, approved);
        let settle = |known: &Known| {
            if part.settled.is_empty() {
                return Ok(Arc::default());
            }
            let context = self.contexts.get(*known, |_| true, |known| context(told(*known, &Looks::everywhere())?))?;
            Ok(Arc::new(self.ask(&part.settled, &put(asked, pair, context)?, pair)))
        };
        let settled = answers.get(known, |_| true, settle)?;
        if part.varying.is_empty() {
            return Ok(settled);
        }
        let put = put(asked, pair, varying(request, known, &part.looks)?)?;
        Ok(Arc::new(self.ask(&part.varying, &put, pair).with(&settled)))
    }

    fn ask(&self, policies: &PolicySet, request: &Request, pair: &Pair) -> Said {
        let response = self.authorizer.is_authorized(request, policies, &pair.entities);
        let about = response.diagnostics();
        let reasons: Vec<PolicyId> = about.reason().cloned().collect();
        let broken = about.errors().filter_map(|error| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let forbids = policies.policy(error.policy_id()).is_none_or(|policy| policy.effect() == Effect::Forbid);
            forbids.then(|| format!("{}: it cannot be evaluated, so it stands: {}", error.policy_id(), error.inner()))
        });
        let broken = broken.collect();
        match response.decision() {
            Answer::Allow => Said { permits: reasons, forbids: Vec::new(), broken },
            Answer::Deny => Said { permits: Vec::new(), forbids: reasons, broken },
        }
    }

    fn allowed(&self, said: &[&Said]) -> Verdict {
        let permits: BTreeSet<&PolicyId> = said.iter().flat_map(|said| &said.permits).collect();
        let reasons = permits.into_iter().filter_map(|id| self.rule(id)).map(|rule| self.words(rule)).collect();
        Verdict { decision: Decision::Allow, reasons }
    }

    fn denied(&self, request: &PolicyRequest<'_>, said: &[&Said]) -> Verdict {
        let forbids: Vec<PolicyId> = said.iter().flat_map(|said| said.forbids.iter().cloned()).collect();
        let mut verdict = self.reasons(Decision::Deny, request, &forbids);
        verdict.reasons.extend(said.iter().flat_map(|said| said.broken.iter().cloned()));
        if verdict.reasons.is_empty() {
            verdict.reasons.push("default: no policy permits it".to_owned());
        }
        verdict
    }

    fn reasons(&self, decision: Decision, request: &PolicyRequest<'_>, ids: &[PolicyId]) -> Verdict {
        let mut rules: Vec<&Rule> = ids.iter().filter_map(|id| self.rule(id)).collect();
        rules.sort_by_key(|rule| (rule.source, rule.offset));
        let reasons = rules.into_iter().flat_map(|rule| self.explained(rule, request.facts)).collect();
        Verdict { decision, reasons }
    }

    fn rule(&self, id: &PolicyId) -> Option<&Rule> {
        self.place(id).and_then(|at| self.rules.get(at))
    }

    fn place(&self, id: &PolicyId) -> Option<usize> {
        let id: &str = id.as_ref();
        self.by_id.get(id).copied()
    }

    fn words(&self, rule: &Rule) -> String {
        match &rule.reason {
            Some(reason) => format!("{}: {reason}", rule.id),
            None => rule.id.clone(),
        }
    }

    /// Why a policy decides so; where it is about a role, what is known of those arguments.
    fn explained(&self, rule: &Rule, facts: &Facts) -> Vec<String> {
        let doubted = |fact: &&ArgumentFact| fact.standing != Standing::Trusted;
        let of_role = |fact: &&ArgumentFact| rule.about & (1 << facts::role(fact)) != 0;
        let about = facts.arguments.iter().filter(doubted).filter(of_role).take(NAMED);
        let about: Vec<String> = about.map(|fact| baseline::explain(&rule.id, fact)).collect();
        if about.is_empty() { vec![self.words(rule)] } else { about }
    }
}

/// A request as Cedar itself takes it, with every policy.
#[doc(hidden)]
#[derive(Debug)]
pub struct Raw {
    request: Request,
    policies: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
}

impl Raw {
    /// Whether Cedar allows it.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.authorizer.is_authorized(&self.request, &self.policies, &self.entities).decision() == Answer::Allow
    }
}

/// Compiles one text at a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compiler;

impl PolicyCompiler for Compiler {
    fn compile(&self, name: &str, text: &str) -> Result<Arc<dyn Policy>> {
        if text.len() > OWN {
            return Err(crate::Error::invalid(format!("{name} has {} bytes: use at most {OWN}", text.len())));
        }
        Ok(Arc::new(Cedar::parse(name, text)?))
    }
}

impl Policy for Cedar {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        let (first, second) = asked(request);
        let decide = |asked: &Asked<'_>| {
            self.verdict(request, asked)
                .unwrap_or_else(|error| Verdict { decision: Decision::Deny, reasons: vec![format!("error: {error}")] })
        };
        let verdict = decide(&first);
        match second {
            Some(second) => verdict.and(decide(&second)),
            None => verdict,
        }
    }

    fn prohibitions(&self, request: &PolicyRequest<'_>) -> Vec<String> {
        let Ok((_, forbids)) = self.holding(request) else { return Vec::new() };
        let forbids = forbids.into_iter().filter_map(|at| self.rules.get(at));
        forbids.filter(|rule| rule.scope.names_actions()).map(|rule| self.words(rule)).collect()
    }

    fn digest(&self) -> Digest {
        self.digest
    }
}

/// What is known, apart from what differs every time.
fn known(request: &PolicyRequest<'_>, asked: &Asked<'_>, approved: bool) -> Known {
    let facts = request.facts;
    match request.action {
        Action::Approve { requester, .. } => Known::Question {
            own: requester.identity() == request.principal.identity(),
            grounded: facts.grounded,
            untrusted: !facts.untrusted.is_empty(),
        },
        Action::Administer { operation } => Known::Administration(operation),
        _ => Known::Call { approved, bits: facts::bits(facts, asked.granted, request.timed_out) },
    }
}

/// A question to Cedar.
fn put(asked: &Asked<'_>, pair: &Pair, context: Context) -> Result<Request> {
    let action = action_uid(asked.action)?.clone();
    Request::new(pair.principal.clone(), action, pair.resource.clone(), context, None)
        .map_err(|error| crate::Error::internal(format!("a request to policy is wrong: {error}")))
}

/// The context of what is known and of what differs every time, as far as it is looked at.
fn varying(request: &PolicyRequest<'_>, known: Known, looks: &Looks) -> Result<Context> {
    let mut all = told(known, looks)?;
    all.extend(differing::told(request, known, looks));
    context(all)
}

fn context(told: Vec<Told>) -> Result<Context> {
    Context::from_pairs(told).map_err(|error| crate::Error::internal(format!("a context of policy is wrong: {error}")))
}

impl fmt::Debug for Cedar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cedar({} policies, {})", self.rules.len(), self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;
    use crate::budget::{Budget, Cost};
    use crate::governor::Operation;
    use crate::id::AgentId;
    use crate::label::Label;
    use crate::principal::Principal;
    use crate::time::Timestamp;

    #[test]
    fn what_is_told_is_what_the_schema_says() {
        let policies = Cedar::parse("test", "permit (principal, action, resource);").unwrap();
        let manifest: crate::tool::Manifest = serde_json::from_value(serde_json::json!({
            "schema_version": 1, "id": "web/read", "version": "1.0.0", "title": "read", "description": "read",
            "runtime": {"kind": "native"}, "input_schema": {"type": "object"}, "args": {"/url": {"role": "url"}},
        }))
        .unwrap();
        let (model, other, arguments) =
            ("openai".parse().unwrap(), AgentId::new("other").unwrap(), serde_json::json!({"url": ["a", 1]}));
        let agent = crate::agent::AgentProfile::new("helper").unwrap();
        let (me, ci) = (Principal::local(), Principal { subject: "service:ci".into(), ..Principal::local() });
        let label = Label::untrusted("web/read");
        let facts = Facts::of_label(&manifest, &label);
        let actions = [
            Action::InvokeTool { manifest: &manifest, arguments: &arguments },
            Action::CallModel { model: &model },
            Action::ReadMemory { scope: "helper" },
            Action::WriteMemory { scope: "tenant" },
            Action::Delegate { to: &other, granted: true },
            Action::Approve { requester: &ci, manifest: Some(&manifest) },
            Action::Approve { requester: &ci, manifest: None },
            Action::Administer { operation: Operation::Stop },
            Action::Administer { operation: Operation::Unstop },
        ];
        for (at, action) in actions.into_iter().enumerate() {
            for (principal, agent) in [(&me, None), (&ci, None), (&me, Some(&agent))] {
                let request = PolicyRequest {
                    principal,
                    agent,
                    action,
                    label: &label,
                    facts: &facts,
                    budget: &Budget { calls: Some(3), ..Budget::default() },
                    used: Cost::default(),
                    now: Timestamp::EPOCH,
                    approved: at % 2 == 0,
                    timed_out: false,
                };
                let Raw { request: raw, entities, .. } = policies.raw(&request).unwrap();
                let schema = schema::schema().unwrap();
                let context = raw.context().unwrap().clone();
                let (principal, action, resource) =
                    (raw.principal().unwrap(), raw.action().unwrap(), raw.resource().unwrap());
                Request::new(principal.clone(), action.clone(), resource.clone(), context, Some(schema)).unwrap();
                Entities::from_entities(entities.iter().cloned(), Some(schema)).unwrap();
                assert_eq!(policies.decide(&request).decision, Decision::Allow);
            }
        }
    }
}
