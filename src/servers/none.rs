//! A build without MCP has no servers.

use std::sync::{Arc, Weak};

use l9_core::Result;
use l9_core::tool::{Manifest, Tool, ToolSandbox};

use super::ServerHealth;
use crate::settings::Settings;
use crate::tools::{Kinds, Tools};

/// No servers.
#[derive(Debug)]
pub(crate) struct Servers;

impl Servers {
    pub(crate) fn check(_: &Settings) -> Result<()> {
        Ok(())
    }

    pub(crate) fn handles(_: &Settings) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    pub(crate) fn new(_: &Settings, _: &Kinds, _: &Weak<Tools>) -> Self {
        Self
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    pub(crate) fn sandbox(&self, _: &Manifest) -> Option<Arc<dyn ToolSandbox>> {
        None
    }

    pub(crate) async fn meet(&self, _: &[Arc<Tool>]) {}

    pub(crate) async fn connect(&self) {}

    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        Vec::new()
    }

    pub(crate) async fn close(&self) {}
}
