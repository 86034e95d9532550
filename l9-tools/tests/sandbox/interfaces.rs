//! What a wasm tool may ask of the host, as far as its manifest grants it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use l9_core::digest::sha256;
use l9_core::principal::Principal;
use l9_core::redact::KnownSecrets;
use l9_core::time::SystemClock;
use l9_tools::egress::Gateway;
use l9_tools::registry::{Registry, from_json};
use l9_tools::secrets::Secrets;
use l9_tools::wasm::{Mount, Sandbox, Settings, Surroundings, WORLD};
use serde_json::{Value, json};

use crate::engine::Governed;

const HOST_CALLS: &[u8] = include_bytes!("../../guests/dist/hostcalls.wasm");

fn manifest() -> Value {
    json!({
        "schema_version": 1, "id": "guest/host", "version": "1.0.0", "title": "Guest", "effect": "opaque_write",
        "description": "Calls the host.", "input_schema": {"type": "object"},
        "runtime": {"kind": "wasm", "module": {
            "sha256": sha256(&[HOST_CALLS]).to_string(), "size": HOST_CALLS.len(), "world": WORLD
        }},
        "kv": {"max_bytes": 100, "max_keys": 3},
        "fs": [{"mount": "work", "mode": "read_write"}],
        "net": [{"scheme": "https", "host": "nowhere.invalid", "methods": ["GET"]}],
    })
}

/// The manifest of one that changes nothing, so that a fault is all there is to know.
fn reading() -> Value {
    let mut manifest = manifest();
    manifest["effect"] = json!("read");
    manifest["fs"][0]["mode"] = json!("read_only");
    manifest
}

/// What requests are sent through; nobody sends any here.
fn surroundings() -> Surroundings {
    let (secrets, redactor) = (Secrets::default(), Arc::new(KnownSecrets::default()));
    Surroundings { gateway: Gateway::default(), secrets, redactor, clock: Arc::new(SystemClock::default()) }
}

async fn load(manifest: &Value, path: &Path, shared: bool) -> l9_core::Result<Governed> {
    let mounts = [("work".to_owned(), Mount { path: path.into(), shared })].into();
    let settings = Settings { mounts, ..Settings::default() };
    let sandbox = Sandbox::builder(settings).with_surroundings(surroundings()).build()?;
    let manifest = from_json(manifest.to_string().as_bytes())?;
    let guest = sandbox.load(&manifest, HOST_CALLS).await?;
    let registry = Arc::new(Registry::default());
    registry.register(manifest, guest)?;
    Ok(Governed::new(registry))
}

/// Each step's error, or what it gave.
fn told(answer: &Value) -> Vec<Value> {
    let step = |step: &Value| step.get("error").or(step.get("gave")).cloned().unwrap_or(json!("done"));
    answer["steps"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(step).collect()
}

#[tokio::test]
async fn an_interface_that_the_manifest_does_not_grant_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let interfaces = [("kv", "l9:tool/kv@0.1.0"), ("fs", "l9:tool/files@0.1.0"), ("net", "l9:tool/http@0.1.0")];
    for (field, interface) in interfaces {
        let mut without = manifest();
        without.as_object_mut().unwrap().remove(field);
        let error = load(&without, folder.path(), true).await.unwrap_err().to_string();
        let wanted = format!("imports {interface}, which its manifest does not grant: add {field} to the manifest");
        assert!(error.contains(&wanted), "{error}");
    }
    let alone = Sandbox::new(Settings::default()).unwrap();
    let mut sender = manifest();
    sender["fs"] = json!([]);
    let sender = from_json(sender.to_string().as_bytes()).unwrap();
    let error = alone.load(&sender, HOST_CALLS).await.unwrap_err().to_string();
    assert!(error.contains("guest/host asks for net: this sandbox sends no requests"), "{error}");
    let mut elsewhere = manifest();
    elsewhere["fs"][0]["mount"] = json!("attic");
    let error = load(&elsewhere, folder.path(), true).await.unwrap_err().to_string();
    assert!(error.contains("asks for the mount attic: there are work, add it to tools.mounts"), "{error}");
    let error = load(&manifest(), Path::new("/nowhere"), true).await.unwrap_err().to_string();
    assert!(error.contains("tools.mounts.work is /nowhere: it cannot be opened as a folder"), "{error}");
    // With its grants the same component is loaded.
    assert!(load(&manifest(), folder.path(), true).await.is_ok());
}

