//! Holds the rules of the house that no compiler holds: which crate may know which,
//! how a file begins, what must never stand in one, and that every place CODEOWNERS
//! guards is there.
//!
//! It reads `cargo metadata` and the files of this checkout; it changes nothing and
//! reaches nothing outside.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate may know of the others.
const MAY_KNOW: [(&str, &[&str]); 7] = [
    ("l9-core", &[]),
    ("l9-memory", &["l9-core"]),
    ("l9-tools", &["l9-core"]),
    ("l9-plan", &["l9-core"]),
    ("l9", &["l9-core", "l9-memory", "l9-tools", "l9-plan"]),
    ("l9-server", &["l9"]),
    ("l9-services", &[]),
];

/// What the core must not know: databases, sandboxes, HTTP, graphs.
const NOT_IN_CORE: [&str; 9] =
    ["sqlx", "wasmtime", "reqwest", "hyper", "hyper-util", "axum", "petgraph", "redis", "tokio-tungstenite"];

/// What serves, and so belongs to the binary.
const SERVES: [&str; 4] = ["axum", "hyper", "hyper-util", "tower-http"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The normal dependencies of every crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), normal(package))).collect()
}

/// Every file of the checkout, built and hidden folders aside.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.') && !matches!(name.to_str(), Some(".ci" | ".config"));
            if hidden || name == "target" || name == "__pycache__" {
                continue;
            }
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 100, "only {} files found under {}", found.len(), root().display());
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn sources() -> impl Iterator<Item = (String, String)> {
    let is_source = |path: &PathBuf| path.extension() == Some(OsStr::new("rs"));
    files().into_iter().filter(is_source).map(|path| (shown(&path), fs::read_to_string(&path).unwrap()))
}

fn none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(found, ours, "a crate came or went: say in MAY_KNOW what it may know");
    let mut faults = Vec::new();
    for (name, may_know) in MAY_KNOW {
        let unwanted = dependencies[name].iter().filter(|other| ours.contains(other.as_str()));
        faults.extend(
            unwanted.filter(|other| !may_know.contains(&other.as_str())).map(|other| format!("{name} knows {other}")),
        );
    }
    let core = dependencies["l9-core"].iter().filter(|other| NOT_IN_CORE.contains(&other.as_str()));
    faults.extend(core.map(|other| format!("l9-core knows {other}")));
    for (name, known) in dependencies.iter().filter(|(name, _)| *name != "l9-server") {
        let serving = known.iter().filter(|other| SERVES.contains(&other.as_str()));
        faults.extend(serving.map(|other| format!("{name} could serve: it knows {other}")));
    }
    none("dependencies that point the wrong way", &faults);
}

#[test]
fn bytes_of_effects_leave_by_one_way() {
    let libraries = ["l9-core/src/", "l9-memory/src/", "l9-tools/src/", "l9-plan/src/", "src/"];
    let connects = ["reqwest", "hyper_util::client", "TcpStream", "UdpSocket", "UnixStream"];
    let (egress, others): (Vec<_>, Vec<_>) = sources()
        .filter(|(path, _)| libraries.iter().any(|library| path.starts_with(library)))
        .partition(|(path, _)| path.starts_with("l9-tools/src/egress/"));
    let could = |(path, text): (String, String)| {
        let found = connects.into_iter().filter(|word| text.contains(word));
        found.map(|word| format!("{path}: {word}")).collect::<Vec<_>>()
    };
    none("what could send past the egress, uncounted", &others.into_iter().flat_map(could).collect::<Vec<_>>());
    let sends: Vec<(String, usize)> = egress
        .into_iter()
        .map(|(path, text)| (path, text.matches(".execute(").count() + text.matches(".send()").count()))
        .filter(|(_, times)| *times > 0)
        .collect();
    assert_eq!(sends, [("l9-tools/src/egress/direct.rs".to_owned(), 1)], "one place sends, and draws on the permit");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    // The facade's front page is the README.
    let speaks = |text: &str| text.starts_with("//!") || text.starts_with("#![doc = include_str!(");
    let mute = |(path, text): (String, String)| (!speaks(&text)).then_some(path);
    let faults: Vec<String> = sources().filter_map(mute).collect();
    none("files that do not open with `//!`", &faults);
}

