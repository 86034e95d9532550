//! An outside ledger that counts what really reaches it, before any deduplication.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the ledger saw of one idempotency key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// `keyed`, `opaque` and so on: the path.
    pub kind: String,
    /// What was to be written: an effect of a run, whatever its key.
    pub item: String,
    /// Raw requests, before any deduplication.
    pub requests: u32,
    /// How often the write was applied: a keyed one once per key, any other each time.
    pub applied: u32,
    /// How often somebody asked whether it was.
    pub probes: u32,
}

/// What a request meets that was counted and applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut before an answer.
    Cut,
    /// There is no answer, for as long as whoever asked waits.
    Hang,
}

/// A service outside L9, on loopback. It knows nothing of L9 but the wire.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Where it listens.
    pub address: SocketAddr,
    lines: Arc<Mutex<BTreeMap<String, Line>>>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Ledger {
    /// Starts one that takes from a quarter to seven quarters of `delay` to answer, having
    /// counted before.
    ///
    /// # Panics
    /// When no port of the loopback is free.
    pub async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback is free");
        let address = listener.local_addr().expect("it has an address");
        let ledger = Self { address, lines: Arc::default(), faults: Arc::default() };
        let serving = ledger.clone();
        tokio::spawn(async move {
            let mut served = 0_u32;
            while let Ok((mut stream, _)) = listener.accept().await {
                // One after another in the order of arrival: a question comes after every
                // request that was sent before it.
                let read = tokio::time::timeout(Duration::from_millis(500), read_head(&mut stream)).await;
                let Ok(Some(head)) = read else { continue };
                let status = serving.count(&head);
                match serving.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
                    Some(Fault::Cut) => continue,
                    Some(Fault::Hang) => {
                        tokio::spawn(
                            async move { while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} },
                        );
                        continue;
                    }
                    None => {}
                }
                served = served.wrapping_add(1);
                // A multiplier without a common divisor spreads the delays over the range.
                let delay = delay / 4 + delay * (served.wrapping_mul(37) % 64) / 42;
                tokio::spawn(async move {
                    pause(delay).await;
                    let rest = "content-length: 2\r\nconnection: close\r\n\r\nok";
                    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n{rest}").as_bytes()).await;
                });
            }
        });
        ledger
    }

    /// Everything it saw, by idempotency key.
    #[must_use]
    pub fn lines(&self) -> BTreeMap<String, Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the next requests meet faults, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Takes a request for what it says, and gives the status of its answer. The key stands
    /// in the header of that name, or in the address as `?key=`.
    fn count(&self, head: &str) -> &'static str {
        let kind = head.split(['/', ' ', '?']).nth(2).unwrap_or_default().to_owned();
        let header = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
        let asked = || head.split(' ').nth(1)?.split_once("?key=").map(|(_, key)| key);
        let key = header.or_else(asked).unwrap_or_default().to_owned();
        let item = head.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if kind == "probe" {
            let Some(line) = lines.get_mut(&key) else { return "404 Not Found" };
            line.probes += 1;
            return if line.applied > 0 { "200 OK" } else { "404 Not Found" };
        }
        let line = lines.entry(key).or_default();
        line.requests += 1;
        if kind != "keyed" || line.applied == 0 {
            line.applied += 1;
        }
        (line.kind, line.item) = (kind, item);
        "200 OK"
    }
}

/// Reads a request whole; `None` if whoever sent it is gone.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => read.extend_from_slice(&bytes[..n]),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a real service takes real time")]
async fn pause(delay: Duration) {
    tokio::time::sleep(delay).await;
}
