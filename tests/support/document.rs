//! Documents as files with commands in them: what they say is run as they say it.
//!
//! A command is a line of a `console` block that begins with `$ `, or a whole `sh`
//! block. All commands run in order in one shell, in a copy of the files they need, with
//! `cargo run --release -p l9-server --` replaced by the binary.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands in the documents, and what the binary is called here.
pub(crate) const BY_CARGO: &str = "cargo run --release -p l9-server";

/// What documents' commands may read.
const COPIED: [&str; 6] = ["README.md", "docs", "examples", "config.yaml", "l9-tools/wit", "l9-tools/guests/templates"];

/// The longest one document may take, in seconds.
const DEADLINE: &str = "600";

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The lines outside fenced blocks, and the fenced blocks with their language; each
/// with its line number.
#[derive(Default)]
pub(crate) struct Parsed {
    pub(crate) prose: Vec<(usize, String)>,
    pub(crate) blocks: Vec<(String, Vec<(usize, String)>)>,
}

pub(crate) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside;
            if inside {
                parsed.blocks.push((language.trim().to_owned(), Vec::new()));
            }
        } else if inside {
            parsed.blocks.last_mut().unwrap().1.push((number, line.to_owned()));
        } else {
            parsed.prose.push((number, line.to_owned()));
        }
    }
    parsed
}

impl Parsed {
    /// The commands of the blocks in these languages, continued lines joined.
    pub(crate) fn commands(&self, languages: &[&str]) -> Vec<(usize, String)> {
        let mut found: Vec<(usize, String)> = Vec::new();
        for (language, lines) in self.blocks.iter().filter(|(language, _)| languages.contains(&language.as_str())) {
            if language == "sh" {
                found.push((lines.first().map_or(0, |(number, _)| *number), text(lines)));
                continue;
            }
            let mut continued = false;
            for (number, line) in lines {
                if continued {
                    write!(found.last_mut().unwrap().1, "\n{line}").unwrap();
                } else if let Some(command) = line.strip_prefix("$ ") {
                    found.push((*number, command.to_owned()));
                } else {
                    continue;
                }
                continued = line.ends_with('\\');
            }
        }
        found
    }
}

pub(crate) fn text(lines: &[(usize, String)]) -> String {
    lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// The server's binary: what L9_SERVER_BIN names, else what this target folder has.
pub(crate) fn server() -> PathBuf {
    if let Some(path) = std::env::var_os("L9_SERVER_BIN") {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).unwrap();
    let built = target.join("release/l9-server");
    assert!(built.exists(), "{} is missing: run `cargo build --release -p l9-server` first", built.display());
    built
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        }
    } else if from.exists() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// A folder with what documents' commands may read.
pub(crate) fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    COPIED.iter().for_each(|name| copy(&root().join(name), &folder.path().join(name)));
    folder
}

/// Runs a document's commands in one shell in a folder; gives what went wrong, or else all that
/// they said.
pub(crate) fn run(folder: &Path, document: &Path, commands: &[(usize, String)]) -> Result<String, String> {
    let bin = folder.join(".bin");
    fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(server(), bin.join("l9-server")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    // What a document starts in the background ends with its shell.
    let mut script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n".to_owned();
    for (number, command) in commands {
        let command = command.replace(&format!("{BY_CARGO} -- "), "l9-server ").replace(BY_CARGO, "l9-server");
        let command = command.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
        let command = command.replace("--port 8000", &format!("--port {port}"));
        writeln!(script, "echo '+ {}:{number}' >&2\n{command}", shown(document)).unwrap();
    }
    fs::write(folder.join(".script"), script).unwrap();
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let log = fs::File::create(folder.join(".log")).unwrap();
    let mut shell = Command::new("timeout");
    shell.args(["--kill-after=5", DEADLINE, "bash", ".script"]).current_dir(folder);
    shell.env("PATH", path.unwrap()).env("L9__SERVER__PORT", &port).env("NO_PROXY", "127.0.0.1");
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DATABASE_URL", "L9_DATA_DIR", "L9_SERVER_BIN"] {
        shell.env_remove(name);
    }
    shell.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
    let status = shell.status().unwrap();
    let said = fs::read_to_string(folder.join(".log")).unwrap();
    let tail: Vec<&str> = said.lines().rev().take(25).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    if status.success() { Ok(said) } else { Err(format!("{}: {status}\n    {}", shown(document), tail.join("\n    "))) }
}
