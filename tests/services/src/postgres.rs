//! A PostgreSQL server.
//!
//! It stops when it is dropped, also by a panic, and the kernel stops it when the process
//! dies otherwise. The folder of a process that was killed is removed by the next one.

use std::fmt;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::iter;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// The user and the password of the server.
const USER: &str = "l9";
const PASSWORD: &str = "word of a private server";
const PASSWORD_IN_URL: &str = "word%20of%20a%20private%20server";
/// How a folder begins; then comes the process that made it.
const FOLDER: &str = "l9-postgres-";
/// How often a server is asked whether it answers, every 20 milliseconds.
const TRIES: u32 = 1_500;
const PAUSE: Duration = Duration::from_millis(20);

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are cut, what was committed is written out.
    Fast,
    /// As if the machine had lost its power but for its disk's cache.
    Crash,
}

/// A server of this process.
pub struct Postgres {
    folder: PathBuf,
    binaries: PathBuf,
    account: Option<Account>,
    port: u16,
    settings: Vec<String>,
    running: Mutex<Option<Running>>,
    databases: AtomicU32,
}

/// The user that the server runs as where root runs the tests: it refuses root.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// The thread that holds the server: the kernel stops a child when the thread ends that
/// started it, so it must not be a test's own.
struct Running {
    stop: Sender<Stop>,
    thread: JoinHandle<()>,
}

impl Postgres {
    /// The server that the tests of this process share; it stops with the last of them.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A server that does not wait for the disk: what is committed survives its crash,
    /// not the machine's.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&["fsync=off", "shared_buffers=32MB", "max_connections=60"])
    }

    /// A server that flushes every commit to the disk, as one of production does.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    #[must_use]
    pub fn durable() -> Self {
        Self::with(&["fsync=on", "shared_buffers=128MB", "max_connections=200"])
    }

    fn with(settings: &[&str]) -> Self {
        sweep();
        let binaries = binaries();
        let account = account();
        let folder = make_folder(account);
        let password = folder.join("password");
        fs::write(&password, PASSWORD).expect("the password is written");
        let server = Self {
            port: free_port(),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            running: Mutex::new(None),
            databases: AtomicU32::new(0),
            folder,
            binaries,
            account,
        };
        own(&password, account);
        let mut initdb = server.command("initdb");
        initdb.args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", USER]);
        initdb.arg("--pwfile").arg(&password).arg("--pgdata").arg(server.data());
        succeed(initdb.output(), "initdb");
        server.resume();
        server
    }

    /// Makes an empty database; gives its URL.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut createdb = self.client("createdb");
        createdb.arg(&name);
        succeed(createdb.output(), "createdb");
        self.url(&name)
    }

    /// The URL of a database, whether or not it exists.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{USER}:{PASSWORD_IN_URL}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server; nothing listens afterwards.
    ///
    /// # Panics
    /// When the thread that holds it has panicked.
    pub fn stop(&self, how: Stop) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            stop.send(how).expect("the server's thread lives");
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
        let log = File::options().create(true).append(true).open(self.log()).expect("the log opens");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.folder).args(["-h", "127.0.0.1"]);
        command.arg("-p").arg(self.port.to_string());
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log opens twice")).stderr(log);
        let (stop, stopped) = channel();
        let (started, child) = channel();
        let hold = move || {
            let child = command.spawn().expect("postgres starts");
            started.send(()).expect("somebody waits for the start");
            hold(child, &stopped);
        };
        let thread = std::thread::spawn(hold);
        child.recv().expect("postgres starts");
        *running = Some(Running { stop, thread });
        self.wait_until_it_answers();
    }

    /// Stops the server and starts it again.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&self, how: Stop) {
        self.stop(how);
        self.resume();
    }

    /// Runs one SQL statement as the server's owner; gives what it prints.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]);
        String::from_utf8_lossy(&succeed(psql.output(), "psql").stdout).trim().to_owned()
    }

    fn wait_until_it_answers(&self) {
        let ready = || {
            let mut asked = self.client("pg_isready");
            asked.args(["-q", "-d", "postgres"]).status().is_ok_and(|status| status.success())
        };
        for _ in 0..TRIES {
            if ready() {
                return;
            }
            pause();
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        panic!("postgres does not answer on port {}:\n{log}", self.port);
    }

    /// A program of the server's own, as its user.
    fn command(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = if let Some(account) = self.account {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={}", account.user)).arg(format!("--regid={}", account.group));
            command.args(["--clear-groups", "--pdeathsig=QUIT", "--"]).arg(program);
            command
        } else if cfg!(target_os = "linux") {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig=QUIT", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.folder).env("LC_ALL", "C");
        command
    }

    /// A client program, pointed at the server.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.env("PGPASSWORD", PASSWORD).env("LC_ALL", "C").stdin(Stdio::null());
        command.args(["-h", "127.0.0.1", "-U", USER]).arg("-p").arg(self.port.to_string());
        command.current_dir("/");
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            // A thread that has panicked has let go of the server, and the kernel stops it.
            let _ = stop.send(Stop::Crash);
            let _ = thread.join();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("folder", &self.folder).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Holds the server until it is to stop.
fn hold(mut child: Child, stop: &Receiver<Stop>) {
    let signal = match stop.recv() {
        Ok(Stop::Fast) => "-INT",
        Ok(Stop::Crash) | Err(_) => "-QUIT",
    };
    let signalled = Command::new("kill").arg(signal).arg(child.id().to_string()).status();
    if !signalled.is_ok_and(|status| status.success()) {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let _ = child.wait();
}

/// The folder of the server's programs.
fn binaries() -> PathBuf {
    if let Some(named) = std::env::var_os("L9_TEST_POSTGRES").map(PathBuf::from) {
        let shown = named.display();
        assert!(named.join("initdb").exists(), "L9_TEST_POSTGRES names {shown}, where there is no initdb");
        return named;
    }
    let versioned = |root: &str| -> Vec<PathBuf> {
        let found = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let mut found: Vec<PathBuf> = found.filter(|folder| folder.join("initdb").exists()).collect();
        found.sort_by_key(|folder| {
            let version = folder.parent().and_then(Path::file_name);
            version.and_then(|version| version.to_string_lossy().parse::<u32>().ok())
        });
        found
    };
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).find(|folder| folder.join("initdb").exists());
    versioned("/usr/lib/postgresql").pop().or(on_path).expect(
        "this test needs PostgreSQL 14 or newer: install the package `postgresql` (Debian, Ubuntu), \
         `postgresql-server` (Fedora) or `postgresql@17` (Homebrew), so that `initdb` is in \
         /usr/lib/postgresql/*/bin or on PATH; scripts/test does that",
    )
}

/// Whom to run the server as.
fn account() -> Option<Account> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().parse().ok()).flatten()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let account = |name| Some(Account { user: id(&["-u", name])?, group: id(&["-g", name])? });
    Some(account("postgres").or_else(|| account("nobody")).expect("root needs a user `postgres` or `nobody` for it"))
}