#[test]
fn nothing_is_left_to_be_done_in_silence() {
    // Written in two parts, so that this file passes its own check.
    let marks = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("db", "g!(")];
    // What is only ever compiled, and only to fail, may leave its bodies out.
    let faults: Vec<String> = sources()
        .filter(|(path, _)| !path.contains("/no_bypass/"))
        .flat_map(|(path, text)| {
            let found = marks.iter().filter(|mark| text.contains(**mark));
            found.map(|mark| format!("{path}: {mark}…)")).collect::<Vec<_>>()
        })
        .collect();
    none("unfinished places", &faults);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let places = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let joins = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'}' | b'*' | b')');
    let mut faults = Vec::new();
    for path in files() {
        let bytes = fs::read(&path).unwrap();
        for place in places {
            let at = bytes
                .windows(place.len())
                .enumerate()
                .find(|(at, window)| *window == place.as_bytes() && (*at == 0 || !joins(bytes[at - 1])));
            if let Some((at, _)) = at {
                let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
                faults.push(format!("{}:{line}: {place}", shown(&path)));
            }
        }
    }
    none("paths of somebody's machine", &faults);
}

#[test]
fn every_guarded_place_exists() {
    let owners = fs::read_to_string(root().join("CODEOWNERS")).unwrap();
    let lines = owners.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut faults = Vec::new();
    let mut guarded = Vec::new();
    for line in lines {
        let (place, owner) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if !owner.trim().starts_with('@') {
            faults.push(format!("{place} has no owner"));
        }
        if !place.starts_with('/') || !root().join(&place[1..]).exists() {
            faults.push(format!("{place} does not exist"));
        }
        guarded.push(place);
    }
    for needed in ["kernel/", "governor/", "wasm/", "run/", "journal.rs", "vault/", "evidence/"] {
        if !guarded.iter().any(|place| place.ends_with(needed)) {
            faults.push(format!("nobody guards a {needed}"));
        }
    }
    none("CODEOWNERS and the tree differ", &faults);
}

#[test]
fn every_step_of_the_governed_path_is_taken_out_and_listed() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (taken_out, listed) = (read("tests/steps.toml"), read("docs/governance.md"));
    let values = |key: &'static str| taken_out.lines().filter_map(move |line| line.strip_prefix(key)).map(str::trim);
    let steps: BTreeSet<u32> = values("step = ").map(|step| step.parse().unwrap()).collect();
    assert_eq!(steps, (1..=11).collect(), "the steps of which something is taken out");
    let missing = |key| values(key).map(|value| value.trim_matches('"')).filter(|value| !listed.contains(*value));
    let missing: Vec<String> = missing("what = ").chain(missing("test = ")).map(str::to_owned).collect();
    none("what tests/steps.toml takes out and docs/governance.md does not list", &missing);
    let mut file = String::new();
    let mut faults = Vec::new();
    for line in taken_out.lines() {
        if let Some(path) = line.strip_prefix("file = ") {
            file = read(path.trim_matches('"'));
        } else if let Some(find) = line.strip_prefix("find = ") {
            // A basic string of TOML on one line is one of JSON too.
            let find: String = serde_json::from_str(find).unwrap();
            if file.matches(&find).count() != 1 {
                faults.push(find);
            }
        }
    }
    none("what tests/steps.toml takes out and does not stand in its file exactly once", &faults);
}

#[test]
fn decisions_are_numbered_and_listed() {
    let folder = root().join("docs/adr");
    let list = fs::read_to_string(folder.join("README.md")).unwrap();
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    let mut faults = Vec::new();
    for (number, name) in (1..).zip(&names) {
        if !name.starts_with(&format!("{number:04}-")) {
            faults.push(format!("{name} stands where decision {number} should"));
        }
        if !list.contains(&format!("]({name})")) {
            faults.push(format!("{name} is not listed in docs/adr/README.md"));
        }
    }
    none("decisions", &faults);
}
