//! `policy simulate`: what the policy would decide, without a run.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;

use l9::flow::{TraceReader, TraceVerdict};
use l9::governor::{Baseline, Decision, Policy};

use super::language;
use crate::cli::arguments::PolicySimulate;
use crate::cli::failure::{Exit, Failure};
use crate::terminal::{Screen, Table, count};

/// The longest line of a trace, in bytes.
const LINE: u64 = 64 << 20;

/// Judges the calls of a trace.
pub(super) fn simulate(screen: Screen, asked: &PolicySimulate) -> Result<Exit, Failure> {
    let PolicySimulate { trace: path, policy } = asked;
    let policy: Arc<dyn Policy> = match policy {
        Some(path) => language::compile(path)?,
        None => Arc::new(Baseline),
    };
    let mut lines = open(path)?;
    let mut reader = TraceReader::new(&*policy);
    let mut told = Told::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| Failure::failed(format!("{} cannot be read: {error}", path.display())))?;
        if read == 0 {
            break;
        }
        let verdict = reader.line(&line).map_err(|error| Failure::from(error).during(path.display()))?;
        if let Some(verdict) = verdict {
            told.tell(screen, &verdict);
        }
    }
    told.end(screen);
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file =
        File::open(path).map_err(|error| Failure::usage(format!("{} cannot be opened: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// What was decided so far.
#[derive(Default)]
struct Told {
    calls: u64,
    asked: u64,
    denied: u64,
    rows: Vec<[String; 5]>,
}

impl Told {
    fn tell(&mut self, screen: Screen, verdict: &TraceVerdict) {
        if screen.is_json() {
            return screen.object(verdict);
        }
        let decision = match verdict.decision {
            Decision::Allow => "allow",
            Decision::Ask => "ask",
            Decision::Deny => "deny",
        };
        self.calls += 1;
        self.asked += u64::from(verdict.decision == Decision::Ask);
        self.denied += u64::from(verdict.decision == Decision::Deny);
        let mut reasons = verdict.reasons.iter().map(|reason| screen.safe(reason));
        let TraceVerdict { session, call, tool, .. } = verdict;
        let first = reasons.next().unwrap_or_default();
        self.rows.push([screen.safe(session), screen.safe(call), tool.to_string(), decision.to_owned(), first]);
        self.rows.extend(reasons.map(|reason| [String::new(), String::new(), String::new(), String::new(), reason]));
    }

    fn end(self, screen: Screen) {
        if screen.is_json() {
            return;
        }
        let mut table = Table::new(&["SESSION", "CALL", "TOOL", "DECISION", "WHY"]);
        self.rows.into_iter().for_each(|row| table.row(row));
        table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
        let (calls, asked, denied) = (count(self.calls), count(self.asked), count(self.denied));
        screen.line(&format!("{calls} calls, {asked} asked, {denied} denied"));
    }
}
