//! `approvals list|approve|reject`: the questions that wait for a person.

use l9::RunId;
use l9::Runtime;
use l9::entropy::SystemEntropy;
use l9::governor::Choice;
use l9::id::{ApprovalId, CommandId};
use l9::kernel::OpenQuestion;
use serde_json::json;

use super::arguments::{Approvals, Approve, Reject};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::lifecycle::{go_on_with, json_of, take_commands};
use crate::terminal::{Screen, clip, count};

/// Does what was asked with questions.
pub(super) async fn approvals(context: &Context, asked: Approvals) -> Result<Exit, Failure> {
    let runtime = context.open_existing().await?;
    let done = carry_out(&runtime, context.screen, asked).await;
    runtime.shutdown().await;
    done
}

async fn carry_out(runtime: &Runtime, screen: Screen, asked: Approvals) -> Result<Exit, Failure> {
    match asked {
        Approvals::List => list(runtime, screen).await,
        Approvals::Approve(Approve { id, args, reason, remember, detach }) => {
            let arguments = args.map(|text| json_of("--args", &text)).transpose()?;
            let choice = Choice::Approve { arguments, remember: remember.into() };
            decide(runtime, screen, id, choice, reason, detach).await
        }
        Approvals::Reject(Reject { id, reason, detach }) => {
            decide(runtime, screen, id, Choice::Reject, reason, detach).await
        }
    }
}

async fn list(runtime: &Runtime, screen: Screen) -> Result<Exit, Failure> {
    let open = runtime.engine().approvals(&runtime.principal().tenant).await?;
    if screen.is_json() {
        screen.object(&json!({ "approvals": open }));
    } else if open.is_empty() {
        screen.line("nobody is waited for");
    } else {
        open.iter().for_each(|question| show(screen, question));
        screen.note(&format!(
            "{} open; `l9-server approvals approve ID --reason \"…\"` lets one happen, `reject` does not",
            count(open.len() as u64)
        ));
    }
    Ok(Exit::Done)
}

fn show(screen: Screen, question: &OpenQuestion) {
    let OpenQuestion { id, name, requester, target, arguments, reasons, expires_at, .. } = question;
    screen.line(&format!("{id}  {} asks for {}", screen.paint().name(name), screen.paint().name(target)));
    screen.line(&format!("  {}", screen.safe(&clip(&arguments.to_string(), 400))));
    for argument in &question.facts.arguments {
        if !argument.sources.is_empty() {
            let sources: Vec<&str> = argument.sources.iter().map(String::as_str).collect();
            screen.line(&format!("  {} may come from {}", argument.pointer, screen.safe(&sources.join(", "))));
        }
    }
    for reason in reasons {
        screen.line(&format!("  because {}", screen.safe(&clip(reason, 300))));
    }
    screen.line(&format!("  for {requester}, until {expires_at}"));
}

async fn decide(
    runtime: &Runtime,
    screen: Screen,
    id: ApprovalId,
    choice: Choice,
    reason: String,
    detach: bool,
) -> Result<Exit, Failure> {
    let principal = runtime.principal();
    let row = runtime.store().run(&principal.tenant, id.run).await?;
    let row = row.ok_or_else(|| {
        Failure::usage(format!("run {} does not exist", id.run))
            .with_help("`l9-server approvals list` shows what waits for a decision")
    })?;
    let fresh = RunId::generate(runtime.clock().now(), &SystemEntropy, "");
    let command = CommandId::new(format!("approval/{fresh}"))?;
    if let Err(refused) = runtime.engine().decide(&principal, id, choice, reason, command.clone()).await {
        // The journal says so now, and not only once somebody works.
        take_commands(runtime, &row).await;
        return Err(refused.into());
    }
    if detach {
        if screen.is_json() {
            screen.object(&json!({"run_id": id.run, "command_id": command}));
        } else {
            screen.line(&format!("run {} goes on with whoever works next", id.run));
        }
        return Ok(Exit::Done);
    }
    let exit = go_on_with(runtime, screen, &row).await?;
    match runtime.engine().verdict(&row.tenant, id.run, &command).await? {
        Some(Err(why)) => Err(Failure::failed(format!("run {} did not take the decision: {why}", id.run))),
        _ => Ok(exit),
    }
}
