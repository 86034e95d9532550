//! The binary over a folder of its own, with nothing of this machine's environment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// The binary with a working folder and a data folder in it.
pub(crate) struct Cli {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "not one line: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, if the command ended so.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// That an error was told which names all this.
    #[track_caller]
    pub(crate) fn names(&self, words: &[&str]) {
        assert!(self.err.contains("error: "), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not named: {self:?}");
        }
    }
}

impl Cli {
    /// Over an empty data folder whose tools are compiled already.
    pub(crate) fn new() -> Self {
        let cli = Self::cold();
        copy(&warmed().join("compiled"), &cli.data().join("compiled"));
        std::fs::copy(warmed().join("root.key"), cli.data().join("root.key")).unwrap();
        cli
    }

    /// Over nothing at all.
    pub(crate) fn cold() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// With a further environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The working folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(".l9")
    }

    /// Writes a file into the working folder.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The command, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_l9-server"));
        command.args(arguments).current_dir(self.folder()).env_clear().stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        Ended { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that is to succeed and to answer in JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).expect(0).json()
    }

    /// Runs the researcher and gives its object.
    pub(crate) fn ask(&self, question: &str, further: &[&str]) -> Value {
        self.json(&[&["run", "researcher", question], further].concat())
    }

    /// A run's events as they are printed.
    pub(crate) fn events(&self, run: &str) -> String {
        self.run(&["runs", "events", run, "--json"]).expect(0).out
    }
}

/// A data folder whose tools have been compiled, once for all tests.
fn warmed() -> &'static Path {
    static WARM: OnceLock<Cli> = OnceLock::new();
    let cli = WARM.get_or_init(|| {
        let cli = Cli::cold();
        for (tool, arguments) in
            [("calc/evaluate", r#"{"expression": "1"}"#), ("text/diff", r#"{"before": "a", "after": "b"}"#)]
        {
            // A debug build compiles slowly: the first call may run out of its time.
            let called = (0..5).any(|_| cli.run(&["tools", "call", tool, arguments]).code != 1);
            assert!(called, "{tool} cannot be called");
        }
        cli
    });
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| cli.data())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A made-up fact, and a question only it answers.
pub(crate) struct Fact {
    pub(crate) sentence: String,
    pub(crate) question: String,
    pub(crate) figure: String,
}

/// Facts that stand nowhere else, a function of the seed.
pub(crate) fn facts(seed: u64, count: usize) -> Vec<Fact> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |below: u64| {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let goods = ["amber", "linen", "saffron", "copper", "walnuts", "glass"];
    (0..count)
        .map(|_| {
            let mut name = String::new();
            for _ in 0..3 {
                let (first, second) = (b"bdfgklmnprstvz"[draw(14) as usize], b"aeiou"[draw(5) as usize]);
                name.push(first.into());
                name.push(second.into());
            }
            let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
            let (good, figure) = (goods[draw(6) as usize], (1_000 + draw(900_000)).to_string());
            let sentence = format!("The {name} warehouse stores {figure} crates of {good}.");
            let question = format!("How many crates of {good} does the {name} warehouse store?");
            Fact { sentence, question, figure }
        })
        .collect()
}

/// A folder of documents with the facts in them, some filler around each.
pub(crate) fn documents(cli: &Cli, facts: &[Fact]) -> PathBuf {
    for (at, chunk) in facts.chunks(3).enumerate() {
        let mut text = format!("# Report {at}\n\nThis report lists holdings.\n\n");
        for fact in chunk {
            write!(text, "{}\n\nThe roof was painted in spring and the doors were oiled.\n\n", fact.sentence).unwrap();
        }
        cli.write(&format!("papers/report-{at}.md"), text);
    }
    cli.folder().join("papers")
}