#[tokio::test]
async fn files_are_written_whole_listed_in_order_and_keep_their_mode() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run.sh"), "old").unwrap();
    fs::set_permissions(folder.path().join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    let governed = load(&manifest(), folder.path(), true).await.unwrap();
    let steps = json!({"steps": [
        {"call": "files.make-folder", "mount": "work", "path": "b"},
        {"call": "files.append", "mount": "work", "path": "b/log.txt", "text": "one "},
        {"call": "files.append", "mount": "work", "path": "b/log.txt", "text": "two"},
        {"call": "files.read", "mount": "work", "path": "b/log.txt", "offset": 4, "len": 2},
        {"call": "files.read", "mount": "work", "path": "b/log.txt", "offset": 99},
        {"call": "files.write", "mount": "work", "path": "run.sh", "text": "new"},
        {"call": "files.list", "mount": "work", "path": ""},
        {"call": "files.rename", "mount": "work", "path": "run.sh", "to": "b/log.txt"},
        {"call": "files.rename", "mount": "work", "path": "run.sh", "to": "b/run.sh"},
        {"call": "files.remove", "mount": "work", "path": "b"},
        {"call": "files.read", "mount": "work", "path": "b"},
        {"call": "files.list", "mount": "work", "path": "b/log.txt"},
        {"call": "files.remove", "mount": "work", "path": "b/log.txt"},
        {"call": "files.stat", "mount": "work", "path": "b/log.txt"},
        {"call": "files.stat", "mount": "other", "path": "x"},
    ]});
    let answer = governed.call("guest/host", &steps).await.ended.answer;
    let listed = json!([{"name": "b", "kind": "folder", "size": 0}, {"name": "run.sh", "kind": "file", "size": 3}]);
    let expected = json!([
        "done",
        "done",
        "done",
        "tw",
        "",
        "done",
        listed,
        "exists",
        "done",
        "not-fitting",
        "not-fitting",
        "not-fitting",
        "done",
        "not-found",
        "denied"
    ]);
    assert_eq!(json!(told(&answer)), expected, "{answer}");
    let written = folder.path().join("b/run.sh");
    assert_eq!(fs::read_to_string(&written).unwrap(), "new");
    assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o750);
    // Nothing that was written beside it is left.
    assert_eq!(
        (fs::read_dir(folder.path()).unwrap().count(), fs::read_dir(folder.path().join("b")).unwrap().count()),
        (1, 1)
    );
}

#[tokio::test]
async fn each_tenant_has_a_folder_of_its_own_unless_it_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = |name: &str| Principal { tenant: name.parse().unwrap(), ..Principal::local() };
    let write = json!({"steps": [{"call": "files.write", "mount": "work", "path": "note.txt", "text": "acme's"}]});
    let look = json!({"steps": [
        {"call": "files.read", "mount": "work", "path": "note.txt"},
        {"call": "files.read", "mount": "work", "path": "../acme/note.txt"},
        {"call": "files.list", "mount": "work", "path": ""},
    ]});
    for (shared, seen) in [(false, json!(["not-found", "invalid-path", []])), (true, json!("acme's"))] {
        let governed = load(&manifest(), folder.path(), shared).await.unwrap();
        governed.call_by(&tenant("acme"), "guest/host", &write).await;
        let answer = governed.call_by(&tenant("evil"), "guest/host", &look).await.ended.answer;
        if shared {
            assert_eq!(told(&answer)[0], seen, "{answer}");
        } else {
            assert_eq!(json!(told(&answer)), seen, "{answer}");
        }
    }
    assert_eq!(fs::read_to_string(folder.path().join("acme/note.txt")).unwrap(), "acme's");
}

