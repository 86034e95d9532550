//! A server over its standard input and output: one JSON message a line.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use l9_core::tool::ToolFault;
use l9_core::{Error, Result};
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::frame;
use super::output::told;
use super::process::{Process, Started};
use super::ticket::Ticket;

/// Messages that wait to be looked at.
const INBOX: usize = 64;
/// Messages that wait to be written.
const OUTBOX: usize = 256;
/// How long a server may leave a message unread.
const STALL: Duration = Duration::from_secs(10);

/// The pipes of a process.
#[derive(Debug)]
pub(super) struct Stdio {
    stdin: Arc<Mutex<Option<ChildStdin>>>,
    /// Room for messages that wait to be written.
    room: Arc<Semaphore>,
    inbox: mpsc::Receiver<ServerJsonRpcMessage>,
    reader: JoinHandle<()>,
    process: Option<Process>,
    /// Fires when the pipes are of no more use.
    broken: CancellationToken,
}

impl Stdio {
    /// Speaks with a process that was started; `message_bytes` is the longest line.
    pub(super) fn new(server: &str, started: Started, message_bytes: u64) -> Self {
        let Started { process, stdin, stdout } = started;
        let (sender, inbox) = mpsc::channel(INBOX);
        let broken = CancellationToken::new();
        let reader = tokio::spawn(read(server.to_owned(), stdout, message_bytes, sender));
        Self {
            stdin: Arc::new(Mutex::new(Some(stdin))),
            room: Arc::new(Semaphore::new(OUTBOX)),
            inbox,
            reader,
            process: Some(process),
            broken,
        }
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Transport<RoleClient> for Stdio {
    type Error = Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(&mut self, message: ClientJsonRpcMessage) -> impl Future<Output = Result<()>> + Send + 'static {
        let (stdin, broken) = (Arc::clone(&self.stdin), self.broken.clone());
        let room = Arc::clone(&self.room).try_acquire_owned();
        async move {
            // One that asks and does not read is not waited for.
            let Ok(_room) = room else {
                broken.cancel();
                return Err(Error::unavailable(format!("the server left {OUTBOX} messages unread")));
            };
            let ticket = Ticket::of(&message)?;
            let mut line = serde_json::to_vec(&message)
                .map_err(|error| Error::internal("a message has no JSON").caused_by(error))?;
            line.push(b'\n');
            let written = async {
                let mut stdin = stdin.lock().await;
                match &mut *stdin {
                    Some(stdin) if !broken.is_cancelled() => write(stdin, &line, ticket.as_deref()).await,
                    _ => Err(Error::unavailable("the server has ended")),
                }
            };
            match tokio::time::timeout(STALL, written).await {
                Ok(written) => written,
                Err(_) => {
                    // Half a line may stand in the pipe: nothing can follow it.
                    broken.cancel();
                    Err(Error::unavailable(format!("the server read nothing for {} ms", STALL.as_millis())))
                }
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        tokio::select! {
            biased;
            () = self.broken.cancelled() => None,
            message = self.inbox.recv() => message,
        }
    }

    async fn close(&mut self) -> Result<()> {
        self.broken.cancel();
        if let Ok(mut stdin) = self.stdin.try_lock() {
            stdin.take();
        }
        if let Some(process) = self.process.take() {
            process.end().await;
        }
        Ok(())
    }
}

/// Writes a line, looking once more at the permit right before, and notes from which byte on
/// the server may have something of it.
async fn write(stdin: &mut ChildStdin, line: &[u8], ticket: Option<&Ticket>) -> Result<()> {
    let gone = |error: std::io::Error| Error::unavailable("the server does not read any more").caused_by(error);
    ticket.map_or(Ok(()), Ticket::leave)?;
    let first = stdin.write(line).await.map_err(|error| {
        if let Some(ticket) = ticket {
            ticket.fail(ToolFault::passing("not_sent", "the server does not read any more"));
        }
        gone(error)
    })?;
    stdin.write_all(&line[first..]).await.map_err(gone)?;
    stdin.flush().await.map_err(gone)
}

/// Reads lines until the end, or until one is too long for there to be another.
async fn read(server: String, stdout: ChildStdout, most: u64, inbox: mpsc::Sender<ServerJsonRpcMessage>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stdout).take(most.saturating_add(1)).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(read) if read as u64 > most => {
                return tracing::warn!(server, most, "an MCP server sent a longer message than it may: it is ended");
            }
            Ok(_) => {}
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let message = frame::message(&line).or_else(|error| {
            // Many a server prints to where it should speak.
            tracing::debug!(server, error = told(&error.to_string()), "an MCP server sent no message");
            frame::answered(&line).map(|id| frame::unreadable(id, &error)).ok_or(error)
        });
        if let Ok(message) = message
            && inbox.send(message).await.is_err()
        {
            return;
        }
    }
}
