//! What is wrong with a policy, where, and how to mend it.

use std::fmt;

use miette::Diagnostic;
use serde::Serialize;

use super::source::Source;
use crate::{Error, ErrorKind};

/// The most problems that one message lists.
const LISTED: usize = 8;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// It does not parse.
    Syntax,
    /// It speaks of a type, an action or an attribute that there is not, or compares what cannot
    /// be compared.
    Schema,
    /// Two policies have one id.
    DuplicateId,
    /// It can never hold.
    Impossible,
    /// It says what another says.
    Duplicate,
    /// No decision would be another without it.
    NeverDecides,
    /// It names a tool or an agent that there is not.
    UnknownName,
    /// It may read otherwise than it works, such as one with letters of several scripts.
    Confusing,
}

impl ProblemKind {
    /// Whether policies with it cannot be used at all.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(self, Self::Syntax | Self::Schema | Self::DuplicateId)
    }
}

/// Something that is wrong with policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// The file, or what stands for one.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The policy, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Problem {
    /// A problem at a byte of a text.
    pub(super) fn at(kind: ProblemKind, source: &Source, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = source.position(offset);
        let file = source.name.clone();
        Self { kind, file, line, column, policy: None, message: message.into(), mend: None }
    }

    /// What Cedar says about a text; `offset` stands for a place it does not name.
    pub(super) fn of(kind: ProblemKind, source: &Source, offset: usize, diagnostic: &dyn Diagnostic) -> Self {
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        let offset = label.as_ref().map_or(offset, miette::LabeledSpan::offset);
        let mut message = diagnostic.to_string();
        if let Some(words) = label.as_ref().and_then(|label| label.label()) {
            message = format!("{message}: {words}");
        }
        let mend = diagnostic.help().map(|help| help.to_string());
        Self { mend, ..Self::at(kind, source, offset, message) }
    }

    pub(super) fn of_policy(self, policy: &str) -> Self {
        Self { policy: Some(policy.to_owned()), ..self }
    }

    pub(super) fn mended_by(self, mend: impl Into<String>) -> Self {
        Self { mend: self.mend.or_else(|| Some(mend.into())), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.mend {
            Some(mend) => write!(f, ": {mend}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong, in one error.
pub(super) fn refused(problems: &[Problem]) -> Error {
    let mut shown: Vec<String> = problems.iter().take(LISTED).map(ToString::to_string).collect();
    if problems.len() > LISTED {
        shown.push(format!("and {} more", problems.len() - LISTED));
    }
    Error::new(ErrorKind::Invalid, format!("the policies cannot be used: {}", shown.join("; ")))
}
