//! Attacks on the files of the machine, by a tool that may do anything a manifest can grant.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use l9::run::Event;
use serde_json::{Value, json};

use super::guests::{Guest, events, files, told};

/// A machine: a folder that is mounted, and one beside it with what nobody was granted.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.inside("")).unwrap();
        fs::create_dir(machine.outside("")).unwrap();
        fs::write(machine.inside("note.txt"), "granted").unwrap();
        fs::write(machine.outside("secret.txt"), "treasure").unwrap();
        machine
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.folder.path().join("inside").join(path)
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join("outside").join(path)
    }

    /// A guest that is granted the folder.
    fn guest(&self, mode: &str) -> Guest {
        let effect = if mode == "read_only" { "read" } else { "opaque_write" };
        let grant = json!([{"mount": "work", "mode": mode}]);
        Guest::host_calls().with("fs", grant).with("effect", json!(effect)).mounting("work", &self.inside(""))
    }
}

/// Steps on the mount, each a call and a path.
fn steps(calls: &[(&str, &str)]) -> Value {
    let step = |(call, path): &(&str, &str)| json!({"call": format!("files.{call}"), "mount": "work", "path": path});
    json!({ "steps": calls.iter().map(step).collect::<Vec<_>>() })
}

/// Holds that every one of these paths gives an error, whatever is done with it, that nothing
/// of it shows what is outside, and that nothing is changed there.
async fn holds(machine: &Machine, paths: &[&str]) {
    let before = files(&machine.outside(""));
    for path in paths {
        let calls = ["stat", "list", "read", "write", "append", "make-folder", "remove"].map(|call| (call, *path));
        let output = machine.guest("read_write").gives(&steps(&calls)).await;
        for (told, (call, path)) in told(&output).iter().zip(calls) {
            let refused = ["denied", "invalid-path", "not-found", "not-fitting"].map(Value::from).contains(told);
            assert!(refused, "{call} {path:?}: {told}");
        }
        assert!(!output.to_string().contains("treasure"), "{path:?}: {output}");
    }
    assert_eq!(files(&machine.outside("")), before, "something outside was changed");
}

#[tokio::test]
async fn attack_36_paths_that_climb_start_at_the_root_or_hold_a_nul() {
    let machine = Machine::new();
    let absolute = machine.outside("secret.txt").display().to_string();
    let paths = ["../outside/secret.txt", "./../outside/secret.txt", "a/../../outside/secret.txt", &absolute];
    // Control: each of them leads there if nothing holds it, and what is granted is read.
    fs::create_dir(machine.inside("a")).unwrap();
    for path in paths {
        assert_eq!(fs::read_to_string(machine.inside(path)).unwrap(), "treasure", "{path}");
    }
    let output = machine.guest("read_only").gives(&steps(&[("read", "note.txt")])).await;
    assert_eq!(told(&output), ["granted"]);

    holds(&machine, &paths).await;
    holds(&machine, &["..", "../outside", "/", "/etc/passwd", "note.txt\0.png", "\0", "a//../../outside/secret.txt"])
        .await;
    let backwards = machine.guest("read_only").gives(&steps(&[("read", "..\\outside\\secret.txt")])).await;
    assert_eq!(told(&backwards), ["not-found"], "a backslash is a letter of a name");
}

