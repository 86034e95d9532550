//! A node: a process of the server, killed, frozen and started again.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One node's place; processes come and go in it.
pub(crate) struct Node {
    place: usize,
    lives: u32,
    folder: PathBuf,
    /// What it does; everything if nothing is said.
    roles: Option<&'static str>,
    child: Option<Child>,
    address: Option<SocketAddr>,
}

impl Node {
    /// A place without a process; its files go into the folder.
    pub(crate) fn new(place: usize, folder: &Path) -> Self {
        Self { place, lives: 0, folder: folder.to_owned(), roles: None, child: None, address: None }
    }

    /// The same with some of the roles.
    pub(crate) fn with_roles(mut self, roles: &'static str) -> Self {
        self.roles = Some(roles);
        self
    }

    /// The name of the process's life, journaled with every lease it takes.
    pub(crate) fn name(&self) -> String {
        format!("node-{}-{}", self.place, self.lives)
    }

    /// The name of the life that would come next.
    pub(crate) fn next_name(&self) -> String {
        format!("node-{}-{}", self.place, self.lives + 1)
    }

    /// Begins another life.
    pub(crate) fn start(&mut self, program: &Path, environment: Vec<(String, String)>, fences: bool) {
        self.lives += 1;
        self.address = None;
        let mut command = Command::new(program);
        command.args(["serve", "--json", "--port", "0"]).env_clear().envs(environment).current_dir(&self.folder);
        command.args(self.roles.iter().flat_map(|roles| ["--role", roles]));
        if !fences {
            command.env("L9_UNFENCED", "1");
        }
        command.stdout(self.file("out")).stderr(self.file("log")).stdin(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.name()))
    }

    fn file(&self, kind: &str) -> File {
        File::create(self.path(kind)).unwrap()
    }

    /// What this life has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Where it serves, once it does.
    pub(crate) fn address(&mut self) -> Option<SocketAddr> {
        if self.child.is_some() && self.address.is_none() {
            let said = fs::read_to_string(self.path("out")).unwrap_or_default();
            let listening = said.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
            self.address = listening.and_then(|listening| listening["listening"].as_str()?.parse().ok());
        }
        self.address
    }

    /// Whether a process lives in it.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Clears away a process that ended by itself; tells whether there was one.
    pub(crate) fn clear(&mut self) -> bool {
        self.child.take().is_some()
    }

    /// SIGKILL; tells whether it was alive.
    pub(crate) fn kill(&mut self) -> bool {
        let alive = self.lives();
        self.address = None;
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        alive
    }

    /// Tells it to go, as a service manager does; gives its exit code once it has, or nothing
    /// if it does not in time.
    pub(crate) async fn leave(&mut self, patience: Duration) -> Option<i32> {
        self.signal("-TERM");
        self.address = None;
        let (begun, mut child) = (Instant::now(), self.child.take()?);
        while begun.elapsed() < patience {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        None
    }

    /// SIGSTOP, SIGCONT or SIGTERM.
    pub(crate) fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            assert!(sent.success(), "kill {signal} {}", self.name());
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
