//! Where a setting's value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the configuration file.
    File { path: PathBuf, line: u64 },
    /// A variable in a `.env` file.
    DotEnv { path: PathBuf, name: String },
    /// A variable of the environment.
    Environment { name: String },
    /// A flag of the command line.
    Flag { name: &'static str },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::DotEnv { path, name } => write!(f, "{name} in {}", path.display()),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}