fn make_folder(account: Option<Account>) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let folder = roots().join(format!("{FOLDER}{}-{made}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&folder).expect("the server's folder is made");
    own(&folder, account);
    folder
}

/// Where folders are made: where another user may go, and the path of a socket fits.
fn roots() -> PathBuf {
    PathBuf::from("/tmp")
}

fn own(path: &Path, account: Option<Account>) {
    if let Some(Account { user, group }) = account {
        chown(path, Some(user), Some(group)).expect("the server's user gets its files");
    }
}

/// Removes the folders of processes that were killed.
fn sweep() {
    let lives = |process: &str| {
        let asked = Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    for entry in fs::read_dir(roots()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.split('-').next());
        if process.is_some_and(|process| process.parse::<u32>().is_ok() && !lives(process)) {
            // Another process may be at it, or it may be another user's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A port that nobody has, and that no outgoing connection is given meanwhile: systems take those
/// from 32768 on.
pub(crate) fn free_port() -> u16 {
    let picked = || 10_000 + u16::try_from(RandomState::new().hash_one(()) % 22_000).unwrap_or_default();
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    iter::repeat_with(picked).take(1_000).find(free).expect("a port of the loopback is free")
}

fn succeed(output: std::io::Result<Output>, program: &str) -> Output {
    let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[expect(clippy::disallowed_methods, reason = "a real server is waited for in real time")]
pub(crate) fn pause() {
    std::thread::sleep(PAUSE);
}
