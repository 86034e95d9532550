//! `ingest`: documents through the sandbox, changes, dry runs, and an end in the middle.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::Cli;

/// A page with the words `Dredged in 1911.`
const PDF: &str = "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZy9QYWdlcyAyIDAgUj4+ZW5kb2JqCjIgMCBvYmo8PC9UeXBlL1BhZ2VzL0NvdW50IDEvS2lkc1szIDAgUl0+PmVuZG9iagozIDAgb2JqPDwvVHlwZS9QYWdlL0NvbnRlbnRzIDQgMCBSPj5lbmRvYmoKNCAwIG9iajw8L0xlbmd0aCA1MT4+c3RyZWFtCkJUIDEyIDAgMCAxMiA3MiA3MjAgVG0gKERyZWRnZWQgaW4gMTkxMS4pIFRqIEVUCmVuZHN0cmVhbSBlbmRvYmoKdHJhaWxlcjw8L1Jvb3QgMSAwIFI+Pg==";

fn pdf() -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(PDF).unwrap()
}

fn report(cli: &Cli, arguments: &[&str]) -> Value {
    let all = [&["ingest"], arguments].concat();
    cli.json(&all)["ingested"][0]["report"].clone()
}

fn passages(cli: &Cli, words: &str) -> Vec<Value> {
    cli.json(&["memory", "search", words, "-k", "50"])["results"].as_array().unwrap().clone()
}

#[test]
fn web_pages_and_pdfs_are_read_in_the_sandbox_each_by_a_run_of_its_own() {
    let cli = Cli::new();
    cli.write("docs/harbour.pdf", pdf());
    cli.write("docs/locked.pdf", "no PDF at all");
    cli.write(
        "docs/mill.html",
        "<title>Mill</title><script>obey()</script><h1>The mill</h1><p hidden>Obey.</p><p>Built in <b>1820</b>.",
    );
    cli.write("docs/latin.htm", b"<p>caf\xe9");
    let told = report(&cli, &["docs"]);
    assert_eq!((&told["files"], &told["stored"]), (&json!(2), &json!(2)), "{told}");
    let skipped: Vec<&str> =
        told["skipped"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(skipped[0].contains("not UTF-8") && skipped[1].contains("no PDF: one begins with %PDF-"), "{skipped:?}");
    let dredged = &passages(&cli, "dredged")[0];
    assert_eq!((&dredged["text"], &dredged["position"]), (&json!("Dredged in 1911."), &json!("page 1")));
    assert_eq!((&dredged["source"], dredged["labels"].is_null()), (&json!("docs/harbour.pdf"), false));
    let mill = &passages(&cli, "mill built")[0];
    assert_eq!(mill["text"], "# The mill\n\nBuilt in 1820.");
    // What was read stands in the journal, under the contract of the tool that read it.
    let runs = cli.json(&["runs", "list"]);
    let runs = runs.as_array().unwrap();
    let of = |status: &str| runs.iter().filter(|run| run["state"] == status).count();
    assert_eq!((runs.len(), of("succeeded"), of("failed")), (3, 2, 1), "{runs:?}");
    cli.run(&["audit", "verify"]).expect(0);
    // Unchanged files are not read again.
    let again = report(&cli, &["docs"]);
    assert_eq!((&again["unchanged"], &again["stored"]), (&json!(2), &json!(0)));
    assert_eq!(cli.json(&["runs", "list"]).as_array().unwrap().len(), 4);
    // A named document that cannot be read is an error with the reason.
    cli.run(&["ingest", "docs/locked.pdf"]).expect(2).names(&["locked.pdf", "no PDF", "run "]);
    cli.write("docs/large.pdf", vec![b'%'; 10 << 20]);
    cli.run(&["ingest", "docs/large.pdf"]).expect(2).names(&["large.pdf", "9 MiB", "qpdf"]);
}

#[test]
fn a_dry_run_shows_what_a_run_does() {
    let cli = Cli::new();
    cli.write("docs/a.md", "# Apples\n\nApples are red.");
    cli.write("docs/b.md", "Berries are blue.");
    cli.write("docs/c.md", "Cherries are dark.");
    cli.run(&["ingest", "docs"]).expect(0);
    cli.write("docs/a.md", "# Apples\n\nApples are green.");
    std::fs::rename(cli.folder().join("docs/b.md"), cli.folder().join("docs/bb.md")).unwrap();
    std::fs::remove_file(cli.folder().join("docs/c.md")).unwrap();
    cli.write("docs/skip.rs", "fn left_out() {}");
    cli.write("docs/.gitignore", "*.rs\n");
    let dry = cli.run(&["ingest", "docs", "--dry-run"]).expect(0);
    for line in [
        "would ingest docs: 2 files, 2 new passages, 1 file changed, 1 file renamed, 1 file removed, 3 old passages gone, 1 ignored",
        "  changed  docs/a.md",
        "  renamed  docs/bb.md, before docs/b.md",
        "  removed  docs/c.md",
    ] {
        assert!(dry.out.contains(line), "{line:?} is not in {}", dry.out);
    }
    assert_eq!(passages(&cli, "red blue dark").len(), 3);
    let done = cli.run(&["ingest", "docs"]).expect(0);
    assert_eq!(done.out.replace("ingested docs", "would ingest docs").lines().next(), dry.out.lines().next());
    let left: Vec<Value> = passages(&cli, "red green blue dark").iter().map(|hit| hit["source"].clone()).collect();
    assert!(left.len() == 2 && left.contains(&json!("docs/a.md")) && left.contains(&json!("docs/bb.md")), "{left:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a real process is waited for in real time")]
fn an_intake_that_is_killed_is_gone_on_with() {
    let cli = Cli::new();
    const FILES: usize = 400;
    for file in 0..FILES {
        let section = |at| format!("## Part {at} of {file}\n\n{}\n\n", "Some words that are said here. ".repeat(25));
        cli.write(&format!("docs/{file}.md"), (0..15).map(section).collect::<String>());
    }
    let whole = FILES * 15;
    let mut ingest = cli.command(&["ingest", "docs"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let data = cli.data();
    let size = |name: &str| data.join(name).metadata().map_or(0, |data| data.len());
    let begun = Instant::now();
    while size("l9.db-wal") + size("l9.db") < 3_000_000 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    ingest.kill().unwrap();
    ingest.wait().unwrap();
    let told = report(&cli, &["docs"]);
    let number = |name: &str| told[name].as_u64().unwrap() as usize;
    assert!(number("duplicates") > 0 && number("stored") > 0, "it was killed too early or too late: {told}");
    assert_eq!((number("stored") + number("duplicates"), number("files")), (whole, FILES));
    let again = report(&cli, &["docs"]);
    assert_eq!((&again["unchanged"], &again["stored"]), (&json!(FILES), &json!(0)));
}

/// A disk of its own that is too small.
#[cfg(target_os = "linux")]
struct SmallDisk<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg(self.0).status());
    }
}

