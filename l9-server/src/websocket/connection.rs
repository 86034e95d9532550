//! One WebSocket connection: a single task that reads, writes, pings and waits.
//!
//! Frames are carried out one after another, so a client that asks for much waits for
//! itself. Nothing is buffered without a bound: a client that reads slowly slows down
//! its own subscriptions, and loses deltas.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use l9::kernel::StartOptions;
use l9::memory::Query;
use l9::principal::Principal;
use l9::run::Command;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::frame::{self, Execute, Said, Signal, Told, Wish};
use super::limit::Bucket;
use super::subscription::Subscriptions;
use crate::auth::{Caller, Ends};
use crate::http::{App, Problem, Sender, command, find, permit, upon, words};
use crate::metrics;

/// The hits of a search that does not say how many.
const FEW: usize = 8;

/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The most bytes that are read, and dropped, from a client that was told to go.
const DREGS: usize = 16 << 20;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client left.
    Left,
    /// The server stops.
    Stopping,
    /// The client was silent for too long.
    Idle,
    /// It said too much in too short a time.
    Flood,
    /// It sent a message that is too large.
    TooLarge,
    /// It sent text that is not UTF-8.
    Garbled,
    /// It broke the protocol.
    Broken,
    /// It does not take what it is sent.
    Stuck,
    /// Its token ended.
    Expired,
}

impl End {
    /// The reason in metrics and logs, and the close frame that is sent, if any.
    fn farewell(self) -> (&'static str, Option<(CloseCode, &'static str)>) {
        match self {
            Self::Left => ("left", None),
            Self::Stuck => ("stuck", None),
            Self::Stopping => ("stopping", Some((CloseCode::Away, "the server stops: connect again"))),
            Self::Idle => ("idle", Some((CloseCode::Away, "no sign of life: connect again"))),
            Self::Flood => ("flood", Some((CloseCode::Policy, "too many messages: send fewer"))),
            Self::Expired => {
                ("expired", Some((CloseCode::Policy, "the token has expired: connect again with another")))
            }
            Self::TooLarge => ("too_large", Some((CloseCode::Size, "the message is too large"))),
            Self::Garbled => ("garbled", Some((CloseCode::Invalid, "the text is not UTF-8"))),
            Self::Broken => ("broken", Some((CloseCode::Protocol, "the protocol was broken"))),
        }
    }
}

/// A connection and what it follows.
pub(super) struct Connection<S> {
    app: App,
    principal: Principal,
    /// Whose messages they are, where they are counted.
    sender: Option<Sender>,
    ends: Ends,
    socket: WebSocketStream<S>,
    subscriptions: Subscriptions,
    bucket: Bucket,
    /// When the client last gave a sign of life, on the monotonic clock.
    heard: Duration,
    _open: metrics::Open,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(app: App, caller: &Caller, sender: Option<Sender>, socket: WebSocketStream<S>) -> Self {
        let (now, settings) = (app.clock().monotonic(), &app.settings().websocket);
        let bucket = Bucket::new(settings.rate, settings.burst, now);
        let subscriptions = Subscriptions::new(app.clone(), caller.principal.tenant.clone());
        let (principal, ends) = (caller.principal.clone(), caller.ends(app.clock()));
        let _open = metrics::Open::websocket();
        Self { app, principal, sender, ends, socket, subscriptions, bucket, heard: now, _open }
    }

    /// Talks until either side ends it.
    pub(super) async fn run(mut self) {
        tracing::debug!("a client connected");
        let end = self.talk().await;
        let (reason, farewell) = end.farewell();
        metrics::websocket_closed(reason);
        tracing::debug!(reason, "a client's connection ends");
        // What it follows ends first, so that nothing more is read for it.
        let Self { app, mut socket, subscriptions, .. } = self;
        drop(subscriptions);
        if let Some((code, reason)) = farewell {
            let close = CloseFrame { code, reason: reason.into() };
            app.within(GOODBYE, part(&mut socket, close)).await;
        }
    }

    async fn talk(&mut self) -> End {
        let ping = self.app.settings().websocket.ping();
        let mut next_ping = self.heard + ping;
        loop {
            let now = self.app.clock().monotonic();
            let until_ping = next_ping.saturating_sub(now);
            let step = tokio::select! {
                biased;
                () = self.app.stop().cancelled() => Err(End::Stopping),
                () = self.ends.wait(self.app.clock()) => Err(End::Expired),
                () = self.app.clock().sleep(until_ping) => {
                    next_ping = self.app.clock().monotonic() + ping;
                    self.check_pulse().await
                }
                message = self.socket.next() => self.hear(message).await,
                told = self.subscriptions.next(), if !self.subscriptions.is_empty() => self.tell(&told).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn check_pulse(&mut self) -> Result<(), End> {
        let silent = self.app.clock().monotonic().saturating_sub(self.heard);
        if silent >= self.app.settings().websocket.idle() {
            return Err(End::Idle);
        }
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let message = match message {
            None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_))) => return Err(End::Left),
            Some(Err(Error::Capacity(_))) => return Err(End::TooLarge),
            Some(Err(Error::Utf8(_))) => return Err(End::Garbled),
            Some(Err(_)) => return Err(End::Broken),
            Some(Ok(message)) => message,
        };
        self.heard = self.app.clock().monotonic();
        metrics::frame("in");
        if !self.bucket.take(self.heard) {
            return Err(End::Flood);
        }
        match message {
            Message::Text(text) => self.answer(text.as_bytes()).await,
            Message::Binary(_) => {
                let invalid = || Problem::invalid("a binary frame: send JSON in text frames");
                let problem = self.count().err().unwrap_or_else(invalid);
                self.tell(&Told::error(None, &problem)).await
            }
            // Pings are answered below us; a close is answered and ends the stream.
            _ => Ok(()),
        }
    }

