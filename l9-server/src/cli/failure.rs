//! How commands end: exit codes, and errors as people and scripts read them.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use l9::journal::Status;
use l9::{Ended, Error, ErrorKind};
use serde_json::json;

use crate::config::{Problem, Problems};
use crate::terminal::Paint;

/// How a command ended, as the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Bad usage or configuration.
    Usage = 2,
    /// Waiting for a person.
    Waiting = 3,
    /// Denied by policy.
    Denied = 4,
    /// Interrupted at the terminal, as shells know it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How a run's end looks from outside.
    pub(crate) fn of_run(ended: &Ended) -> Self {
        match (ended.status, ended.code.as_deref()) {
            (Status::Succeeded, _) => Self::Done,
            (Status::Waiting, _) => Self::Waiting,
            (_, Some("denied.invalid_arguments" | "denied.malformed_arguments")) => Self::Usage,
            (_, Some(code)) if code.starts_with("denied.") => Self::Denied,
            _ => Self::Failed,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    kind: &'static str,
    problems: Vec<Problem>,
}

impl Failure {
    /// The arguments make no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, kind: "invalid", problems: vec![Problem::plain(message)] }
    }

    /// Something went wrong.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, kind: "failed", problems: vec![Problem::plain(message)] }
    }

    /// Adds how to mend it.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        if let Some(problem) = self.problems.last_mut() {
            problem.help = Some(help.into());
        }
        self
    }

    /// Puts what was attempted before the message.
    pub(crate) fn during(mut self, what: impl fmt::Display) -> Self {
        if let Some(problem) = self.problems.first_mut() {
            problem.message = format!("{what}: {}", problem.message);
        }
        self
    }

    /// A fault of the machine rather than of what was asked: a folder that cannot be
    /// written is no denial by policy, and a lost key no slip of the keys.
    pub(crate) fn of_machine(error: Error) -> Self {
        let failed = matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound);
        let failure = Self::from(error);
        if failed { Self { exit: Exit::Failed, ..failure } } else { failure }
    }

    /// How to mend it, if that is known.
    pub(crate) fn help(&self) -> Option<&str> {
        self.problems.iter().find_map(|problem| problem.help.as_deref())
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells it: for people on standard error and, with `json`, as one object on
    /// standard output.
    pub(crate) fn show(&self, json: bool) {
        let paint = Paint::for_stream(&std::io::stderr());
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&format!("{} {}\n", paint.bad("error:"), problem.message));
            if let Some(help) = &problem.help {
                text.push_str(&format!("{} {help}\n", paint.good("help:")));
            }
        }
        // The streams may be closed: nothing is left to tell anybody.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        if json {
            let first = self.problems.first();
            let object = json!({"error": {
                "kind": self.kind,
                "message": self.to_string(),
                "help": first.and_then(|problem| problem.help.clone()),
            }});
            let _ = std::io::stdout().lock().write_all(format!("{object}\n").as_bytes());
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.problems.iter().map(|problem| problem.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let exit = match kind {
            ErrorKind::Invalid | ErrorKind::NotFound => Exit::Usage,
            ErrorKind::Denied => Exit::Denied,
            _ => Exit::Failed,
        };
        let help = match kind {
            ErrorKind::Corrupt => Some("`l9-server audit verify` names every record that is damaged"),
            ErrorKind::Fenced => Some("another process took the run over; `l9-server runs show` tells how it goes on"),
            ErrorKind::Expired => Some("`l9-server runs show` still tells how the run ended"),
            ErrorKind::Internal => Some("this is a defect of L9: please report it with what you did"),
            _ => None,
        };
        let problem = Problem { message: error.to_string(), help: help.map(str::to_owned) };
        Self { exit, kind: kind.as_str(), problems: vec![problem] }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self { exit: Exit::Usage, kind: "invalid", problems: problems.0 }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Problems::from(problem).into()
    }
}