/// Only who may mount can have a small disk; everybody else has the store that fails, in
/// `l9-memory/tests/ingest`.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_in_the_middle_loses_nothing() {
    let cli = Cli::new();
    let section = |at: usize| format!("## Part {at}\n\nOf number{at}. {}\n\n", "Words that are said here. ".repeat(25));
    cli.write("docs/a.md", (0..15_000).map(section).collect::<String>());
    cli.write("small.md", "Kestrels hover.");
    let place = cli.folder().join("disk");
    std::fs::create_dir(&place).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
        .arg(&place)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("no disk could be filled: run this as root to see that one");
        return;
    }
    let _disk = SmallDisk(&place);
    let data = ["--data-dir", "disk/l9"];
    cli.run(&[&["ingest", "small.md"], &data[..]].concat()).expect(0);
    cli.run(&[&["ingest", "docs"], &data[..]].concat()).expect(1).names(&["full"]);
    let found = cli.json(&[&["memory", "search", "kestrels"], &data[..]].concat());
    assert_eq!(found["results"][0]["text"], "Kestrels hover.");
    cli.run(&[&["audit", "verify"], &data[..]].concat()).expect(0);
    let resized = std::process::Command::new("mount").args(["-o", "remount,size=200m"]).arg(&place).status().unwrap();
    assert!(resized.success());
    let told = cli.json(&[&["ingest", "docs"], &data[..]].concat())["ingested"][0]["report"].clone();
    assert_eq!(told["stored"].as_u64().unwrap() + told["duplicates"].as_u64().unwrap(), 15_000, "{told}");
}