    /// Counts one more message of the sender.
    fn count(&self) -> Result<(), Problem> {
        match (self.app.requests(), &self.sender) {
            (Some(requests), Some(sender)) => Ok(requests.take(sender, self.app.clock().monotonic())?),
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, text: &[u8]) -> Result<(), End> {
        let counted = self.count();
        let Said { id, wish } = match frame::parse(text, self.app.settings().websocket.message_bytes) {
            Ok(said) => said,
            Err(error) => {
                let problem = counted.err().unwrap_or(error.problem);
                return self.tell(&Told::error(error.id, &problem)).await;
            }
        };
        let done = match counted {
            Ok(()) => self.carry_out(id.clone(), wish).await,
            Err(problem) => Err(problem),
        };
        match done {
            Ok(Some(told)) => self.tell(&told).await,
            Ok(None) => Ok(()),
            Err(problem) => self.tell(&Told::error(id, &problem)).await,
        }
    }

    async fn carry_out(&mut self, id: Option<String>, wish: Wish) -> Result<Option<Told>, Problem> {
        permit(&self.principal, wish.needs())?;
        match wish {
            Wish::Execute(execute) => self.execute(id, execute).await.map(Some),
            Wish::Subscribe(wish) => self.subscriptions.follow(wish.run_id, wish.from_seq).await.map(|()| None),
            Wish::Unsubscribe(wish) => {
                self.subscriptions.leave(wish.run_id);
                Ok(None)
            }
            Wish::Cancel(wish) => {
                let (run, reason) = wish.parts()?;
                command(&self.app, &self.principal, run, Command::Cancel { reason }, None).await.map(|_| None)
            }
            Wish::Pause(wish) => {
                let (run, reason) = wish.parts()?;
                command(&self.app, &self.principal, run, Command::Pause { reason }, None).await.map(|_| None)
            }
            Wish::Resume(wish) => {
                let (run, reason) = wish.parts()?;
                command(&self.app, &self.principal, run, Command::Resume { reason }, None).await.map(|_| None)
            }
            Wish::Signal(Signal { run_id, name, value }) => {
                let asked = Command::Signal { name: words("name", name)?, value };
                command(&self.app, &self.principal, run_id, asked, None).await.map(|_| None)
            }
            Wish::Decide(approval, decision) => {
                upon(&self.app, &self.principal, approval, decision, id).await?;
                Ok(None)
            }
            Wish::Search(search) => {
                let results =
                    find(&self.app, &self.principal, None, Query::new(search.q, search.k.unwrap_or(FEW))).await?;
                Ok(Some(Told::Results { id, results }))
            }
            Wish::Ping => Ok(Some(Told::Pong { id })),
        }
    }

    /// Starts a run and follows it. What follows waits in the queue, so `run.accepted`
    /// is told before it.
    async fn execute(&mut self, id: Option<String>, execute: Execute) -> Result<Told, Problem> {
        self.subscriptions.check_room()?;
        let session = execute.session.map(|session| words("session", session)).transpose()?;
        let options = StartOptions { session, budget: execute.budget, ..StartOptions::default() };
        let engine = self.app.engine();
        // In a place of its own: most of the time a connection starts nothing.
        let started = Box::pin(engine.start_agent(&self.principal, &execute.agent_id, &execute.input, options));
        let run = self.subscriptions.follow_new(async { Ok(started.await?.run) }).await?;
        Ok(Told::Accepted { id, run_id: run })
    }

    async fn tell(&mut self, told: &Told) -> Result<(), End> {
        match serde_json::to_string(told) {
            Ok(text) => self.send(Message::text(text)).await,
            Err(error) => {
                tracing::error!(%error, "a frame could not be written");
                Ok(())
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        metrics::frame("out");
        let limit = self.app.settings().websocket.write();
        tokio::select! {
            sent = self.socket.send(message) => sent.map_err(|_| End::Left),
            () = self.app.clock().sleep(limit) => Err(End::Stuck),
            () = self.app.stop().cancelled() => Err(End::Stopping),
        }
    }
}

/// Says goodbye, and reads what is still under way, so that the goodbye is not lost
/// with it when the connection is cut.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, close: CloseFrame) {
    if socket.close(Some(close)).await.is_err() {
        return;
    }
    // Whatever comes is dropped unread: after a broken message there are no frames.
    let (mut dregs, mut left) = ([0; 4096], DREGS);
    while let Ok(read @ 1..) = socket.get_mut().read(&mut dregs).await {
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}