#[tokio::test]
async fn attack_37_links_with_and_without_a_slash_behind_them() {
    let machine = Machine::new();
    symlink(machine.outside(""), machine.inside("folder")).unwrap();
    symlink(machine.outside("secret.txt"), machine.inside("file")).unwrap();
    symlink("../outside", machine.inside("relative")).unwrap();
    symlink("note.txt", machine.inside("beside")).unwrap();
    // Control: they are followed if nothing holds it.
    for path in ["folder/secret.txt", "file", "relative/secret.txt", "folder//secret.txt"] {
        assert_eq!(fs::read_to_string(machine.inside(path)).unwrap(), "treasure", "{path}");
    }
    let guest = machine.guest("read_write");
    for path in [
        "folder/secret.txt",
        "relative/secret.txt",
        "relative/new.txt",
        "folder/.",
        "folder/",
        "file/",
        "folder//secret.txt",
    ] {
        holds(&machine, &[path]).await;
    }
    // A link is seen, and neither read nor written through, though it leads to what is granted.
    let calls = [
        ("stat", "file"),
        ("read", "file"),
        ("append", "file"),
        ("write", "file"),
        ("list", "folder"),
        ("read", "beside"),
    ];
    let output = guest.gives(&steps(&calls)).await;
    assert_eq!(told(&output)[0]["kind"], "other");
    assert_eq!(told(&output)[1..], ["denied", "denied", "denied", "denied", "denied"], "{output}");
    assert_eq!(files(&machine.outside(""))["secret.txt"], "treasure");
}

#[tokio::test]
async fn attack_38_writing_where_only_reading_is_granted() {
    let machine = Machine::new();
    let (manual, work) = (machine.inside("manual"), machine.inside("work"));
    fs::create_dir(&manual).unwrap();
    fs::create_dir(&work).unwrap();
    fs::write(manual.join("rules.txt"), "do no harm").unwrap();
    fs::hard_link(manual.join("rules.txt"), work.join("mine.txt")).unwrap();
    let both = |manual_mode: &str| {
        let grants = json!([{"mount": "manual", "mode": manual_mode}, {"mount": "work", "mode": "read_write"}]);
        let guest = Guest::host_calls().with("fs", grants).with("effect", json!("opaque_write"));
        guest.mounting("manual", &manual).mounting("work", &work)
    };
    let attack = json!({"steps": [
        {"call": "files.write", "mount": "manual", "path": "rules.txt", "text": ""},
        {"call": "files.append", "mount": "manual", "path": "rules.txt", "text": ", or do"},
        {"call": "files.rename", "mount": "manual", "path": "rules.txt", "to": "old.txt"},
        {"call": "files.make-folder", "mount": "manual", "path": "more"},
        {"call": "files.remove", "mount": "manual", "path": "rules.txt"},
    ]});
    let output = both("read_only").gives(&attack).await;
    assert_eq!(told(&output), vec!["denied"; 5], "{output}");
    // Nor from the other mount: a name of the same file, or a path that leads over.
    let sideways = json!({"steps": [
        {"call": "files.append", "mount": "work", "path": "mine.txt", "text": ", or do"},
        {"call": "files.rename", "mount": "work", "path": "mine.txt", "to": "../manual/mine.txt"},
        {"call": "files.rename", "mount": "work", "path": "../manual/rules.txt", "to": "rules.txt"},
        {"call": "files.write", "mount": "work", "path": "mine.txt", "text": "mine alone"},
        {"call": "files.read", "mount": "manual", "path": "rules.txt"},
    ]});
    let output = both("read_only").gives(&sideways).await;
    assert_eq!(told(&output), ["denied", "invalid-path", "invalid-path", "done", "do no harm"], "{output}");
    assert_eq!(files(&work)["mine.txt"], "mine alone");
    assert_eq!(files(&manual), [("rules.txt".to_owned(), "do no harm".to_owned())].into());
    // A manifest that says that it only reads is not believed to write.
    let error = both("read_only").with("effect", json!("read")).fails(&attack).await;
    assert!(error.contains("a tool that writes files is more than read"), "{error}");

    // Control: with the grant all of it is done, and the system writes through the other name.
    fs::remove_file(work.join("mine.txt")).unwrap();
    fs::hard_link(manual.join("rules.txt"), work.join("mine.txt")).unwrap();
    fs::write(work.join("mine.txt"), "changed").unwrap();
    assert_eq!(files(&manual)["rules.txt"], "changed");
    fs::remove_file(work.join("mine.txt")).unwrap();
    let steps = json!({"steps": [
        {"call": "files.write", "mount": "manual", "path": "rules.txt", "text": "do"},
        {"call": "files.append", "mount": "manual", "path": "rules.txt", "text": " harm"},
        {"call": "files.rename", "mount": "manual", "path": "rules.txt", "to": "old.txt"},
    ]});
    assert_eq!(told(&both("read_write").gives(&steps).await), vec!["done"; 3]);
    assert_eq!(files(&manual), [("old.txt".to_owned(), "do harm".to_owned())].into());
}

