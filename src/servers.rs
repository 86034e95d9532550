//! MCP servers of the settings, in a running system; in a build without them there are none.

#[cfg(not(feature = "mcp"))]
mod none;
#[cfg(feature = "mcp")]
mod some;

#[cfg(not(feature = "mcp"))]
pub(crate) use none::Servers;
#[cfg(feature = "mcp")]
pub(crate) use some::Servers;

use serde::Serialize;

/// How an MCP server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerHealth {
    /// Its configured name.
    pub name: String,
    /// Whether it is as it should be: connected, or not needed yet.
    pub ok: bool,
    /// How it stands, in words.
    pub detail: String,
}
