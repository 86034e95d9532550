//! `file/read`, `file/list` and `file/write` in the sandbox, over mounts of the settings.

use std::fs;
use std::path::PathBuf;

use l9::run::Outcome;
use l9::wasm::Mount;
use l9::{Builder, Runtime, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{base64, by_an_agent, call, fault};

/// A machine whose operator lends `work` for writing and `manuals` for reading.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["work", "manuals"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("manuals/rules.txt"), "do no harm").unwrap();
        fs::write(folder.path().join("secret.txt"), "not lent").unwrap();
        Self { folder }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn lending(&self, files: Value) -> Builder {
        let mut settings = Settings::default();
        for name in ["work", "manuals"] {
            let mount = Mount { path: self.path(name), shared: true };
            settings.wasm.mounts.insert(name.to_owned(), mount);
        }
        settings.files = serde_json::from_value(files).unwrap();
        Runtime::builder().settings(settings).in_memory()
    }

    fn usual(&self) -> Builder {
        self.lending(json!({"work": {"mode": "read_write", "quota": 1_000}, "manuals": {"mode": "read_only"}}))
    }
}

fn tools(runtime: &Runtime) -> Vec<String> {
    let shelved = runtime.registry().shelved().into_iter().map(|one| one.tool.manifest.id.to_string());
    shelved.filter(|id| id.starts_with("file/")).collect()
}

#[tokio::test]
async fn the_tools_are_there_for_what_is_lent() {
    let machine = Machine::new();
    for (files, there) in [
        (json!({}), vec![]),
        (json!({"manuals": {"mode": "read_only"}}), vec!["file/list", "file/read"]),
        (json!({"work": {"mode": "read_write"}}), vec!["file/list", "file/read", "file/write"]),
    ] {
        let runtime = machine.lending(files).build().await.unwrap();
        assert_eq!(tools(&runtime), there);
    }
    let error = machine.lending(json!({"play": {"mode": "read_only"}})).build().await.unwrap_err();
    assert!(error.to_string().contains("asks for the mount play: there are manuals, work"), "{error}");
}

#[tokio::test]
async fn files_are_written_read_and_listed_within_what_is_lent() {
    let machine = Machine::new();
    let runtime = machine.usual().build().await.unwrap();
    let write = json!({"mount": "work", "path": "reports/may.txt", "content": "calm seas"});
    let written = call(&runtime, "file/write", &write).await.unwrap();
    assert_eq!(written, json!({"path": "reports/may.txt", "size": 9, "replaced": false}));
    assert_eq!(fs::read_to_string(machine.path("work/reports/may.txt")).unwrap(), "calm seas");
    // The same again is the same; something else needs to be said.
    assert_eq!(call(&runtime, "file/write", &write).await.unwrap(), written);
    let mut other = write;
    other["content"] = json!("storm");
    let (code, message) = fault(call(&runtime, "file/write", &other).await);
    assert!(code == "invalid_input" && message.contains("set replace"), "{code} {message}");
    other["replace"] = json!(true);
    assert_eq!(call(&runtime, "file/write", &other).await.unwrap()["replaced"], true);
    let read = call(&runtime, "file/read", &json!({"mount": "work", "path": "reports/may.txt"})).await.unwrap();
    assert_eq!((&read["content"], &read["size"]), (&json!("storm"), &json!(5)));
    let listed = call(&runtime, "file/list", &json!({"mount": "manuals"})).await.unwrap();
    assert_eq!(listed["entries"], json!([{"name": "rules.txt", "kind": "file", "size": 10}]));
}

#[tokio::test]
async fn nothing_that_is_not_lent_is_touched() {
    let machine = Machine::new();
    std::os::unix::fs::symlink(machine.path("secret.txt"), machine.path("work/link.txt")).unwrap();
    let runtime = machine.usual().build().await.unwrap();
    for (mount, path) in
        [("work", "../secret.txt"), ("work", "link.txt"), ("work", "/etc/passwd"), ("manuals", "x/../../secret.txt")]
    {
        let (code, message) = fault(call(&runtime, "file/read", &json!({"mount": mount, "path": path})).await);
        assert!(matches!(code.as_str(), "invalid_input" | "failed"), "{path}: {code} {message}");
    }
    // A mount that is not lent, or not for that, is none by the schema.
    for (tool, mount) in [("file/read", "play"), ("file/write", "manuals")] {
        let asked = json!({"mount": mount, "path": "rules.txt", "content": "x"});
        let (_, message) = fault(call(&runtime, tool, &asked).await);
        assert!(message.contains("/mount"), "{message}");
    }
    assert_eq!(fs::read_to_string(machine.path("manuals/rules.txt")).unwrap(), "do no harm");
    // What does not fit is an end that everybody knows, and nothing is left of it.
    let large = json!({"mount": "work", "path": "large.txt", "content": "x".repeat(2_000)});
    let (code, message) = fault(call(&runtime, "file/write", &large).await);
    assert!(code == "failed" && message.contains("remove a file first"), "{code} {message}");
    assert!(!machine.path("work/large.txt").exists());
}

#[tokio::test]
async fn a_document_of_a_mount_is_read_by_way_of_base64() {
    let machine = Machine::new();
    fs::write(machine.path("manuals/x.pdf"), [0x25, 0x50, 0xff, 0x00]).unwrap();
    let runtime = machine.usual().build().await.unwrap();
    let text = fault(call(&runtime, "file/read", &json!({"mount": "manuals", "path": "x.pdf"})).await).1;
    assert!(text.contains("ask with encoding base64"), "{text}");
    let asked = json!({"mount": "manuals", "path": "x.pdf", "encoding": "base64"});
    assert_eq!(call(&runtime, "file/read", &asked).await.unwrap()["content"], base64(&[0x25, 0x50, 0xff, 0x00]));
}

#[tokio::test]
async fn an_agent_reads_and_writes_files() {
    let machine = Machine::new();
    let read = json!({"mount": "manuals", "path": "rules.txt"});
    let outcome = by_an_agent(machine.usual(), "file/read", &read).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
    let write = json!({"mount": "work", "path": "ask.txt", "content": "ask"});
    let outcome = by_an_agent(machine.usual(), "file/write", &write).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
    assert_eq!(fs::read_to_string(machine.path("work/ask.txt")).unwrap(), "ask");
}

#[tokio::test]
async fn without_a_model_a_file_or_folder_of_a_mount_is_shown() {
    let machine = Machine::new();
    let runtime = machine.usual().build().await.unwrap();
    let ask = async |question: &str| runtime.run("researcher", question).await.unwrap().outcome().await.unwrap().text();
    assert_eq!(ask("List the files in manuals.").await, "rules.txt (10 bytes)");
    assert_eq!(ask("Which files are in work?").await, "work: holds nothing.");
    assert_eq!(ask("Show the file rules.txt of manuals").await, "“do no harm”\n  — manuals:rules.txt");
    assert!(ask("Show the file ../secret.txt of manuals").await.starts_with("file/read failed"));
}
