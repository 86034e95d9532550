//! All configured servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use futures_util::future::join_all;
use l9_core::tool::{Manifest, Runtime, Tool, ToolSandbox};

use super::intake::Intake;
use super::manifest::ruled;
use super::name::escaped;
use super::sandbox::Sandbox;
use super::server::{Host, Server};
use super::settings::Settings;
use super::status::Status;
use crate::http::Surroundings;

/// The MCP servers of a system. One is started or reached when a tool of it is called, or
/// when it is asked for.
#[derive(Debug)]
pub struct Servers(Vec<Arc<Server>>);

impl Servers {
    /// Servers by their names, with settings that fit. What they list goes to `intake`. `home`
    /// is the folder of their working folders; without one each start gets one of its own,
    /// which goes with it.
    #[must_use]
    pub fn new(
        settings: &BTreeMap<String, Settings>,
        home: Option<&Path>,
        around: &Surroundings,
        intake: &Weak<dyn Intake>,
    ) -> Self {
        let server = |(name, its): (&String, &Settings)| {
            let host = Host { intake: Weak::clone(intake), around: around.clone(), home: home.map(Path::to_owned) };
            Server::new(name.clone(), Arc::new(its.clone()), host)
        };
        Self(settings.iter().map(server).collect())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|server| server.name.as_str())
    }

    /// What runs the tool of a manifest, if it is one of these servers' and the operator takes
    /// it.
    #[must_use]
    pub fn sandbox(&self, manifest: &Manifest) -> Option<Arc<dyn ToolSandbox>> {
        let Runtime::Mcp { server, tool } = &manifest.runtime else { return None };
        let server = self.0.iter().find(|one| one.name == *server)?;
        let taken = server.settings.tools.as_ref().is_none_or(|taken| taken.iter().any(|name| escaped(name) == *tool));
        taken.then(|| Arc::new(Sandbox::new(server)) as Arc<dyn ToolSandbox>)
    }

    /// Connects to those of which no tool is among these, or one that their settings would have
    /// otherwise by now, all at once. One that does not come up is logged, and its tools are missing until
    /// it does.
    pub async fn meet(&self, known: &[Arc<Tool>]) {
        let is_stranger = |server: &&Arc<Server>| {
            let manifests = known.iter().map(|tool| &tool.manifest);
            let is_its =
                |runtime: &Runtime| matches!(runtime, Runtime::Mcp { server: name, .. } if *name == server.name);
            let mut its = manifests.filter(|manifest| is_its(&manifest.runtime)).peekable();
            let fits =
                |manifest: &Manifest| ruled(manifest.clone(), &server.settings).is_ok_and(|ruled| ruled == *manifest);
            its.peek().is_none() || !its.all(fits)
        };
        join_all(self.0.iter().filter(is_stranger).map(|server| server.connection())).await;
    }

    /// Connects to every server, all at once; as [`Servers::meet`].
    pub async fn connect(&self) {
        join_all(self.0.iter().map(|server| server.connection())).await;
    }

    /// How each server stands.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        self.0.iter().map(|server| server.status()).collect()
    }

    /// Ends every connection, and every server that was started.
    pub async fn close(&self) {
        join_all(self.0.iter().map(|server| server.close())).await;
    }
}
