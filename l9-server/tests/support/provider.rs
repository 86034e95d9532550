//! A model provider that speaks streamed chat completions, slowly if asked to, and that keeps
//! what it was asked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::time::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request, one chunk for each choice.
pub(crate) struct Provider {
    pub(crate) base_url: String,
    /// The body and all bytes of every request.
    asked: Arc<Mutex<Vec<(Value, u64)>>>,
    failing: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    /// Answers with the same words each time, one chunk each, with a rest before each.
    pub(crate) async fn start(words: &'static [&'static str], rest: Duration) -> Self {
        let choice = |word: &str, finish: Option<&str>| json!({"delta": {"content": word}, "finish_reason": finish});
        let said = words.iter().map(|word| choice(word, None)).chain([choice("", Some("stop"))]);
        let choices: Vec<Value> = said.collect();
        Self::answering(move |_| choices.clone(), rest).await
    }

    /// Answers with the choices that a request's body is worth, with a rest before each.
    pub(crate) async fn answering(
        choices: impl Fn(&Value) -> Vec<Value> + Send + Sync + 'static,
        rest: Duration,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let choices = Arc::new(choices);
        let (asked, failing) = (Arc::<Mutex<Vec<(Value, u64)>>>::default(), Arc::<AtomicU32>::default());
        let (keeps, fails) = (Arc::clone(&asked), Arc::clone(&failing));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (choices, keeps, fails) = (Arc::clone(&choices), Arc::clone(&keeps), Arc::clone(&fails));
                tokio::spawn(async move {
                    let Some((body, bytes)) = request(&mut stream).await else { return };
                    keeps.lock().unwrap().push((body.clone(), bytes));
                    let one_less = |left: u32| left.checked_sub(1);
                    if fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                        let refusal = "HTTP/1.1 500 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        let _ = stream.write_all(refusal.as_bytes()).await;
                    } else {
                        answer(stream, choices(&body), rest).await;
                    }
                });
            }
        });
        Self { base_url, asked, failing, task }
    }

    /// The bodies of all requests so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().iter().map(|(body, _)| body.clone()).collect()
    }

    /// How many bytes each request had.
    pub(crate) fn received(&self) -> Vec<u64> {
        self.asked.lock().unwrap().iter().map(|(_, bytes)| *bytes).collect()
    }

    /// Has the next requests be answered with 500.
    pub(crate) fn fail(&self, requests: u32) {
        self.failing.store(requests, Ordering::SeqCst);
    }

    /// The environment of a server that uses it, and the profile of an agent `talker`.
    pub(crate) fn environment(&self) -> [(&str, &str); 2] {
        [("OPENAI_BASE_URL", &self.base_url), ("OPENAI_API_KEY", "sk-test-0123456789")]
    }

    /// Writes the profile of an agent that asks this provider.
    pub(crate) fn prepare(data: &std::path::Path) {
        std::fs::create_dir(data.join("agents")).unwrap();
        std::fs::write(data.join("agents/talker.yaml"), "id: talker\nmodel: openai/test-1\n").unwrap();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request whole and gives its body and its size; nothing if whoever sent it is gone.
async fn request(stream: &mut TcpStream) -> Option<(Value, u64)> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(read @ 1..) => request.extend_from_slice(&more[..read]),
            _ => return None,
        }
    }
    Some((body(&request), request.len() as u64))
}

async fn answer(mut stream: TcpStream, choices: Vec<Value>, rest: Duration) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let chunk = |choice: &Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "test-1", "choices": [choice]});
    let clock = SystemClock::default();
    let mut pieces = vec![head.to_owned()];
    pieces.extend(choices.iter().map(|choice| format!("data: {}\n\n", chunk(choice))));
    pieces.last_mut().unwrap().push_str("data: [DONE]\n\n");
    for piece in pieces {
        clock.sleep(rest).await;
        if stream.write_all(piece.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The JSON of a whole request, or null.
fn body(request: &[u8]) -> Value {
    let text = String::from_utf8_lossy(request);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}

/// Whether a request's headers and body are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}
