//! A witness with manners that can be changed, and that keeps what it was given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use l9::evidence::{Checkpoint, SignedCheckpoint, VerifyingKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{PATIENCE, Served, pause};

/// What nobody but the witness may see.
pub(crate) const TOKEN: &str = "hunter2-token-of-the-witness";
pub(crate) const QUERY: &str = "hunter2-key-in-the-query";

/// How it answers.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// With this status.
    Status(u16),
    /// It does not.
    Silent,
    /// With success and bytes without end.
    Endless,
    /// With success and a byte now and then, without end.
    Dripping,
    /// By naming somebody else's address.
    Elsewhere(String),
}

/// A request that it kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) note: String,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    asked: usize,
    kept: Vec<Kept>,
}

/// The witness.
pub(crate) struct Witness {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
    /// Bound and not listening yet, so that connections are refused.
    away: Option<TcpSocket>,
}

impl Witness {
    /// One that answers so.
    pub(crate) fn start(manner: Manner) -> Self {
        let mut witness = Self::away();
        witness.change(manner);
        witness
    }

    /// One that refuses connections.
    pub(crate) fn away() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let state = State { manner: Manner::Silent, asked: 0, kept: Vec::new() };
        Self { address, state: Arc::new(Mutex::new(state)), away: Some(socket) }
    }

    /// Answers so from now on, and listens if it did not.
    pub(crate) fn change(&mut self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
        if let Some(socket) = self.away.take() {
            tokio::spawn(serve(socket.listen(64).unwrap(), Arc::clone(&self.state)));
        }
    }

    /// How many requests reached it.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.state.lock().unwrap().kept.clone()
    }

    /// The environment of a server that has it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("L9__AUDIT__WITNESS", format!("{}/l9/checkpoints?key={QUERY}", self.address)),
            ("L9__AUDIT__WITNESS_TOKEN", TOKEN.to_owned()),
            ("L9__AUDIT__INTERVAL_MS", "20".to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]
    }

    /// The newest note that it has, opened.
    pub(crate) fn newest(&self, key: &VerifyingKey) -> Option<Checkpoint> {
        self.kept().last().map(|kept| SignedCheckpoint::open(key, &kept.note).unwrap().checkpoint)
    }

    /// Waits until it has what the server has.
    pub(crate) async fn catches_up(&self, served: &Served) {
        let (key, newest) = newest(served).await;
        until("the witness has the newest checkpoint", async || {
            self.newest(&key).is_some_and(|kept| kept.size >= newest.size)
        })
        .await;
    }
}

/// The server's key and newest checkpoint.
pub(crate) async fn newest(served: &Served) -> (VerifyingKey, Checkpoint) {
    let shown = served.get("/audit/checkpoint").await.json();
    let key: VerifyingKey = shown["vkey"].as_str().unwrap().parse().unwrap();
    let newest = SignedCheckpoint::open(&key, shown["note"].as_str().unwrap()).unwrap();
    (key, newest.checkpoint)
}

/// Waits for what will be so.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            pause(20).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "not in time: {what}");
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&state)));
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    loop {
        let asked = request(&mut stream).await?;
        let manner = {
            let mut state = state.lock().unwrap();
            state.asked += 1;
            if let Manner::Status(200..=299) = state.manner {
                state.kept.push(asked);
            }
            state.manner.clone()
        };
        match manner {
            Manner::Status(status) => {
                // What it says is nobody's: it may hold anything.
                let said = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{TOKEN}", TOKEN.len());
                let said = if status == 204 { "HTTP/1.1 204 Kept\r\n\r\n".to_owned() } else { said };
                stream.write_all(said.as_bytes()).await.ok()?;
            }
            Manner::Silent => return std::future::pending().await,
            Manner::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 8192]).await.ok()?;
                }
            }
            Manner::Dripping => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"x").await.ok()?;
                    pause(100).await;
                }
            }
            Manner::Elsewhere(address) => {
                let said = format!("HTTP/1.1 307 There\r\nlocation: {address}/\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(said.as_bytes()).await.ok()?;
            }
        }
    }
}

/// The next request; `None` when the client is gone.
async fn request(stream: &mut TcpStream) -> Option<Kept> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Kept { line, headers, note: String::from_utf8(body).unwrap() })
}

/// The value of a metric without labels.
pub(crate) async fn metric(served: &Served, name: &str) -> u64 {
    let text = served.get("/metrics").await.text;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_default()
}

/// The server with this witness.
pub(crate) async fn served(witness: &Witness) -> Served {
    let environment = witness.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Served::start_with(&environment, |_| {}).await
}
