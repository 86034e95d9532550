//! A server's process: what it is granted, what it may use, and its end with all that it
//! started.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use l9_core::redact::Redactor;
use l9_core::{Error, Result};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::output::told;
use super::server::Host;
use super::settings::Settings;
use crate::secrets::Secrets;

/// How long a process is given to end by itself, and then to end when it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long its last word is waited for.
const WORD: Duration = Duration::from_millis(500);
/// Bytes of one line that it writes to standard error.
const LINE: u64 = 2_000;
/// Lines of standard error that a failure tells.
const LAST: usize = 5;

/// Sets the limits that come first, as far as they are stricter than those there are, and
/// becomes the program. They hold for whatever it starts, too.
const LIMITED: &str = r#"
limit() { (ulimit "$1" "$2") 2>/dev/null && ulimit "$1" "$2"; }
limit -c 0; limit -n "$1"; limit -f "$2"; limit -d "$3"
shift 3
exec "$@"
"#;

/// A process and the two ends of its pipes.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
}

/// A process; when it is dropped, it is killed with all that it started.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<u32>,
    said: Said,
    /// Its working folder, if that goes with it.
    _folder: Option<TempDir>,
}

/// The last lines of standard error, cleared of secrets.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Fires at the end of standard error.
    all: CancellationToken,
}

impl Said {
    /// Of a server that has no standard error here.
    pub(super) fn nothing() -> Self {
        let said = Self::default();
        said.all.cancel();
        said
    }

    fn add(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// What was said last, to be put behind a failure; a process that has just died is
    /// listened to until its last word.
    pub(super) async fn last(&self) -> String {
        let _ = tokio::time::timeout(WORD, self.all.cancelled()).await;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        format!("; it said: {}", lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | "))
    }
}

impl Process {
    /// Starts the server of that name. Its working folder is kept where the host has
    /// a place for it, and goes with it otherwise.
    pub(super) fn start(server: &str, settings: &Settings, host: &Host) -> Result<Started> {
        let wanted = settings.command.as_deref().unwrap_or_default();
        let program = find(wanted).ok_or_else(|| {
            Error::unavailable(format!("there is no program {wanted}: install it, or name it by an absolute path"))
        })?;
        let failed = |what: &str, error: std::io::Error| Error::unavailable(format!("{what} failed")).caused_by(error);
        let (folder, passing) = match &host.home {
            Some(home) => (home.join(server), None),
            None => {
                let passing = tempfile::tempdir().map_err(|error| failed("making a working folder", error))?;
                (passing.path().to_owned(), Some(passing))
            }
        };
        std::fs::create_dir_all(&folder).map_err(|error| failed("making its working folder", error))?;
        let mut child = command(&program, settings, &host.around.secrets, &folder)?
            .spawn()
            .map_err(|error| failed("starting it", error))?;
        let group = child.id();
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::internal("a process was started without pipes"));
        };
        let said = Said::default();
        tokio::spawn(listen(server.to_owned(), stderr, Arc::clone(&host.around.redactor), said.clone()));
        Ok(Started { process: Self { child, group, said, _folder: passing }, stdin, stdout })
    }

    pub(super) fn said(&self) -> Said {
        self.said.clone()
    }

    /// Waits for its end, of which the closing of its standard input tells it, asks for it,
    /// and brings it about.
    pub(super) async fn end(mut self) {
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.signal(Signal::Terminate);
            let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            send(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
    }
}

/// How a group of processes is ended.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Terminate,
    Kill,
}

#[cfg(unix)]
fn send(group: u32, signal: Signal) {
    let signal = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    if let Some(group) = i32::try_from(group).ok().and_then(rustix::process::Pid::from_raw) {
        // One that has ended already is no fault.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Without groups the process alone is killed, by its handle.
#[cfg(not(unix))]
fn send(_: u32, _: Signal) {}

fn command(program: &Path, settings: &Settings, secrets: &Secrets, folder: &Path) -> Result<Command> {
    let mut command = if cfg!(unix) {
        // Blocks of 512 bytes, and kibibytes.
        let limits = [settings.open_files, settings.file_bytes.div_ceil(512), settings.memory_bytes.div_ceil(1_024)];
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", LIMITED, "l9-mcp"]).args(limits.map(|limit| limit.to_string())).arg(program);
        shell
    } else {
        Command::new(program)
    };
    #[cfg(unix)]
    command.process_group(0);
    command.args(&settings.args).current_dir(folder).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(&settings.env);
    for (variable, handle) in &settings.secrets {
        command.env(variable, secrets.named(handle)?.expose_secret());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// A program by its path, or as a shell finds it.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return std::path::absolute(program).ok().filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|found| found.is_file())
}

/// Reads standard error to its end, keeps its last lines, and logs it. A line without an end is
/// told in pieces, and what may be the beginning of a secret is told with what follows.
async fn listen(server: String, stderr: ChildStderr, redactor: Arc<dyn Redactor>, said: Said) {
    let _all = said.all.clone().drop_guard();
    let mut stderr = BufReader::new(stderr);
    let (mut piece, mut held) = (Vec::new(), String::new());
    loop {
        piece.clear();
        let read = (&mut stderr).take(LINE).read_until(b'\n', &mut piece).await.unwrap_or(0);
        held.push_str(&String::from_utf8_lossy(&piece));
        let whole = read == 0 || piece.ends_with(b"\n");
        let safe = if whole { held.len() } else { redactor.safe_len(&held) };
        let text = told(redactor.redact(&held[..safe]).trim());
        held.drain(..safe);
        if !text.is_empty() {
            tracing::debug!(server, line = text, "an MCP server writes to standard error");
            said.add(text);
        }
        if read == 0 {
            return;
        }
    }
}