/// A tool's own word that it failed is about its answer, and not about what it wrote before.
#[tokio::test]
async fn a_tool_that_wrote_and_then_failed_is_in_doubt() {
    let machine = Machine::new();
    let runtime = machine.guest("read_write").start().await.unwrap();
    let doubt = |events: Vec<Event>| {
        events.into_iter().find_map(|event| match event {
            Event::EffectUnknown(unknown) => Some(unknown.reason),
            _ => None,
        })
    };
    let append = json!({"call": "files.append", "mount": "work", "path": "note.txt", "text": "!"});
    let wrote = json!({"steps": [append, {"call": "nonsense"}]});
    let reason = doubt(events(&runtime, &wrote).await).unwrap();
    assert!(reason.starts_with("failed_midway: "), "{reason}");
    assert_eq!(files(&machine.inside(""))["note.txt"], "granted!");
    // Control: one that wrote nothing has done nothing.
    assert_eq!(doubt(events(&runtime, &json!({"steps": [{"call": "nonsense"}]})).await), None);
}

#[tokio::test]
async fn attack_39_what_the_process_itself_is_by_proc_self() {
    let machine = Machine::new();
    let root = machine.inside("").display().to_string();
    symlink("/proc/self", machine.inside("me")).unwrap();
    symlink("/proc/self/root", machine.inside("root")).unwrap();
    // Control: the links and the magic links behind them are followed if nothing holds it.
    assert!(fs::read(machine.inside("me/environ")).is_ok());
    assert_eq!(fs::read_to_string(machine.inside(&format!("me/root{root}/note.txt"))).unwrap(), "granted");
    holds(
        &machine,
        &["/proc/self/environ", "me/environ", "me/root/etc/passwd", "root/etc/passwd", "me/cwd", "me/fd/0"],
    )
    .await;
    // Even in a mount that is /proc itself, a link that the kernel makes leads nowhere.
    let guest = Guest::host_calls().with("fs", json!([{"mount": "work", "mode": "read_only"}]));
    let guest = guest.mounting("work", Path::new("/proc"));
    let pid = std::process::id();
    let output = guest
        .gives(&steps(&[("read", "self/environ"), ("list", &format!("{pid}/root")), ("list", &format!("{pid}/cwd"))]))
        .await;
    assert_eq!(told(&output), vec!["denied"; 3], "{output}");
}

