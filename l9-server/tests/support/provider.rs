//! A model provider that speaks streamed chat completions, slowly if asked to.

use std::sync::Arc;
use std::time::Duration;

use l9::time::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request, one chunk for each choice.
pub(crate) struct Provider {
    pub(crate) base_url: String,
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
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let choices = Arc::clone(&choices);
                tokio::spawn(async move { answer(stream, &*choices, rest).await });
            }
        });
        Self { base_url, task }
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

async fn answer(mut stream: TcpStream, choices: &(dyn Fn(&Value) -> Vec<Value> + Send + Sync), rest: Duration) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(read @ 1..) => request.extend_from_slice(&more[..read]),
            _ => return,
        }
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let chunk = |choice: &Value| json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "test-1", "choices": [choice]});
    let clock = SystemClock::default();
    let mut pieces = vec![head.to_owned()];
    pieces.extend(choices(&body(&request)).iter().map(|choice| format!("data: {}\n\n", chunk(choice))));
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
