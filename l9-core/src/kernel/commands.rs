//! What a run is told: commands go into its inbox, and its lease's owner answers them.

use std::time::Duration;

use super::engine::Engine;
use crate::id::{CommandId, RunId, TenantId};
use crate::queue::Task;
use crate::run::{Command, CommandRequest, Event};
use crate::{Error, ErrorKind, Result};

impl Engine {
    /// Sends a command to a run; tells whether it was the first of its id.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Conflict` for one that has ended or for an id under which
    /// something else was asked, `Invalid` for one that holds a known secret, unless it stops the
    /// run.
    pub async fn command(&self, tenant: &TenantId, run: RunId, request: &CommandRequest) -> Result<bool> {
        if is_internal(&request.id) {
            return Err(Error::invalid(format!(
                "command id {} is one that runs use among themselves: use another",
                request.id
            )));
        }
        // Nothing that is wrong with its words stands in the way of stopping a run.
        if !matches!(request.command, Command::Cancel { .. } | Command::Pause { .. }) {
            self.inner.parts.governor.value_without_secrets("the command holds", &request.command)?;
        }
        // Told at once where it can be known; the lease's owner has the last word.
        let (_, state) = self.show(tenant, run).await?;
        if let Some(why) = request.command.refusal(&state)
            && state.closed.is_none()
        {
            return match self.carried_out(tenant, run, &request.id).await? {
                Some(event) => again(request, self.is_same(request, &event)),
                None => Err(Error::new(ErrorKind::Conflict, format!("run {run}: {why}"))),
            };
        }
        if self.send(tenant, run, request).await? {
            return Ok(true);
        }
        // What waits is looked at first: it may be carried out meanwhile.
        let parts = &self.inner.parts;
        let waiting = parts.store.pending(tenant, run).await?;
        if let Some(stored) = waiting.iter().find(|stored| stored.id == request.id) {
            let waits = CommandRequest::open(&*parts.vault, tenant, run, stored)?;
            return again(request, waits.command == request.command);
        }
        let event = self.carried_out(tenant, run, &request.id).await?;
        again(request, event.is_none_or(|event| self.is_same(request, &event)))
    }

    fn is_same(&self, request: &CommandRequest, event: &Event) -> bool {
        request.command.became(event, |value| self.inner.parts.governor.masked(value))
    }

    /// Puts a command into a run's inbox and has the run advanced; tells whether it was the
    /// first of its id.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Conflict` for one that has ended.
    pub(super) async fn send(&self, tenant: &TenantId, run: RunId, request: &CommandRequest) -> Result<bool> {
        let stored = request.seal(&*self.inner.parts.vault, tenant, run)?;
        let first = self.inner.parts.store.post(tenant, run, stored).await?;
        self.inner.backing.hints.commanded(run);
        let row = self.inner.parts.store.run(tenant, run).await?;
        let task = Task { tenant: tenant.clone(), run, priority: row.map_or(0, |row| row.priority) };
        if let Err(error) = self.inner.parts.queue.enqueue(task, Duration::ZERO).await {
            tracing::warn!(%run, %error, "commanded but not queued; the reconciler will");
        }
        Ok(first)
    }

    /// What became of a command, once the lease's owner has turned it into an event: nothing,
    /// or why it was rejected. `None` while it waits, or if it was never sent.
    ///
    /// # Errors
    /// As [`Engine::feed`].
    pub async fn verdict(
        &self,
        tenant: &TenantId,
        run: RunId,
        command: &CommandId,
    ) -> Result<Option<Result<(), String>>> {
        Ok(self.carried_out(tenant, run, command).await?.map(became))
    }

    /// Waits for what becomes of a command, for as long as that takes: nothing, or why it was
    /// rejected.
    ///
    /// # Errors
    /// `Conflict` when the run ends without it; as [`Engine::feed`].
    pub async fn answer(&self, tenant: &TenantId, run: RunId, command: &CommandId) -> Result<Result<(), String>> {
        let mut feed = self.feed(tenant, run, 0).await?;
        while let Some((_, event)) = feed.next().await? {
            if event.command() == Some(command) {
                return Ok(became(event));
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("run {run} ended before it took the command")))
    }

    /// The event that a command became.
    pub(super) async fn carried_out(
        &self,
        tenant: &TenantId,
        run: RunId,
        command: &CommandId,
    ) -> Result<Option<Event>> {
        let mut feed = self.feed(tenant, run, 0).await?;
        loop {
            let page = feed.page().await?;
            if page.is_empty() {
                return Ok(None);
            }
            let mut events = page.into_iter().map(|(_, event)| event);
            if let Some(found) = events.find(|event| event.command() == Some(command)) {
                return Ok(Some(found));
            }
        }
    }
}

/// Whether an id is one under which runs, and those who refuse, tell a run something: nobody
/// else may take it.
fn is_internal(id: &CommandId) -> bool {
    ["child/", "cancel/run:", "refused/"].iter().any(|prefix| id.as_str().starts_with(prefix))
}

/// A command whose id was used before: the same over again is carried out once.
fn again(request: &CommandRequest, same: bool) -> Result<bool> {
    if same {
        return Ok(false);
    }
    let message = format!("something else was asked of the run as {:?}: use another id", request.id.as_str());
    Err(Error::new(ErrorKind::Conflict, message))
}

/// What became of a command that an event tells of.
fn became(event: Event) -> Result<(), String> {
    match event {
        Event::CommandRejected(rejected) => Err(rejected.reason),
        _ => Ok(()),
    }
}
