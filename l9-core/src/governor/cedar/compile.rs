//! Texts become policies: parsed, named, validated against the schema. Nothing here decides.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, ValidationWarning, Validator};
use miette::Diagnostic;

use super::problem::{Problem, ProblemKind};
use super::scope::Scope;
use super::source::Source;
use super::{schema, usage::Usage};
use crate::Result;

/// The most policies of one set.
const POLICIES: usize = 10_000;

/// The longest id and the longest reason, in bytes.
const ID: usize = 128;
const REASON: usize = 1024;

/// One policy.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its id: that of its annotation, or where it stands.
    pub(super) id: String,
    pub(super) policy: Policy,
    /// Why it decides so, in the words of whoever wrote it.
    pub(super) reason: Option<String>,
    /// The roles of arguments that its reason is about, one bit each.
    pub(super) about: u16,
    /// Why it may allow what was denied before.
    pub(super) explains: Option<String>,
    pub(super) scope: Scope,
    pub(super) usage: Usage,
    /// Which text it stands in, and at which byte.
    pub(super) source: usize,
    pub(super) offset: usize,
}

impl Rule {
    pub(super) fn forbids(&self) -> bool {
        self.policy.effect() == Effect::Forbid
    }
}

/// What came of texts: the policies, and everything that was found about them.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rules: Vec<Rule>,
    pub(super) problems: Vec<Problem>,
}

/// Compiles texts as far as they go. With a problem that is an error the rules are not to be
/// used.
pub(super) fn compile(sources: &[Source]) -> Result<Compiled> {
    let mut compiled = Compiled { rules: Vec::new(), problems: Vec::new() };
    for (at, source) in sources.iter().enumerate() {
        match PolicySet::from_str(&source.text) {
            Ok(set) => compiled.take(&set, at, source),
            Err(errors) => {
                let problem = |error| Problem::of(ProblemKind::Syntax, source, 0, error);
                compiled.problems.extend(errors.iter().map(|error| problem(error as &dyn Diagnostic)));
            }
        }
    }
    if compiled.rules.len() > POLICIES {
        let why = format!("there are {} policies: use at most {POLICIES}", compiled.rules.len());
        return Err(crate::Error::invalid(why));
    }
    compiled.ids(sources);
    compiled.validate(sources)?;
    Ok(compiled)
}

impl Compiled {
    fn take(&mut self, set: &PolicySet, at: usize, source: &Source) {
        for template in set.templates() {
            let text = template.to_string();
            let offset = source.text.find(&text).unwrap_or_default();
            let problem = Problem::at(ProblemKind::Schema, source, offset, "a template decides nothing by itself");
            self.problems.push(
                problem.mended_by("write the principal and the resource in place of `?principal` and `?resource`"),
            );
        }
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by_key(|policy| number(policy.id()));
        let mut from = 0;
        for policy in policies {
            let text = policy.to_string();
            let offset = source.text[from..].find(&text).map_or(from, |found| from + found);
            from = (offset + text.len()).min(source.text.len());
            while !source.text.is_char_boundary(from) {
                from -= 1;
            }
            match rule(policy, (at, offset), source) {
                Ok(rule) => self.rules.push(rule),
                Err(problem) => self.problems.push(*problem),
            }
        }
    }

    fn ids(&mut self, sources: &[Source]) {
        let mut seen: HashMap<&str, &Rule> = HashMap::new();
        for rule in &self.rules {
            if let Some(first) = seen.insert(&rule.id, rule) {
                let (line, _) = sources[first.source].position(first.offset);
                let message = format!("policy {:?} stands at {}:{line} already", rule.id, sources[first.source].name);
                let problem = Problem::at(ProblemKind::DuplicateId, &sources[rule.source], rule.offset, message);
                self.problems.push(problem.of_policy(&rule.id).mended_by("give it an @id of its own"));
            }
        }
    }