#[tokio::test]
async fn what_a_tool_shows_reaches_those_who_follow_and_not_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let governed = load(&manifest(), folder.path(), true).await.unwrap();
    let words = governed.words();
    let steps = json!({"steps": [{"call": "progress.show", "text": "a third"}, {"call": "progress.show", "text": "x".repeat(5_000)}]});
    let called = governed.call("guest/host", &steps).await;
    let mut shown = String::new();
    while let Some((run, piece)) = words.try_recv() {
        assert_eq!(run, called.run);
        shown.push_str(&piece);
    }
    assert_eq!(shown, format!("a third\n{}\n", "x".repeat(2_000)));
    assert_eq!(governed.receipt(called.run).await.2, Vec::<String>::new());
}

#[tokio::test]
async fn an_output_in_parts_is_seen_as_it_comes_and_is_one_value_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let governed = load(&manifest(), folder.path(), true).await.unwrap();
    let words = governed.words();
    let part = |text: &str| json!({"call": "output.write", "text": text});
    let steps = json!({"steps": [part("{\"rows\": [1,"), part(" 2,\n"), part("3]")], "last": "}"});
    let called = governed.call("guest/host", &steps).await;
    assert_eq!(called.ended.answer, json!({"rows": [1, 2, 3]}), "{:?}", called.ended);
    let shown = (called.run, "{\"rows\": [1, 2,\\n3]".to_owned());
    assert_eq!((words.try_recv(), words.try_recv()), (Some(shown), None));
}

#[tokio::test]
async fn parts_that_are_no_value_or_too_many_are_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = reading();
    manifest["limits"] = json!({"output_bytes": 1_000, "host_calls": 1_000_000, "host_call_bytes": 1_073_741_824});
    let governed = load(&manifest, folder.path(), true).await.unwrap();
    let written = |text: &str, times: u32, last: &str| json!({"steps": [{"call": "output.write", "text": text, "times": times}], "last": last});
    for (input, code, says) in [
        (written("[1,", 1, ""), "invalid_output", "cannot be read"),
        (written("[1]", 1, "[2]"), "invalid_output", "cannot be read"),
        (written(&" ".repeat(100), 11, "1"), "limit.output", "wrote more than 1000 bytes of output"),
        (written(&" ".repeat(100), 10, "1"), "limit.output", "1,001 bytes, over the limit of 1,000"),
    ] {
        let ended = governed.call("guest/host", &input).await.ended;
        let message = ended.text();
        assert!(ended.code.as_deref() == Some(code) && message.contains(says), "{ended:?}");
    }
    let ended = governed.call("guest/host", &written(&" ".repeat(100), 9, "1")).await.ended;
    assert_eq!(ended.answer, json!(1), "{ended:?}");
}

#[tokio::test]
async fn a_tool_that_shows_how_far_it_is_is_alive() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = reading();
    manifest["limits"] = json!({"fuel": 1_000_000_000_000_u64, "wall_ms": 2_500, "heartbeat_ms": 1_000,
        "host_calls": 10_000_000, "host_call_bytes": 1_073_741_824});
    let governed = load(&manifest, folder.path(), true).await.unwrap();
    // The one is as busy as the other.
    for (call, code) in
        [("progress.show", "limit.time"), ("output.write", "limit.time"), ("kv.delete", "limit.heartbeat")]
    {
        let steps = json!({"steps": [{"call": call, "times": 10_000_000}]});
        let ended = governed.call("guest/host", &steps).await.ended;
        assert_eq!(ended.code.as_deref(), Some(code), "{ended:?}");
    }
}
