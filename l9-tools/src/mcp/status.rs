//! How servers stand, for whoever looks after them.

/// Whether a server can be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Its configured name.
    pub server: String,
    /// Whether it can be called.
    pub state: State,
    /// Why not.
    pub why: Option<String>,
    /// How many of the tools that it listed last were taken in.
    pub tools: usize,
    /// Tools that are not taken.
    pub refused: Vec<Refused>,
}

/// A tool that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name there, as it can be shown.
    pub tool: String,
    /// Why.
    pub why: String,
}
