//! Follows a run to its end: shows its steps and words, takes Ctrl-C, verifies it.

use std::time::Duration;

use l9::evidence::{self, Checkpoint, SignedCheckpoint};
use l9::id::{CallId, CommandId, TenantId};
use l9::journal::{RunRow, Status};
use l9::kernel::{Ended, Started};
use l9::model::{ModelResponse, Words};
use l9::run::{Command, CommandRequest, Event, Outcome, RunState};
use l9::{RunId, Runtime};
use tokio::sync::mpsc;

use super::failure::Failure;
use crate::standing::Standing;
use crate::terminal::{Covered, Receipt, Screen, Steps};

/// How often to look whether this process gave the run up.
const LOOK: Duration = Duration::from_secs(1);

/// How often to look whether the run waits for somebody.
const GLANCE: Duration = Duration::from_millis(100);

/// A run that was followed to its end.
#[derive(Debug)]
pub(crate) struct Followed {
    /// How it ended.
    pub(crate) ended: Ended,
    /// What its journal folds to.
    pub(crate) state: RunState,
    /// The proof.
    pub(crate) receipt: Receipt,
    /// Whether the answer stands on the screen already.
    pub(crate) streamed: bool,
    /// Whether Ctrl-C was pressed.
    pub(crate) interrupted: bool,
}

/// How far a run was followed.
#[derive(Debug)]
pub(crate) enum Shown {
    /// To its end.
    Ended(Box<Followed>),
    /// Until it waited for somebody.
    Waits(Box<Waiting>),
    /// Until a second Ctrl-C.
    Left,
}

/// A run that waits for somebody.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// For what.
    pub(crate) standing: Standing,
    /// What its journal folds to.
    pub(crate) state: RunState,
    /// The proof so far.
    pub(crate) receipt: Receipt,
}

/// The words of a run as they come.
pub(crate) fn words_of(runtime: &Runtime, run: RunId) -> Words {
    let mut words = runtime.engine().parts().governor.deltas().listen();
    words.follow(run);
    words
}

/// Follows a run until it closes, or waits for somebody. `words` must have been listened to
/// before this process began to drive runs.
pub(crate) async fn follow(
    runtime: &Runtime,
    screen: Screen,
    started: Started,
    words: Words,
) -> Result<Shown, Failure> {
    follow_from(runtime, screen, started, words, 0).await
}

/// Like [`follow`], from an event on.
pub(crate) async fn follow_from(
    runtime: &Runtime,
    screen: Screen,
    started: Started,
    words: Words,
    from: u64,
) -> Result<Shown, Failure> {
    let tenant = runtime.principal().tenant;
    let mut feed = runtime.engine().feed(&tenant, started.run, from).await?;
    let mut steps = Steps::new(screen);
    let mut stream = Stream { screen, words, expects: false, turn: String::new(), last: String::new() };
    let mut interrupts = interrupts();
    let mut interrupted = false;
    loop {
        let shown = feed.position();
        tokio::select! {
            event = feed.next() => {
                let Some((view, event)) = event? else { break };
                stream.before(&event);
                steps.show(&view, &event);
                stream.after(&event);
            }
            (_, words) = stream.words.recv(), if stream.expects => stream.say(&words),
            Some(()) = interrupts.recv() => {
                if interrupted {
                    screen.note(&format!("left run {} as it is: the next process that works here goes on with it", started.run));
                    return Ok(Shown::Left);
                }
                interrupted = true;
                screen.note("asked the run to stop; Ctrl-C again leaves it as it is");
                cancel(runtime, started.run, "interrupted at the terminal").await?;
            }
            failure = given_up(runtime, started.run) => return Err(failure),
            (row, state, standing) = waits(runtime, started.run, shown) => {
                let receipt = receipt(runtime, &row).await;
                return Ok(Shown::Waits(Box::new(Waiting { standing, state, receipt })));
            }
        }
    }
    let ended = runtime.engine().outcome(&tenant, started.run).await?;
    let (row, state) = runtime.engine().show(&tenant, started.run).await?;
    let receipt = receipt(runtime, &row).await;
    let streamed = stream.last == ended.text();
    Ok(Shown::Ended(Box::new(Followed { ended, state, receipt, streamed, interrupted })))
}

/// Posts a cancellation to the run's inbox.
pub(crate) async fn cancel(runtime: &Runtime, run: RunId, reason: &str) -> Result<(), Failure> {
    let principal = runtime.principal();
    let command = Command::Cancel { reason: reason.to_owned() };
    // One cancellation by one person is one command, however often it is asked for.
    let id = CommandId::new(format!("cancel/{}", principal.subject))?;
    let request = CommandRequest { id, by: principal.subject, command };
    match runtime.engine().command(&principal.tenant, run, &request).await {
        // It ended meanwhile: there is nothing left to stop.
        Err(error) if error.kind() == l9::ErrorKind::Conflict => Ok(()),
        other => other.map(drop).map_err(Failure::from),
    }
}

