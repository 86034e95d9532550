//! How servers stand, for whoever looks after them.

use serde::Serialize;

/// Whether a server can be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is started or reached when it is needed.
    #[default]
    Idle,
    /// It is connected.
    Connected,
    /// It did not come up, or went down.
    Down,
}

/// How a server stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its configured name.
    pub server: String,
    /// Whether it can be called.
    pub state: State,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How many of the tools that it listed last were taken in.
    pub tools: usize,
    /// Tools that are not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// A tool that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its name there, as it can be shown.
    pub tool: String,
    /// Why.
    pub why: String,
}
