//! A node: a process that starts runs, and is killed, frozen and started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// How many runs a node is given at a time.
const WINDOW: u32 = 8;

/// One node's place; processes come and go in it.
pub(crate) struct Node {
    place: usize,
    lives: u32,
    folder: PathBuf,
    child: Option<Child>,
    first: u32,
}

impl Node {
    /// A place without a process; its files go into the folder.
    pub(crate) fn new(place: usize, folder: &Path) -> Self {
        Self { place, lives: 0, folder: folder.to_owned(), child: None, first: 0 }
    }

    /// The name of the process's life, journaled with every lease it takes.
    pub(crate) fn name(&self) -> String {
        format!("node-{}-{}", self.place, self.lives)
    }

    /// Whether no process lives in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.child.is_none()
    }

    /// Whether none ever did.
    pub(crate) fn is_fresh(&self) -> bool {
        self.lives == 0
    }

    /// Gives it the next runs to start, once those it had have ended.
    pub(crate) fn next_window(&mut self, next: &mut u32) {
        self.first = *next;
        *next += WINDOW;
    }

    /// Begins another life with the same runs.
    pub(crate) fn start(&mut self, command: &str, ledger: &str, data: &Path, unfenced: bool) {
        self.lives += 1;
        let runs = format!("{}..{}", self.first, self.first + WINDOW);
        let fill = |word: &str| {
            let word = word.replace("{folder}", &data.display().to_string()).replace("{ledger}", ledger);
            word.replace("{runs}", &runs).replace("{name}", &self.name())
        };
        let mut words = command.split(' ').map(fill);
        let mut command = Command::new(words.next().unwrap_or_default());
        if unfenced {
            command.env("L9_UNFENCED", "1");
        }
        command.args(words).stdout(self.file("out")).stderr(self.file("log")).stdin(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    fn file(&self, kind: &str) -> File {
        File::create(self.folder.join(format!("{}.{kind}", self.name()))).unwrap()
    }

    /// What this life has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}.log", self.name()))).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().unwrap()
    }

    /// SIGKILL; tells whether it was alive.
    pub(crate) fn kill(&mut self) -> bool {
        let alive = self.child.is_some() && self.ended().is_none();
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        alive
    }

    /// SIGSTOP or SIGCONT.
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
