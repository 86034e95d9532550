//! `policy diff`: what a candidate would have decided otherwise. Exit code 1 if it allows what
//! was denied and nobody explained why, 2 if it cannot be used.

use std::path::Path;

use l9::governor::Decision;
use l9::governor::cedar::{Cedar, source};
use l9::kernel::{Changed, WhatIf};
use l9::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::cli::arguments::{Global, PolicyDiff};
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::terminal::{Screen, Table, count};

/// Asks a candidate about everything that was decided.
pub(super) async fn diff(global: &Global, asked: &PolicyDiff) -> Result<Exit, Failure> {
    let candidate = Cedar::new(source::read(&asked.candidate)?)?;
    let explained = Explained::read(asked.explain.as_deref())?;
    let since = asked.since.map(|since| SystemClock::default().now().before(since));
    let context = Context::load(global, &[], "warn")?;
    context.existing_database()?;
    // A configured folder that cannot be used stands in nobody's way here.
    let settings = l9::Settings { policy_dir: None, ..context.config.settings()? };
    let runtime = context.open_with(settings).await?;
    let found = runtime.engine().what_if(&context.tenant, &candidate, since).await;
    runtime.shutdown().await;
    let found = found?;
    let why = |change: &Changed| explained.why(change, &candidate);
    show(context.screen, &found, &why);
    let open = found.changes.iter().any(|change| opens(change) && why(change).is_none());
    Ok(if open { Exit::Failed } else { Exit::Done })
}

/// Whether it allows what was denied.
fn opens(change: &Changed) -> bool {
    change.recorded == Decision::Deny && change.candidate == Decision::Allow
}

/// What somebody expects to be allowed from now on, and why.
struct Explained(Vec<(String, String)>);

impl Explained {
    /// Reads lines of a tool or model, which may end with `*`, and why.
    fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(file) = file else { return Ok(Self(Vec::new())) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((target, why)) = line.split_once(char::is_whitespace) else {
                let place = format!("{}:{}", file.display(), at + 1);
                return Err(
                    Failure::usage(format!("{place}: {line:?} does not say why")).with_help("write a tool, then why")
                );
            };
            lines.push((target.to_owned(), why.trim().to_owned()));
        }
        Ok(Self(lines))
    }

    /// Why a change is as it should be: a line of the file, or the word of a policy that
    /// decided.
    fn why(&self, change: &Changed, candidate: &Cedar) -> Option<String> {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => change.target.starts_with(start),
            None => change.target == pattern,
        };
        let listed = self.0.iter().find(|(target, _)| fits(target)).map(|(_, why)| why.clone());
        listed.or_else(|| {
            let decided = |id: &str| {
                let of = |reason: &String| {
                    reason.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
                };
                change.candidate_reasons.iter().any(of)
            };
            candidate.explanations().find(|(id, _)| decided(id)).map(|(_, why)| why.to_owned())
        })
    }
}

fn show(screen: Screen, found: &WhatIf, why: &dyn Fn(&Changed) -> Option<String>) {
    if screen.is_json() {
        let mut object = serde_json::to_value(found).unwrap_or_default();
        if let Some(changes) = object["changes"].as_array_mut() {
            for (shown, change) in changes.iter_mut().zip(&found.changes) {
                shown["explained"] = why(change).map_or(Value::Null, |why| json!(why));
            }
        }
        return screen.object(&object);
    }
    let WhatIf { runs, decisions, skipped, changes } = found;
    let mut table = Table::new(&["RUN", "SEQ", "TARGET", "WAS", "WOULD BE", "WHY"]);
    for change in changes {
        let reasons = screen.safe(&change.candidate_reasons.join("; "));
        let why = match (opens(change), why(change)) {
            (_, Some(why)) => format!("{reasons} (explained: {})", screen.safe(&why)),
            (true, None) => format!("{reasons} (unexplained)"),
            (false, None) => reasons,
        };
        table.row([
            change.run_id.to_string(),
            change.seq.to_string(),
            screen.safe(&change.target),
            word(change.recorded).to_owned(),
            word(change.candidate).to_owned(),
            why,
        ]);
    }
    if !table.is_empty() {
        table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    }
    let (runs, decisions, skipped) = (count(*runs), count(*decisions), count(*skipped));
    let changed = count(changes.len() as u64);
    screen
        .line(&format!("{decisions} decisions of {runs} runs asked again, {changed} would change, {skipped} skipped"));
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Ask => "ask",
        Decision::Deny => "deny",
    }
}