/// Reads the whole run again, and tells what it proves.
pub(crate) async fn receipt(runtime: &Runtime, row: &RunRow) -> Receipt {
    let mut report = evidence::Report::default();
    evidence::verify_run(&**runtime.store(), &**runtime.vault(), row, &mut report).await;
    for fault in &report.faults {
        tracing::error!(run = %fault.run_id, seq = ?fault.seq, "does not verify: {}", fault.what);
    }
    let checkpoint = match runtime.audit().receipt(&row.tenant, row.run, row.head.next).await {
        Ok(covering) => {
            covering.map(|SignedCheckpoint { checkpoint: Checkpoint { origin, size, root, .. }, .. }| Covered {
                origin,
                size,
                root,
            })
        }
        Err(error) => {
            tracing::warn!(%error, "no checkpoint covers the run");
            None
        }
    };
    Receipt {
        events: row.head.next,
        head_hash: row.head.hash,
        epoch: row.epoch,
        database: runtime.database().map(str::to_owned),
        verified: report.faults.is_empty() && report.records == row.head.next,
        checkpoint,
    }
}

/// Every Ctrl-C from now on.
fn interrupts() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        // Ends with the receiver, or where there is no such signal.
        while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {}
    });
    receiver
}

/// Ends when the run waits for somebody, itself or below, and everything it did has been
/// shown.
async fn waits(runtime: &Runtime, run: RunId, shown: u64) -> (RunRow, RunState, Standing) {
    let tenant = runtime.principal().tenant;
    loop {
        runtime.clock().sleep(GLANCE).await;
        let row = runtime.store().run(&tenant, run).await.ok().flatten();
        if row.is_none_or(|row| row.head.next > shown) {
            continue;
        }
        if let Some(stuck) = stuck(runtime, &tenant, run).await {
            return stuck;
        }
    }
}

/// A run that does not go on before somebody does something, for it or for a run that it
/// delegated to; none while anything may happen by itself.
async fn stuck(runtime: &Runtime, tenant: &TenantId, run: RunId) -> Option<(RunRow, RunState, Standing)> {
    let row = runtime.store().run(tenant, run).await.ok()??;
    // A command that came meanwhile is about to be carried out.
    if row.status != Status::Waiting || !runtime.store().pending(tenant, run).await.ok()?.is_empty() {
        return None;
    }
    let (row, state) = runtime.engine().show(tenant, run).await.ok()?;
    let mut standing = Standing::of(&row, &state);
    let children: Vec<RunId> = state.open_children().map(|(_, child)| child).collect();
    // One child that goes on by itself may wake it; what it wants itself, none brings.
    let (own, mut all) = (standing.wants_somebody(), !children.is_empty());
    for child in children {
        match Box::pin(stuck(runtime, tenant, child)).await {
            Some((_, _, child)) => standing.approvals.extend(child.approvals),
            None => all = false,
        }
    }
    (row.status == Status::Waiting && (own || all)).then_some((row, state, standing))
}

/// Ends only if this process cannot advance the run at all.
async fn given_up(runtime: &Runtime, run: RunId) -> Failure {
    loop {
        runtime.clock().sleep(LOOK).await;
        let dead = runtime.engine().dead(Some(&runtime.principal().tenant), usize::MAX).await.unwrap_or_default();
        if let Some(dead) = dead.into_iter().find(|dead| dead.run == run) {
            return Failure::failed(format!("run {run} cannot go on: {}", dead.reason)).with_help(format!(
                "`l9-server runs show {run}` tells how far it came, `l9-server queue redrive {run}` has it tried again"
            ));
        }
    }
}

/// The words of one run on a screen that somebody watches.
struct Stream {
    screen: Screen,
    words: Words,
    /// Whether a turn is under way and on the screen, so that its words may follow.
    expects: bool,
    /// What the turn under way has said.
    turn: String,
    /// What the last turn said, if all of it stands on the screen.
    last: String,
}

impl Stream {
    fn say(&mut self, words: &str) {
        if self.turn.is_empty() {
            self.screen.words("\n");
        }
        self.screen.words(&self.screen.safe(words));
        self.turn.push_str(words);
    }

    /// Words of a turn come after its beginning.
    fn after(&mut self, event: &Event) {
        if matches!(event, Event::EffectIntent(intent) if matches!(intent.call, CallId::Turn(_))) {
            self.expects = self.screen.is_live();
        }
    }

    /// Words of a turn come before its end.
    fn before(&mut self, event: &Event) {
        let Event::EffectResult(result) = event else { return };
        if !matches!(result.call, CallId::Turn(_)) || !self.screen.is_live() {
            return;
        }
        while let Some((_, words)) = self.words.try_recv() {
            self.say(&words);
        }
        self.expects = false;
        let said = std::mem::take(&mut self.turn);
        if !said.is_empty() {
            self.screen.words("\n\n");
        }
        let response: Option<ModelResponse> = match &result.outcome {
            Outcome::Ok { value } => value.shown().and_then(|value| serde_json::from_value(value.clone()).ok()),
            Outcome::Failed { .. } => None,
        };
        self.last = response.map(|response| response.text).filter(|text| *text == said).unwrap_or_default();
    }
}
