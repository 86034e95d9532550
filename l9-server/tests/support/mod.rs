//! The real binary, served on a free port over a folder of its own, and its clients.
#![expect(dead_code, reason = "each test binary uses its part of this")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot do without ends it")]

pub(crate) mod provider;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use l9::time::{Clock, SystemClock};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// No wait in a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The passage that most tests remember and ask for.
pub(crate) const PASSAGE: &str = "L9 resumes a run after a crash by folding the events of its journal.";

/// A served instance; killed when dropped.
pub(crate) struct Served {
    pub(crate) address: String,
    pub(crate) data: Data,
    child: Child,
    client: reqwest::Client,
}

/// The server in a build with failpoints, which lies beside the real one.
pub(crate) fn crash_server() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_l9-server")).with_file_name("crash_server");
    let build = "cargo build -p l9-server --bin crash_server --features failpoints";
    assert!(program.is_file(), "{} is missing: `{build}` makes it", program.display());
    program
}

/// The folder of an instance's data.
pub(crate) enum Data {
    /// Made for it, and removed with it.
    Own(TempDir),
    /// Another's.
    Lent(PathBuf),
}

impl Data {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Lent(folder) => folder,
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Checks that it is a whole problem document of this status and kind; gives its detail.
    pub(crate) fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:l9:error:{kind}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert_eq!(problem["correlation_id"], self.headers["x-correlation-id"].to_str().unwrap());
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Served {
    /// Serves with the defaults.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], |_| {}).await
    }

    /// Serves with further environment variables, after `prepare` has seen the data folder.
    pub(crate) async fn start_with(environment: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let data = tempfile::tempdir().unwrap();
        prepare(data.path());
        Self::launch(&[], environment, Data::Own(data)).await
    }

    /// Serves over the data that another instance left.
    pub(crate) async fn start_over(environment: &[(&str, &str)], data: &Path) -> Self {
        Self::launch(&[], environment, Data::Lent(data.to_owned())).await
    }

    /// The same with some of the roles.
    pub(crate) async fn start_as(roles: &str, environment: &[(&str, &str)], data: &Path) -> Self {
        Self::launch(&["--role", roles], environment, Data::Lent(data.to_owned())).await
    }

    async fn launch(arguments: &[&str], environment: &[(&str, &str)], data: Data) -> Self {
        let log = std::fs::File::create(data.path().join("server.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_l9-server"));
        command
            .args(["serve", "--json", "--port", "0"])
            .args(arguments)
            .arg("--data-dir")
            .arg(data.path())
            .current_dir(data.path());
        for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL", "DEPLOYMENT_ENV"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("the server starts").unwrap();
        let line = line.unwrap_or_else(|| {
            panic!("no address: {}", std::fs::read_to_string(data.path().join("server.log")).unwrap_or_default())
        });
        let listening: Value = serde_json::from_str(&line).unwrap();
        let address = listening["listening"].as_str().unwrap().to_owned();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { address, data, child, client }
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("server.log")).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path))).await
    }

    pub(crate) fn posting(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(self.url(path)).header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.posting(path, body)).await
    }

    pub(crate) async fn request(&self, method: Method, path: &str) -> Answer {
        self.send(self.client.request(method, self.url(path))).await
    }

    /// Keeps the passage that `researcher` can quote.
    pub(crate) async fn remember(&self) {
        let kept = self.post("/memory", &json!({"text": PASSAGE, "source": "docs/runs.md", "key": "runs"})).await;
        assert_eq!(kept.status, 201, "{kept:?}");
    }

    /// Runs `researcher` to its end and gives the run's id.
    pub(crate) async fn research(&self) -> String {
        let ended = self
            .post("/agents/researcher/runs", &json!({"input": "How does L9 resume a run after a crash?", "wait": true}))
            .await;
        assert_eq!(ended.status, 200, "{ended:?}");
        ended.json()["run_id"].as_str().unwrap().to_owned()
    }

    /// Calls `calc/evaluate` until its guest is compiled: an unoptimised build may take
    /// longer for that than a call may.
    pub(crate) async fn warm(&self) {
        for _ in 0..10 {
            let called = self.post("/tools/calc/evaluate/call", &json!({"arguments": {"expression": "1"}})).await;
            if called.status == 200 {
                return;
            }
        }
        panic!("calc/evaluate never answered: {}", self.log());
    }

    pub(crate) async fn socket(&self) -> Socket {
        let (socket, _) = connect_async(format!("ws://{}/ws", self.address)).await.unwrap();
        Socket { socket }
    }

    /// Asks the process to end, as a service manager does.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().expect("the server runs");
        let killed = std::process::Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().unwrap();
        assert!(killed.success());
    }

    /// Ends the process at once, as a machine that loses its power does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for the process's end and gives its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the server ends").unwrap().code()
    }
}

/// Waits.
pub(crate) async fn pause(millis: u64) {
    SystemClock::default().sleep(Duration::from_millis(millis)).await;
}

/// A WebSocket client.
pub(crate) struct Socket {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn say(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next text frame, or the code of the close.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(close))) => return Err(close.map(|close| close.code.into())),
                Some(Ok(_)) => {}
                None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Err(None),
                Some(Err(error)) => panic!("the socket broke: {error}"),
            }
        }
    }

    /// The next text frame.
    pub(crate) async fn hear(&mut self) -> Value {
        self.next().await.unwrap_or_else(|code| panic!("closed with {code:?}"))
    }

    /// The frames up to and with the first of a type.
    pub(crate) async fn hear_until(&mut self, kind: &str) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.hear().await;
            let found = frame["type"] == kind;
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }

    /// The code with which the server closes, whatever it says before.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

/// The events among frames, checked to be one run's, dense from a seq on, each linked
/// to the one before.
pub(crate) fn dense(frames: &[Value], from: u64) -> Vec<Value> {
    let events: Vec<Value> = frames.iter().filter(|frame| frame["type"] == "run.event").cloned().collect();
    chained(&events, from);
    events
}

/// Checks that events are dense from a seq on, each linked to the one before.
pub(crate) fn chained(events: &[Value], from: u64) {
    for (event, seq) in events.iter().zip(from..) {
        assert_eq!(event["seq"], seq, "{events:?}");
    }
    for pair in events.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["hash"]);
    }
}
