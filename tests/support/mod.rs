//! What several tests need: an outside ledger that counts what really reaches it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the ledger saw of one idempotency key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// `keyed` or `opaque`.
    pub(crate) kind: String,
    /// Raw requests, before any deduplication.
    pub(crate) requests: u32,
    /// How often the write was applied: a keyed one once per key, an opaque one each time.
    pub(crate) applied: u32,
}

/// A service outside L9, on loopback. It knows nothing of L9 but the wire.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) address: SocketAddr,
    lines: Arc<Mutex<BTreeMap<String, Line>>>,
}

impl Ledger {
    /// Starts one that takes `delay` to answer, having counted before.
    pub(crate) async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ledger = Self { address: listener.local_addr().unwrap(), lines: Arc::default() };
        let serving = ledger.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().answer(stream, delay));
            }
        });
        ledger
    }

    /// Everything it saw, by idempotency key.
    pub(crate) fn lines(&self) -> BTreeMap<String, Line> {
        self.lines.lock().unwrap().clone()
    }

    async fn answer(self, mut stream: TcpStream, delay: Duration) {
        let mut head = Vec::new();
        let mut byte = [0; 1024];
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut byte).await {
                Ok(0) | Err(_) => return,
                Ok(n) => head.extend_from_slice(&byte[..n]),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let kind = head.split(['/', ' ']).nth(2).unwrap_or_default().to_owned();
        let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).unwrap_or_default().to_owned();
        {
            let mut lines = self.lines.lock().unwrap();
            let line = lines.entry(key).or_default();
            line.requests += 1;
            if kind != "keyed" || line.applied == 0 {
                line.applied += 1;
            }
            line.kind = kind;
        }
        tokio::time::sleep(delay).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    }
}