#[tokio::test]
async fn attack_40_a_flood_of_files_and_bytes() {
    let flood = json!({"steps": [
        {"call": "files.write", "mount": "work", "path": "{n}.txt", "times": 50, "size": 10},
        {"call": "files.make-folder", "mount": "work", "path": "folder{n}", "times": 50},
        {"call": "files.append", "mount": "work", "path": "note.txt", "times": 50, "size": 100},
    ]});
    let done = |output: &Value| -> Vec<u64> {
        output["steps"].as_array().unwrap().iter().map(|step| step["done"].as_u64().unwrap()).collect()
    };
    // Nine files beside the one that is there; and what is granted in bytes, to the last.
    let machine = Machine::new();
    let bounded = |grant: Value| machine.guest("read_write").with("fs", json!([grant]));
    let grant = json!({"mount": "work", "mode": "read_write", "max_files": 10, "quota": 497});
    let output = bounded(grant.clone()).gives(&flood).await;
    assert_eq!((done(&output), told(&output)), (vec![9, 0, 4], vec!["no-space".into(); 3]), "{output}");
    let message = output["steps"][2]["message"].as_str().unwrap();
    assert!(message.contains("would hold 597 bytes of 497"), "{message}");
    let held: u64 =
        fs::read_dir(machine.inside("")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().size()).sum();
    assert_eq!((held, fs::read_dir(machine.inside("")).unwrap().count()), (497, 10));
    // What is there is counted, not what this tool has written.
    fs::remove_file(machine.inside("0.txt")).unwrap();
    fs::create_dir(machine.inside("other")).unwrap();
    fs::write(machine.inside("other/big.bin"), "x".repeat(400)).unwrap();
    let output = bounded(grant).gives(&flood).await;
    assert_eq!(told(&output), vec!["no-space"; 3], "{output}");

    // Control: without a bound all of it comes about.
    let machine = Machine::new();
    let output = machine.guest("read_write").gives(&flood).await;
    assert_eq!(done(&output), [50, 50, 50], "{output}");
    assert_eq!(fs::read_dir(machine.inside("")).unwrap().count(), 101);
}

/// Folders within folders, until no path reaches what is in them and nobody can count it.
#[tokio::test]
async fn no_folder_is_nested_where_what_it_holds_cannot_be_named() {
    let machine = Machine::new();
    let step = |call: &str, path: &str, to: &str| json!({"call": format!("files.{call}"), "mount": "work", "path": path, "to": to, "text": "x"});
    let chain = |name: &str, levels: usize| (1..=levels).map(|depth| vec![name; depth].join("/")).collect::<Vec<_>>();
    let (first, second) = (chain("a", 20), chain("b", 20));
    let mut attack: Vec<Value> = first.iter().chain(&second).map(|path| step("make-folder", path, "")).collect();
    attack.push(step("write", &format!("{}/deep.txt", first[19]), ""));
    attack.push(step("rename", "a", &format!("{}/a", second[19])));
    attack.push(step("rename", "a", &format!("{}/a", second[10])));
    attack.push(step("write", &format!("{}/{}/deep.txt", second[10], first[19]), ""));
    let grant = json!([{"mount": "work", "mode": "read_write", "max_files": 100}]);
    let guest = machine.guest("read_write").with("fs", grant);
    let output = guest.gives(&json!({"steps": attack})).await;
    let outcomes = told(&output);
    assert_eq!(outcomes[..41], vec!["done"; 41], "{output}");
    // 20 below 20, and a file; but 20 below 11 can be named, and is.
    assert_eq!(outcomes[41..], ["invalid-path", "done", "done"], "{output}");
}

/// A quota that holds for guests one after the other holds for those at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_get_no_more_than_the_quota() {
    let machine = Machine::new();
    let grant = json!([{"mount": "work", "mode": "read_write", "max_files": 621}]);
    // It takes a moment to count what is there, in which others would count the same.
    (0..600).for_each(|at| fs::write(machine.inside(&format!("there-{at}")), "x").unwrap());
    let runtime = machine.guest("read_write").with("fs", grant).start().await.unwrap();
    let writes = |name: usize| {
        let step =
            |at: usize| json!({"call": "files.write", "mount": "work", "path": format!("{name}-{at}"), "text": "x"});
        json!({"steps": (0..10).map(step).collect::<Vec<_>>()}).to_string()
    };
    let mut handles = Vec::new();
    for name in 0..12 {
        handles.push(runtime.call("guest/host", &writes(name)).await.unwrap());
    }
    let mut written = 0;
    for handle in handles {
        let output = handle.outcome().await.unwrap().answer;
        written += output["steps"].as_array().unwrap().iter().filter(|step| step["done"] == 1).count();
    }
    runtime.shutdown().await;
    // Twenty beside those that were there, of the hundred and twenty that were asked for.
    assert_eq!((written, fs::read_dir(machine.inside("")).unwrap().count()), (20, 621));
}
