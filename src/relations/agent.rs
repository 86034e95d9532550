//! Reads memories by asking an agent: each by a run of its own, under the profile, the budget and
//! the policy of any other run.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Status;
use l9_core::kernel::{Engine, Kernel as _, StartOptions};
use l9_core::memory::Entry;
use l9_core::principal::{Principal, Roles};
use l9_core::{Error, ErrorKind, Result};
use l9_memory::relations::{Read, Reader, answered};

/// How much of a text is given, in bytes.
const MOST: usize = 16 << 10;
/// How long a run may take before it is stopped.
const DEADLINE: Duration = Duration::from_mins(10);
/// How many runs there are at a time.
const AT_ONCE: usize = 2;
/// The version of what is asked and how the answer is read.
const VERSION: u32 = 1;

/// Asks an agent.
#[derive(Debug)]
pub(super) struct Agent {
    name: String,
    agent: AgentId,
    engine: Engine,
}

impl Agent {
    pub(super) fn new(agent: &str, engine: &Engine) -> Result<Self> {
        let name = format!("agent/{agent}/{VERSION}");
        Ok(Self { name, agent: AgentId::new(agent)?, engine: engine.clone() })
    }
}

#[async_trait]
impl Reader for Agent {
    fn name(&self) -> &str {
        &self.name
    }

    fn batch(&self) -> (usize, usize) {
        (AT_ONCE, AT_ONCE)
    }

    async fn read(&self, tenant: &TenantId, entry: &Entry) -> Result<Read> {
        if self.engine.stops().await?.iter().any(|stop| stop.scope.holds(tenant)) {
            return Err(stopped(tenant));
        }
        let text = entry.entry.text.as_str();
        let text = &text[..text.floor_char_boundary(MOST)];
        let principal =
            Principal { tenant: tenant.clone(), subject: "system:relations".into(), roles: Roles::default() };
        let options = StartOptions {
            label: entry.entry.label.clone(),
            deadline: Some(DEADLINE),
            // After a restart it is the same run that is waited for.
            idempotency_key: Some(format!("{}/{}", self.name, entry.id)),
            priority: -1,
            ..StartOptions::default()
        };
        let handle = match self.engine.execute(&principal, &self.agent, text, options).await {
            Ok(handle) => handle,
            // A stop that stood until just now, or stands only just.
            Err(_) if self.engine.parts().governor.stops().is_stopped(tenant) => return Err(stopped(tenant)),
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                return Ok(Read::Failed(format!("no run of {} takes it as input", self.agent)));
            }
            Err(error) => return lost(error),
        };
        let run = handle.run();
        let stops = self.engine.parts().governor.stops();
        let ended = tokio::select! {
            biased;
            ended = handle.outcome() => ended,
            () = stops.stopped(tenant) => return Err(stopped(tenant)),
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => return lost(error),
        };
        if ended.status != Status::Succeeded {
            let code = ended.code.unwrap_or_default();
            return Ok(Read::Failed(format!("run {run} has no answer: {code}")));
        }
        let Some(relations) = answered(&ended.text(), text) else {
            return Ok(Read::Failed(format!("run {run} answered no relations in JSON")));
        };
        // Whatever else the run saw is in what it answered.
        match self.engine.show(tenant, run).await {
            Ok((_, state)) => Ok(Read::Said(run, relations, state.label)),
            Err(error) => lost(error),
        }
    }
}

fn stopped(tenant: &TenantId) -> Error {
    Error::unavailable(format!("tenant {tenant} is stopped: memories are read after its unstop"))
}

/// A run that cannot be read, now or ever, tells nothing of its entry, and keeps no other from being
/// read.
fn lost(error: Error) -> Result<Read> {
    match error.kind() {
        ErrorKind::Expired | ErrorKind::Corrupt => Ok(Read::Failed(format!("its run is gone: {}", error.message()))),
        _ => Err(error),
    }
}
