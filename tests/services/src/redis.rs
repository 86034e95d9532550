//! A Redis server.
//!
//! It stops when it is dropped, also by a panic, and on Linux the kernel stops it when the
//! process dies otherwise.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::postgres::{free_port, pause};

/// The password of the server.
pub(crate) const PASSWORD: &str = "word-of-a-private-server";
/// How often a server is asked whether it answers, every 20 milliseconds.
const TRIES: u32 = 500;

/// A server of this process, which flushes every write to its folder.
pub struct Redis {
    folder: PathBuf,
    port: u16,
    /// What it is started with beside what every server is.
    settings: Vec<String>,
    running: Mutex<Option<Running>>,
}

/// The thread that holds the server: the kernel stops a child when the thread ends that
/// started it, so it must not be a test's own.
struct Running {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Redis {
    /// A server of one's own.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Vec::new())
    }

    pub(crate) fn with(settings: Vec<String>) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("l9-redis-{}-{made}", std::process::id()));
        fs::create_dir(&folder).expect("the server's folder is made");
        let server = Self { folder, port: free_port(), settings, running: Mutex::new(None) };
        server.resume();
        server
    }

    /// Its address, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Its address, without the password.
    #[must_use]
    pub fn bare_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// All that it has written to its folder.
    ///
    /// # Panics
    /// When the folder cannot be read.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("the server's folder is read").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.extend(fs::read(path).expect("the server's file is read"));
                }
            }
        }
        all
    }

    /// Stops the server at once; nothing listens afterwards.
    ///
    /// # Panics
    /// When the thread that holds it has panicked.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            stop.send(()).expect("the server's thread lives");
            thread.join().expect("the server's thread ends well");
        }
    }

    /// Starts a stopped server again, over the same data and port.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn resume(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(running.is_none(), "the server runs already");
        let mut command = if cfg!(target_os = "linux") {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig=KILL", "--", "redis-server"]);
            command
        } else {
            Command::new("redis-server")
        };
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--requirepass", PASSWORD, "--port"]).arg(self.port.to_string()).arg("--dir").arg(&self.folder);
        command.args(&self.settings);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (stop, stopped) = channel();
        let hold = move || {
            let child = command.spawn().expect("redis-server starts");
            hold(child, &stopped);
        };
        *running = Some(Running { stop, thread: std::thread::spawn(hold) });
        self.wait_until_it_answers();
    }

    /// Stops the server's time: it keeps its connections and answers nothing any more, for good.
    ///
    /// # Panics
    /// When it does not say which process it is.
    pub fn freeze(&self) {
        let said = self.asks("INFO server").expect("the server answers");
        let process = said.lines().find_map(|line| line.strip_prefix("process_id:"));
        let process = process.expect("it names its process").trim();
        let frozen = Command::new("kill").args(["-STOP", process]).status();
        assert!(frozen.is_ok_and(|status| status.success()), "process {process} is stopped");
    }

    /// Removes everything that it has; tells how many keys that were.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn flush(&self) -> u64 {
        let answer = self.asks("DBSIZE\r\nFLUSHALL").expect("the server answers");
        let keys = answer.lines().find_map(|line| line.strip_prefix(':')?.parse().ok());
        assert!(answer.matches("+OK").count() >= 2, "the server flushes: {answer:?}");
        keys.expect("it counts its keys")
    }

    fn wait_until_it_answers(&self) {
        for _ in 0..TRIES {
            if self.asks("PING").is_some_and(|answer| answer.contains("PONG")) {
                return;
            }
            pause();
        }
        panic!(
            "redis-server does not answer on port {}: this test needs Redis 7 or newer, the package `redis-server` \
             (Debian, Ubuntu) or `redis` (Fedora, Homebrew); scripts/test installs it",
            self.port
        );
    }

    /// What it answers to commands, line by line.
    pub(crate) fn asks(&self, commands: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.write_all(format!("AUTH {PASSWORD}\r\n{commands}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            // A thread that has panicked has let go of the server, and the kernel stops it.
            let _ = stop.send(());
            let _ = thread.join();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("port", &self.port).finish_non_exhaustive()
    }
}

/// Holds the server until it is to stop.
fn hold(mut child: Child, stop: &Receiver<()>) {
    let _ = stop.recv();
    let _ = child.kill();
    let _ = child.wait();
}
