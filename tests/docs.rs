//! Holds the documents to what is true of them: their links lead somewhere, their
//! paragraphs can be quoted, and their commands run.
//!
//! A command that cannot be run ends with `# untested: REASON`, where a reader sees it too.
//! The blocks `console LANGUAGE`, which want the tools of a language, are run by
//! `tests/templates.rs`.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

#[path = "support/document.rs"]
mod document;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use document::{BY_CARGO, parse, root, run, server, shown, text, workplace};
use serde_json::Value;

/// Whether a document is one of the interfaces', whose commands l9-server's own tests run
/// against a served system.
fn is_interface(document: &Path) -> bool {
    document.starts_with(root().join("docs/api"))
}

/// The README and everything under `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
#[ignore = "needs the release binary of l9-server; scripts/test builds it and runs this"]
fn commands_in_documents_run() {
    let (mut ran, mut faults) = (0, Vec::new());
    for document in documents().into_iter().filter(|document| !is_interface(document)) {
        let all = parse(&fs::read_to_string(&document).unwrap()).commands(&["sh", "console"]);
        let (untested, runnable): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, command)| command.contains("# untested: "));
        for (number, command) in untested {
            println!("not run: {}:{number}: {command}", shown(&document));
        }
        if runnable.is_empty() {
            continue;
        }
        ran += runnable.len();
        println!("{}: {} commands", shown(&document), runnable.len());
        faults.extend(run(workplace().path(), &document, &runnable).err());
    }
    println!("{ran} commands were run");
    assert!(ran > 0, "no document has a command");
    assert!(faults.is_empty(), "commands that do not do what a document says:\n  {}", faults.join("\n  "));
}

/// The README's first command, in an empty data folder: it succeeds, and every quote
/// stands word for word in the file it names.
#[test]
#[ignore = "needs the release binary of l9-server; scripts/test builds it and runs this"]
fn the_first_run_quotes_what_stands_in_the_documents() {
    let folder = workplace();
    let question = "How does L9 resume a run after a crash?";
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("{BY_CARGO} -- run researcher \"{question}\" --ingest docs/")));
    let mut command = Command::new(server());
    command.args(["run", "researcher", question, "--ingest", "docs/", "--json"]).current_dir(folder.path());
    for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DATABASE_URL", "L9_DATA_DIR", "L9_SERVER_BIN"] {
        command.env_remove(name);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    let run: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(run["outcome"], "succeeded", "{run:#}");
    assert!(run["run_id"].is_string() && run["receipt"].is_object(), "{run:#}");
    let citations = run["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{run:#}");
    for citation in citations {
        let (source, quote) = (citation["source"].as_str().unwrap(), citation["quote"].as_str().unwrap());
        let text = fs::read_to_string(folder.path().join(source)).unwrap();
        assert!(text.contains(quote), "{source} does not hold {quote:?}");
    }
    println!("{}", run["answer"].as_str().unwrap_or_default());
    the_documented_verifier_agrees(folder.path());
}

/// The verifier that docs/evidence-format.md prints accepts what was just written, and
/// refuses it once a single byte is changed.
fn the_documented_verifier_agrees(folder: &Path) {
    let document = parse(&fs::read_to_string(root().join("docs/evidence-format.md")).unwrap());
    let (_, lines) = document.blocks.iter().find(|(language, _)| language == "python").unwrap();
    fs::write(folder.join("verify.py"), text(lines)).unwrap();
    let verify = || Command::new("python3").args(["verify.py", ".l9/l9.db"]).current_dir(folder).output().unwrap();
    let good = verify();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(String::from_utf8_lossy(&good.stdout).contains("records verify"));
    let change = "import sqlite3; db = sqlite3.connect('.l9/l9.db'); \
                  db.execute(\"UPDATE records SET at = at + 1 WHERE seq = 2\"); db.commit()";
    assert!(Command::new("python3").args(["-c", change]).current_dir(folder).status().unwrap().success());
    let bad = verify();
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("record 2 does not verify"), "{bad:?}");
}

/// What the README shows of embedding is the example that is compiled and run.
#[test]
fn the_readme_shows_the_example() {
    let readme = parse(&fs::read_to_string(root().join("README.md")).unwrap());
    let example = fs::read_to_string(root().join("examples/embed.rs")).unwrap();
    let code: Vec<&str> = example.lines().filter(|line| !line.starts_with("//!")).collect();
    let shown = readme.blocks.iter().find(|(language, _)| language.starts_with("rust")).map(|(_, lines)| text(lines));
    assert_eq!(shown.unwrap_or_default().trim(), code.join("\n").trim());
    assert!(code.len() <= 25, "examples/embed.rs has {} lines", code.len());
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for document in documents() {
        for (number, line) in parse(&fs::read_to_string(&document).unwrap()).prose {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
                let file = target.split('#').next().unwrap_or_default();
                if !document.parent().unwrap().join(file).exists() {
                    faults.push(format!("{}:{number}: {target}", shown(&document)));
                }
            }
        }
    }
    assert!(faults.is_empty(), "links that lead nowhere:\n  {}", faults.join("\n  "));
}

/// A threat without a test is a wish: what docs/security.md names must be there.
#[test]
fn every_test_that_security_names_exists() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut sources = String::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    // In a row of a table the last cell holds the tests' names in backticks.
    let last_cells = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')?.rsplit('|').next());
    let named: Vec<&str> = last_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 20, "docs/security.md names {} tests", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that do not exist: {missing:?}");
}

/// The table of attacks has each one that there is a test for, once, under its number.
#[test]
fn every_attack_stands_in_the_table_of_security() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut written = Vec::new();
    let mut folders = vec![root().join("tests")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (below, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        folders.extend(below);
        let is_source =
            |path: &PathBuf| path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("docs.rs");
        sources.extend(files.into_iter().filter(is_source));
    }
    for source in sources.into_iter().map(|path| fs::read_to_string(path).unwrap()) {
        let names = source.split("fn attack_").skip(1).filter_map(|rest| rest.split_once('('));
        written.extend(names.map(|(name, _)| format!("attack_{name}")));
    }
    written.sort();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows = rows.filter(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    let mut listed: Vec<String> = Vec::new();
    for (number, rest) in rows {
        let name = rest.rsplit('`').nth(1).unwrap_or_default().to_owned();
        assert!(name.starts_with(&format!("attack_{number:0>2}_")), "attack {number} of docs/security.md names {name}");
        listed.push(name);
    }
    listed.sort();
    assert!(listed.len() >= 7, "docs/security.md lists {} attacks", listed.len());
    assert_eq!(listed, written, "the table of attacks in docs/security.md, and the tests");
}

/// An agent quotes whole sentences of these files, so a paragraph is one line.
#[test]
fn a_paragraph_is_one_line() {
    let is_text =
        |line: &str| line.starts_with(|first: char| first.is_alphabetic() || matches!(first, '*' | '`' | '['));
    let mut faults = Vec::new();
    for document in documents().into_iter().filter(|document| !is_interface(document)) {
        let prose = parse(&fs::read_to_string(&document).unwrap()).prose;
        for pair in prose.windows(2) {
            let ((above, first), (below, second)) = (&pair[0], &pair[1]);
            if below - above == 1 && is_text(first) && is_text(second) {
                faults.push(format!("{}:{below}", shown(&document)));
            }
        }
    }
    assert!(faults.is_empty(), "paragraphs broken over lines:\n  {}", faults.join("\n  "));
}