    fn validate(&mut self, sources: &[Source]) -> Result<()> {
        let validator = Validator::new(schema::schema()?.clone());
        for (at, source) in sources.iter().enumerate() {
            let rules: BTreeMap<&str, &Rule> =
                self.rules.iter().filter(|rule| rule.source == at).map(|rule| (rule.id.as_str(), rule)).collect();
            // Those with one id are reported already.
            let Ok(set) = PolicySet::from_policies(rules.values().map(|rule| rule.policy.clone())) else { continue };
            let result = validator.validate(&set, ValidationMode::Strict);
            let found = |kind, id: &PolicyId, diagnostic: &dyn Diagnostic| {
                let id: &str = id.as_ref();
                let offset = rules.get(id).map_or(0, |rule| rule.offset);
                Problem::of(kind, source, offset, diagnostic).of_policy(id)
            };
            let errors = result.validation_errors().map(|error| {
                let problem = found(ProblemKind::Schema, error.policy_id(), error);
                problem.mended_by("`policy schema` shows what there is")
            });
            let warnings = result.validation_warnings().map(|warning| match warning {
                ValidationWarning::ImpossiblePolicy(_) => found(ProblemKind::Impossible, warning.policy_id(), warning)
                    .mended_by("mend its condition, or take it out"),
                ValidationWarning::InvalidActionApplication(_) => {
                    found(ProblemKind::Impossible, warning.policy_id(), warning)
                        .mended_by("`policy schema` shows which action goes with what")
                }
                _ => found(ProblemKind::Confusing, warning.policy_id(), warning),
            });
            let mut all: Vec<Problem> = errors.chain(warnings).collect();
            // What does not fit its action is impossible as well: one of both says enough.
            let mut seen = HashSet::new();
            all.retain(|problem| problem.kind != ProblemKind::Impossible || seen.insert(problem.policy.clone()));
            self.problems.extend(all);
        }
        Ok(())
    }

    /// The problems because of which nothing here can be used.
    pub(super) fn errors(&self) -> Vec<Problem> {
        self.problems.iter().filter(|problem| problem.kind.is_error()).cloned().collect()
    }
}

/// Cedar numbers policies in the order of their text.
fn number(id: &PolicyId) -> u64 {
    let id: &str = id.as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(u64::MAX)
}

fn rule(policy: &Policy, (at, offset): (usize, usize), source: &Source) -> Result<Rule, Box<Problem>> {
    let wrong = |message: String| Box::new(Problem::at(ProblemKind::Schema, source, offset, message));
    let file = source.name.rsplit('/').next().unwrap_or(&source.name);
    let id = match policy.annotation("id") {
        Some(id) => id.to_owned(),
        None => format!("{}:{}", file.trim_end_matches(".cedar"), source.position(offset).0),
    };
    if id.is_empty() || id.len() > ID || id.chars().any(char::is_control) {
        return Err(wrong(format!("@id({id:?}) is none: use 1 to {ID} bytes without control characters")));
    }
    let reason = policy.annotation("reason").map(str::to_owned);
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON) {
        return Err(wrong(format!("the @reason of policy {id:?} is longer than {REASON} bytes: shorten it")));
    }
    let mut about = 0;
    for role in policy.annotation("about").unwrap_or_default().split_whitespace() {
        let at = schema::ROLES.iter().position(|known| *known == role).ok_or_else(|| {
            wrong(format!("@about of policy {id:?} names no role {role:?}: use {}", schema::ROLES.join(", ")))
        })?;
        about |= 1 << at;
    }
    let explains = policy.annotation("explains").map(str::to_owned);
    let json = policy.to_json().map_err(|error| wrong(error.to_string()))?;
    let named = policy.new_id(PolicyId::new(&id));
    let (scope, usage) = (Scope::of(policy), Usage::of(&json));
    Ok(Rule { id, policy: named, reason, about, explains, scope, usage, source: at, offset })
}
