//! The servers of the settings, whose tools are recorded like any others.

use std::sync::{Arc, Weak};

use l9_core::Result;
use l9_core::tool::{Manifest, Tool, ToolSandbox};
use l9_tools::mcp::{self, Intake, State, Status};

use super::ServerHealth;
use crate::settings::{Settings, Storage};
use crate::tools::{Kinds, Tools};

/// The servers.
#[derive(Debug)]
pub(crate) struct Servers(mcp::Servers);

impl Servers {
    /// Finds settings that do not fit.
    pub(crate) fn check(settings: &Settings) -> Result<()> {
        settings.mcp.iter().try_for_each(|(name, server)| server.check(name))
    }

    /// The handles of the secrets that they are given.
    pub(crate) fn handles(settings: &Settings) -> impl Iterator<Item = &str> {
        settings.mcp.values().flat_map(mcp::Settings::handles)
    }

    pub(crate) fn new(settings: &Settings, kinds: &Kinds, tools: &Weak<Tools>) -> Self {
        let home = (settings.storage != Storage::InMemory).then(|| settings.data_dir.join("mcp"));
        let tools: Weak<Tools> = Weak::clone(tools);
        let intake: Weak<dyn Intake> = tools;
        Self(mcp::Servers::new(&settings.mcp, home.as_deref(), &kinds.http, &intake))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    pub(crate) fn sandbox(&self, manifest: &Manifest) -> Option<Arc<dyn ToolSandbox>> {
        self.0.sandbox(manifest)
    }

    pub(crate) async fn meet(&self, in_use: &[Arc<Tool>]) {
        self.0.meet(in_use).await;
    }

    pub(crate) async fn connect(&self) {
        self.0.connect().await;
    }

    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        self.0.status().into_iter().map(health).collect()
    }

    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

fn health(status: Status) -> ServerHealth {
    let Status { server, state, why, tools, refused } = status;
    let mut words = vec![match state {
        State::Idle => "not connected yet".to_owned(),
        State::Connected => format!("connected, {tools} tools"),
        State::Down => format!("down: {}", why.as_deref().unwrap_or("unknown")),
    }];
    words.extend(refused.iter().map(|refused| format!("{} is not taken: {}", refused.tool, refused.why)));
    ServerHealth { name: server, ok: state != State::Down, detail: words.join("; ") }
}
