//! A provider that writes exactly the bytes it is told to, at the pace it is told to,
//! and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9_core::time::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What to do next on a connection, after its request was read.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Write these bytes.
    Write(Vec<u8>),
    /// Write these bytes one by one, each in its own packet.
    Drip(Vec<u8>),
    /// Write these bytes until the client goes away.
    Flood(Vec<u8>),
    /// Wait.
    Wait(Duration),
    /// Break the connection off with a reset.
    Reset,
    /// Say nothing until the client goes away.
    Hang,
}

/// A request as it came over the socket.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Value,
    /// All of it.
    pub(crate) bytes: u64,
}

impl Received {
    /// The value of a header, by its lowercase name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A provider on a free port; each connection follows the next script, the last one
/// again and again.
#[derive(Debug)]
pub(crate) struct Provider {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start(scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        let scripts: Vec<Vec<Act>> = scripts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for n in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let script = scripts[n.min(scripts.len() - 1)].clone();
                connections.spawn(serve(stream, script, Arc::clone(&seen)));
            }
        });
        Self { address, received, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bytes of all requests.
    pub(crate) fn bytes(&self) -> u64 {
        self.received().iter().map(|received| received.bytes).sum()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Vec<Act>, seen: Arc<Mutex<Vec<Received>>>) {
    stream.set_nodelay(true).unwrap();
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().unwrap().push(request);
    for act in script {
        if play(&mut stream, act).await.is_none() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// Plays one act; `None` when the connection is over.
async fn play(stream: &mut TcpStream, act: Act) -> Option<()> {
    match act {
        Act::Write(bytes) => stream.write_all(&bytes).await.ok(),
        Act::Drip(bytes) => {
            for byte in bytes {
                stream.write_all(&[byte]).await.ok()?;
                tokio::task::yield_now().await;
            }
            Some(())
        }
        Act::Flood(bytes) => loop {
            stream.write_all(&bytes).await.ok()?;
        },
        Act::Wait(time) => {
            SystemClock::default().sleep(time).await;
            Some(())
        }
        Act::Reset => {
            stream.set_zero_linger().unwrap();
            None
        }
        Act::Hang => {
            let mut nothing = [0; 64];
            while stream.read(&mut nothing).await.ok()? > 0 {}
            None
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
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
    let mut received = Received { head, body: Value::Null, bytes: 0 };
    let length: usize = received.header("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    received.bytes = bytes.len() as u64;
    if length > 0 {
        received.body = serde_json::from_slice(&bytes[end + 4..]).unwrap();
    }
    Some(received)
}

/// An answer with a status, headers and a body of known length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Any\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// The head of a stream that ends where the connection does.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n".to_vec()
}

/// A whole stream of these data lines.
pub(crate) fn stream(data: &[&str]) -> Vec<u8> {
    [stream_head(), events(data)].concat()
}

/// Events of these data lines.
pub(crate) fn events(data: &[&str]) -> Vec<u8> {
    data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>().into_bytes()
}
