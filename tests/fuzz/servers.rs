//! MCP servers that send what they are told to: a program, and addresses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use l9::mcp::Settings;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::messages::{ID, METHODS, sound};

/// A program that gives each answer from a file and ends after the one that is not sound.
pub(crate) const PROGRAM: &str = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case "$line" in
    *'"server/discover"'*) at=0;;
    *'"initialize"'*) at=1;;
    *'"tools/list"'*) at=2;;
    *) continue;;
  esac
  sed "s/7777/$id/" "$1/$at"
  [ "$at" = "$2" ] && exit
done
"#;

/// The settings of that program over the answers in a folder.
pub(crate) fn program(folder: &Path, last: usize) -> Settings {
    let folder = folder.display().to_string();
    let args = ["-c", PROGRAM, "far", folder.as_str(), last.to_string().as_str()].map(str::to_owned).to_vec();
    Settings { command: Some("sh".into()), args, ..Settings::default() }
}

pub(crate) fn lines(messages: &[Value]) -> Vec<u8> {
    messages.iter().map(|message| format!("{message}\n")).collect::<String>().into_bytes()
}

/// A server over HTTP whose answers can be replaced.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) media: &'static str,
    pub(crate) bodies: BTreeMap<&'static str, Vec<u8>>,
}

impl Answers {
    /// The same messages, as one body or as events.
    pub(crate) fn new(events: bool, names: &[String]) -> Self {
        let of = |method: &'static str| (method, body(events, &sound(method, names)));
        let media = if events { "text/event-stream" } else { "application/json" };
        Self { media, bodies: METHODS.into_iter().chain(["tools/call"]).map(of).collect() }
    }
}

pub(crate) fn body(events: bool, messages: &[Value]) -> Vec<u8> {
    if events {
        messages.iter().map(|message| format!("event: message\ndata: {message}\n\n")).collect::<String>().into_bytes()
    } else {
        messages.last().unwrap().to_string().into_bytes()
    }
}

pub(crate) type Shared = Arc<Mutex<Answers>>;

/// Serves answers, one to a connection; gives the address.
pub(crate) async fn serve(answers: Shared) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&answers)));
        }
    });
    url
}

pub(crate) async fn answer(mut stream: TcpStream, answers: Shared) {
    let mut request = Vec::new();
    let asked = loop {
        let mut piece = [0; 4_096];
        let Ok(read @ 1..) = stream.read(&mut piece).await else { return };
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("POST") {
            break None;
        }
        if let Ok(message) = serde_json::from_str::<Value>(body) {
            break Some(message);
        }
    };
    let method = asked.as_ref().and_then(|asked| asked["method"].as_str()).unwrap_or_default();
    let (media, body) = {
        let answers = answers.lock().unwrap();
        (answers.media, answers.bodies.get(method).cloned())
    };
    let status = if body.is_some() { "200 OK" } else { "202 Accepted" };
    let id = asked.map(|asked| asked["id"].to_string()).unwrap_or_default();
    let body = replaced(&body.unwrap_or_default(), &id);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

/// The bytes with the id of a request in their place.
pub(crate) fn replaced(bytes: &[u8], id: &str) -> Vec<u8> {
    let (mut whole, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(ID.len()).position(|window| window == ID.as_bytes()) {
        whole.extend_from_slice(&rest[..at]);
        whole.extend_from_slice(id.as_bytes());
        rest = &rest[at + ID.len()..];
    }
    whole.extend_from_slice(rest);
    whole
}

pub(crate) fn over_http(url: &str) -> Settings {
    // An answer to nobody's question is waited for, and not for long.
    Settings { url: Some(url.to_owned()), allow_private: true, start_ms: 300, ..Settings::default() }
}

/// Bytes that a server which floods would send.
pub(crate) const FLOOD: usize = 256 << 20;

/// Answers every request with one message that does not end.
pub(crate) async fn flood(media: &'static str, beginning: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\nconnection: close\r\n\r\n{beginning}");
            let _ = stream.write_all(head.as_bytes()).await;
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..FLOOD / piece.len() {
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
            }
        }
    });
    url
}
