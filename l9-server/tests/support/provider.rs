//! A model provider that speaks streamed chat completions, slowly if asked to.

use std::time::Duration;

use l9::time::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request with the same words, one chunk each.
pub(crate) struct Provider {
    pub(crate) base_url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    /// Answers with these words, with a rest before each.
    pub(crate) async fn start(words: &'static [&'static str], rest: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, words, rest));
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

async fn answer(mut stream: TcpStream, words: &[&str], rest: Duration) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(read @ 1..) => request.extend_from_slice(&more[..read]),
            _ => return,
        }
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let chunk = |content: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"test-1\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let clock = SystemClock::default();
    let mut pieces = vec![head.to_owned()];
    pieces.extend(words.iter().map(|word| chunk(word, "null")));
    pieces.push(chunk("", "\"stop\"") + "data: [DONE]\n\n");
    for piece in pieces {
        clock.sleep(rest).await;
        if stream.write_all(piece.as_bytes()).await.is_err() {
            return;
        }
    }
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
