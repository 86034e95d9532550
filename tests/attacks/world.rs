//! An internet on loopback: names that an attacker answers for, addresses that lead to
//! hostile servers, and the manifests of tools that go there.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use l9::gateway::Resolver;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A public address, where the world's honest names are.
pub(crate) const PUBLIC: &str = "93.184.216.34";

/// Names and addresses; it counts what it is asked.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The answers for each name, one after the other; the last one for ever.
    names: BTreeMap<String, Vec<Vec<IpAddr>>>,
    /// Where addresses are; on 127.0.0.1 if not listed.
    routes: BTreeMap<IpAddr, IpAddr>,
    /// The name that is looked up once more for a connection, whatever was checked.
    again: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl World {
    /// A world in which each name has the addresses of its row, in one answer.
    pub(crate) fn of(names: &[(&str, &[&str])]) -> Self {
        let parsed = |texts: &[&str]| vec![texts.iter().map(|text| text.parse().unwrap()).collect()];
        let names = names.iter().map(|(name, addresses)| ((*name).to_owned(), parsed(addresses))).collect();
        Self { names, ..Self::default() }
    }

    /// The next answer for a name.
    pub(crate) fn then(mut self, name: &str, addresses: &[&str]) -> Self {
        let answer = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.names.get_mut(name).unwrap().push(answer);
        self
    }

    /// Says where an address is.
    pub(crate) fn leading(mut self, address: &str, to: &str) -> Self {
        self.routes.insert(address.parse().unwrap(), to.parse().unwrap());
        self
    }

    /// The same, where a connection to a name goes to what it answers then.
    pub(crate) fn looking_again(mut self, name: &str) -> Self {
        self.again = Some(name.to_owned());
        self
    }

    /// The names that were looked up, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(&self, host: &str) -> Option<Vec<IpAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.iter().filter(|name| *name == host).count();
        asked.push(host.to_owned());
        let answers = self.names.get(host)?;
        Some(answers[times.min(answers.len() - 1)].clone())
    }
}

#[async_trait]
impl Resolver for World {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        self.answer(host).ok_or_else(|| std::io::Error::other("no such name"))
    }

    fn route(&self, address: IpAddr) -> IpAddr {
        let address = self.again.as_ref().map_or(address, |name| self.answer(name).unwrap()[0]);
        self.routes.get(&address).copied().unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }
}

/// A server that answers whatever it likes, and keeps what it was sent.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What a server answers to a request: pieces, each with the wait before it.
pub(crate) type Answer = Vec<(u64, Vec<u8>)>;

impl Server {
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", move |request| vec![(0, answer(request))]).await
    }

    pub(crate) async fn at(address: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let (saw, answer) = (Arc::clone(&seen), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (saw, answer) = (Arc::clone(&saw), Arc::clone(&answer));
                tokio::spawn(async move {
                    let _ = serve(stream, &*answer, &saw).await;
                });
            }
        });
        Self { port, seen }
    }

    /// The requests so far, as they came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&str) -> Answer + Send + Sync),
    saw: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    let request = String::from_utf8_lossy(&bytes).into_owned();
    saw.lock().unwrap().push(request.clone());
    for (wait, piece) in answer(&request) {
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        stream.write_all(&piece).await?;
    }
    stream.shutdown().await
}

/// An answer with a status, header lines and a body.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} Any\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A good answer in JSON.
pub(crate) fn ok() -> Vec<u8> {
    answer(200, "content-type: application/json\r\n", r#"{"reached":true}"#)
}

/// An answer that points elsewhere.
pub(crate) fn elsewhere(location: &str) -> Vec<u8> {
    answer(302, &format!("location: {location}\r\n"), "")
}

/// The path of a request.
pub(crate) fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// A grant to read below `/api` at a host.
pub(crate) fn net(host: &str, port: u16) -> Value {
    json!({"scheme": "http", "host": host, "port": port, "methods": ["GET"], "path_prefix": "/api"})
}

/// The manifest of a tool that fetches `/api/{path}` at a host.
pub(crate) fn tool(host: &str, port: u16) -> Value {
    json!({
        "schema_version": 1, "id": "web/fetch", "version": "1.0.0", "title": "Fetch", "effect": "read",
        "description": "Fetches what there is.",
        "runtime": {"kind": "http", "method": "GET", "url": format!("http://{host}:{port}/api/{{path}}")},
        "input_schema": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}, "more": {"type": "string"}}},
        "net": [net(host, port)],
        "limits": {"wall_ms": 20_000, "output_bytes": 20_000},
    })
}
