//! `run`: an agent, from its input to its receipt.

use std::io::Read as _;

use l9::{AgentId, StartOptions};
use serde_json::{Value, json};

use super::arguments;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::follow::{Followed, Shown, follow, words_of};
use super::ingest::take_in;
use crate::terminal::{Screen, show_answer, show_receipt};

/// Runs an agent.
pub(super) async fn run(context: &Context, arguments: arguments::Run) -> Result<Exit, Failure> {
    let screen = context.screen;
    let agent = AgentId::new(arguments.agent)?;
    let input = words_or_stdin(arguments.input)?;
    let runtime = context.open().await?;
    // Before anything is taken in, so that a slip in the name costs nothing.
    runtime.profiles().get(&agent)?;
    if !arguments.ingest.is_empty() {
        take_in(&runtime.intake(), screen, &arguments.ingest).await?;
    }
    runtime.meet_servers().await;
    let (session, deadline, budget) = (arguments.session, arguments.deadline, arguments.budget.unwrap_or_default());
    let options = StartOptions { session, deadline, budget, ..StartOptions::default() };
    let started = runtime.engine().start_agent(&runtime.principal(), &agent, &input, options).await?;
    if started.existing {
        screen.note(&format!(
            "run {} was recorded before under this seed: it is shown, not run again; take another --seed for a new one",
            started.run
        ));
    }
    let words = words_of(&runtime, started.run);
    runtime.start().await;
    let followed = follow(&runtime, screen, started, words).await;
    let exit = match followed? {
        Shown::Left => return Ok(Exit::Interrupted),
        shown => report(screen, started.run, &shown),
    };
    runtime.shutdown().await;
    Ok(exit)
}

/// Shows how far a run was followed.
pub(super) fn report(screen: Screen, run: l9::RunId, shown: &Shown) -> Exit {
    match shown {
        Shown::Left => Exit::Interrupted,
        Shown::Ended(followed) => {
            if screen.is_json() {
                screen.object(&object(run, followed));
            } else {
                show_answer(screen, &followed.ended, followed.streamed);
                show_receipt(screen, run, &followed.receipt, &followed.state.spent);
            }
            exit(followed)
        }
        Shown::Waits(waiting) => {
            if screen.is_json() {
                let mut object = json!({
                    "run_id": run,
                    "answer": Value::Null,
                    "outcome": "waiting",
                    "citations": [],
                    "receipt": waiting.receipt,
                    "usage": usage(&waiting.state.spent),
                });
                object["waiting"] = json!(waiting.standing);
                screen.object(&object);
            } else {
                for (what, mend) in waiting.standing.lines(run) {
                    screen.line(&format!("▪ {}", screen.safe(&what)));
                    if !mend.is_empty() {
                        screen.line(&format!("  {}", screen.paint().name(&mend)));
                    }
                }
                show_receipt(screen, run, &waiting.receipt, &waiting.state.spent);
            }
            Exit::Waiting
        }
    }
}

/// How a followed run looks from outside.
fn exit(followed: &Followed) -> Exit {
    match Exit::of_run(&followed.ended) {
        Exit::Failed if followed.interrupted => Exit::Interrupted,
        Exit::Done if !followed.receipt.verified => Exit::Failed,
        exit => exit,
    }
}

/// The one object of `--json`.
fn object(run: l9::RunId, followed: &Followed) -> Value {
    let Followed { ended, state, receipt, .. } = followed;
    let succeeded = ended.code.is_none();
    let mut object = json!({
        "run_id": run,
        "answer": if succeeded { ended.answer.clone() } else { Value::Null },
        "outcome": ended.status,
        "citations": citations(&ended.citations),
        "receipt": receipt,
        "usage": usage(&state.spent),
    });
    if let Some(code) = &ended.code {
        object["code"] = json!(code);
        object["message"] = json!(ended.text());
    }
    object
}

/// Citations with every field there, whatever is empty.
pub(super) fn citations(citations: &[l9::run::Citation]) -> Vec<Value> {
    citations
        .iter()
        .map(|citation| json!({"source": citation.source, "position": citation.position, "quote": citation.quote}))
        .collect()
}

/// An amount with every field there, whatever is nothing.
pub(super) fn usage(cost: &l9::Cost) -> Value {
    cost.amounts().into_iter().map(|(name, amount)| (name.to_owned(), json!(amount))).collect()
}

/// The most bytes of standard input: as many as the largest input of any tool, and some around.
const STDIN_BYTES: u64 = 16 << 20;

/// What was said, or what stands on standard input for `-`.
pub(super) fn words_or_stdin(words: String) -> Result<String, Failure> {
    if words != "-" {
        return Ok(words);
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(STDIN_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > STDIN_BYTES => {
            Err(Failure::usage(format!("standard input has more than {STDIN_BYTES} bytes, which no input may have")))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage(format!("standard input cannot be read as text: {error}"))),
    }
}
