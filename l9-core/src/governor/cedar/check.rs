//! What is wrong or idle in a set of policies, beyond what stops it from being used. Nothing
//! is decided here for anybody.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::compile::{Rule, compile};
use super::engine::Cedar;
use super::problem::{Problem, ProblemKind};
use super::source::Source;
use super::space::{Around, Probe, usual};
use crate::Result;
use crate::json::canonical;
use crate::tool::Manifest;

/// How many requests are made up around a policy that decided on none of the usual ones.
const AROUND: usize = 4_000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How many policies there are.
    pub policies: usize,
    /// How many requests were asked.
    pub requests: usize,
    /// What was found, in the order of the text.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether the policies cannot be used.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind.is_error())
    }
}

/// Checks texts against the schema and the tools that are registered.
///
/// # Errors
/// `Internal` where Cedar does not take what it should.
pub fn check(sources: Vec<Source>, registered: &[Manifest]) -> Result<Report> {
    let compiled = compile(&sources)?;
    let policies = compiled.rules.len();
    if !compiled.errors().is_empty() {
        return Ok(Report { policies, requests: 0, problems: compiled.problems });
    }
    let (mut problems, impossible) = (compiled.problems.clone(), impossible(&compiled.problems));
    let cedar = Cedar::of(sources, compiled.rules, Vec::new());
    problems.extend(duplicates(&cedar)?);
    problems.extend(unknown(&cedar, registered));
    let mut seen = Seen { cedar: &cedar, held: vec![false; policies], decided: vec![false; policies], requests: 0 };
    for probe in usual(registered) {
        seen.ask(&probe)?;
    }
    for (at, rule) in cedar.rules().iter().enumerate() {
        let mut around = Around::new(rule, registered);
        for _ in 0..AROUND {
            if seen.decided[at] {
                break;
            }
            seen.ask(&around.next())?;
        }
    }
    problems.extend(seen.idle(&impossible));
    let place: HashMap<&str, usize> =
        cedar.sources().iter().enumerate().map(|(at, source)| (&*source.name, at)).collect();
    problems.sort_by_key(|problem| (place.get(&*problem.file).copied(), problem.line, problem.column, problem.kind));
    Ok(Report { policies, requests: seen.requests, problems })
}

fn impossible(problems: &[Problem]) -> BTreeSet<String> {
    let found = problems.iter().filter(|problem| problem.kind == ProblemKind::Impossible);
    found.filter_map(|problem| problem.policy.clone()).collect()
}

fn at(cedar: &Cedar, rule: &Rule, kind: ProblemKind, message: String, mend: &str) -> Problem {
    Problem::at(kind, &cedar.sources()[rule.source], rule.offset, message).of_policy(&rule.id).mended_by(mend)
}

/// Policies of one canonical form, whatever their annotations.
fn duplicates(cedar: &Cedar) -> Result<Vec<Problem>> {
    let mut first: HashMap<Vec<u8>, &Rule> = HashMap::new();
    let mut found = Vec::new();
    for rule in cedar.rules() {
        let mut json = rule.policy.to_json().map_err(|error| crate::Error::internal(error.to_string()))?;
        if let Some(fields) = json.as_object_mut() {
            fields.remove("annotations");
        }
        let form = canonical(&json)?;
        match first.get(&form) {
            Some(same) => {
                let message = format!("policy {:?} says what {:?} says", rule.id, same.id);
                found.push(at(cedar, rule, ProblemKind::Duplicate, message, "take one of them out"));
            }
            None => drop(first.insert(form, rule)),
        }
    }
    Ok(found)
}

/// Tools and namespaces that nothing registered.
fn unknown(cedar: &Cedar, registered: &[Manifest]) -> Vec<Problem> {
    let spaces: BTreeSet<&str> = registered.iter().map(|tool| tool.id.namespace()).collect();
    let mut found = Vec::new();
    for rule in cedar.rules() {
        for (kind, id) in &rule.usage.entities {
            let (known, what) = match kind.as_str() {
                "L9::Tool" => (registered.iter().any(|tool| tool.id.as_str() == id), "tool"),
                "L9::Namespace" => (spaces.contains(id.as_str()), "namespace"),
                _ => (true, ""),
            };
            if !known {
                let message = format!("policy {:?} names {what} {id:?}, which is not registered", rule.id);
                found.push(at(cedar, rule, ProblemKind::UnknownName, message, "`tools list` shows those that are"));
            }
        }
    }
    found
}

/// What policies did on the requests so far.
struct Seen<'a> {
    cedar: &'a Cedar,
    held: Vec<bool>,
    decided: Vec<bool>,
    requests: usize,
}

impl Seen<'_> {
    fn ask(&mut self, probe: &Probe) -> Result<()> {
        for approved in [false, true] {
            let (permits, forbids) = self.cedar.holding(&probe.request(approved))?;
            self.requests += 1;
            permits.iter().chain(&forbids).for_each(|at| self.held[*at] = true);
            match (permits.as_slice(), forbids.as_slice()) {
                ([only], []) | ([_, ..], [only]) => self.decided[*only] = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn idle(&self, impossible: &BTreeSet<String>) -> Vec<Problem> {
        let idle = self.cedar.rules().iter().enumerate().filter(|(at, _)| !self.decided[*at]);
        let told = idle.filter(|(_, rule)| !impossible.contains(&rule.id));
        told.map(|(place, rule)| {
            let (asked, id) = (self.requests, &rule.id);
            if self.held[place] {
                let message = format!("without policy {id:?} none of {asked} requests is decided otherwise");
                at(
                    self.cedar,
                    rule,
                    ProblemKind::NeverDecides,
                    message,
                    "another policy decides first: take it out, or mend it",
                )
            } else {
                let message = format!("policy {id:?} holds for none of {asked} requests");
                at(self.cedar, rule, ProblemKind::Impossible, message, "mend its condition, or take it out")
            }
        })
        .collect()
    }
}
