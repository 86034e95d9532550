//! Damaged, locked, newer or keyless data: told clearly, and verified as far as it goes.

use std::path::Path;

use crate::support::Cli;

/// Everywhere that `needle` stands in the file: a database leaves old copies in free space.
fn find(file: &Path, needle: &[u8]) -> Vec<usize> {
    let content = std::fs::read(file).unwrap();
    content.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).map(|(at, _)| at).collect()
}

fn overwrite(file: &Path, at: usize, bytes: &[u8]) {
    let mut content = std::fs::read(file).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(file, content).unwrap();
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_changed_record_is_named() {
    let cli = Cli::new();
    let run = cli.ask("What is 3 * 4?", &[]);
    let id = run["run_id"].as_str().unwrap();
    let event: serde_json::Value = serde_json::from_str(cli.events(id).lines().nth(4).unwrap()).unwrap();
    let database = cli.data().join("l9.db");
    let hash = unhex(event["hash"].as_str().unwrap());
    let places = find(&database, &hash);
    assert!(!places.is_empty(), "the hash does not stand in the file");
    places.into_iter().for_each(|at| overwrite(&database, at, &[hash[0] ^ 1]));
    let ended = cli.run(&["audit", "verify"]).expect(1);
    assert!(
        ended.out.contains(id) && ended.out.contains("record 4") && ended.out.contains("tenant default"),
        "{ended:?}"
    );
    let report = cli.run(&["audit", "verify", "--json"]).expect(1).json();
    assert_eq!((&report["ok"], &report["faults"][0]["seq"]), (&serde_json::json!(false), &serde_json::json!(4)));
    assert_eq!(report["faults"][0]["tenant"], "default");
    cli.run(&["runs", "show", id]).expect(1).names(&["does not verify", "audit verify"]);
}

#[test]
fn a_file_that_is_no_database_is_told_apart() {
    let cli = Cli::new();
    cli.write(".l9/l9.db", "this is a text, not a database, and it is long enough to be looked at ".repeat(40));
    for command in [&["runs", "list"][..], &["audit", "verify"], &["run", "researcher", "hi"]] {
        cli.run(command).expect(1).names(&["l9.db", "not a SQLite database"]);
    }
}

#[test]
fn a_damaged_page_does_not_hide_the_other_runs() {
    let cli = Cli::new();
    for figure in 1..=6 {
        cli.ask(&format!("What is {figure} * 4?"), &[]);
    }
    let database = cli.data().join("l9.db");
    let size = std::fs::metadata(&database).unwrap().len();
    // The last page but one: somewhere among the records.
    overwrite(&database, usize::try_from(size / 4096 - 2).unwrap() * 4096, &[0xff; 4096]);
    let ended = cli.run(&["audit", "verify"]).expect(1);
    assert!(ended.out.contains("run ") || ended.err.contains("damaged"), "{ended:?}");
}

#[test]
fn a_lost_or_foreign_root_key_is_named_with_its_mend() {
    let cli = Cli::new();
    cli.ask("What is 3 * 4?", &[]);
    let key = cli.data().join("root.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    cli.run(&["runs", "list"]).expect(1).names(&["root.key", "backup"]);
    assert!(!key.exists(), "a new key was made over sealed data");
    let doctor = cli.run(&["doctor"]).expect(1);
    assert!(doctor.out.contains("✗ root key") && doctor.out.contains("mend:"), "{doctor:?}");
    std::fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    private(&key);
    cli.run(&["runs", "list"]).expect(1).names(&["root key", "backup"]);
    std::fs::write(&key, "nonsense").unwrap();
    cli.run(&["runs", "list"]).expect(1).names(&["root.key", "64 hex digits"]);
    std::fs::write(&key, kept).unwrap();
    cli.run(&["runs", "list"]).expect(0);
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_path: &Path) {}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let cli = Cli::new();
    let key = cli.data().join("root.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    cli.run(&["run", "researcher", "hi"]).expect(1).names(&["root.key", "chmod 600"]);
    let doctor = cli.run(&["doctor", "--json"]).expect(1).json();
    let check = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "root key").unwrap();
    assert!(check["ok"] == false && check["mend"].as_str().unwrap().contains("chmod 600"), "{check}");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let cli = Cli::new();
    cli.ask("What is 3 * 4?", &[]);
    // `user_version` in the header, https://www.sqlite.org/fileformat.html#user_version_number
    overwrite(&cli.data().join("l9.db"), 60, &9_999_u32.to_be_bytes());
    cli.run(&["runs", "list"]).expect(1).names(&["l9.db", "form 9999", "upgrade"]);
}

#[test]
fn a_data_folder_that_cannot_be_is_named() {
    let cli = Cli::cold();
    cli.write("file", "");
    cli.run(&["run", "researcher", "hi", "--data-dir", "file/inside"]).expect(1).names(&["file/inside"]);
    let doctor = cli.run(&["doctor", "--data-dir", "file"]).expect(1);
    assert!(doctor.out.contains("✗ data folder") && doctor.out.contains("--data-dir"), "{doctor:?}");
}

#[cfg(unix)]
#[test]
fn a_locked_database_is_told_and_still_verified() {
    use rustix::fs::{FlockOperation, fcntl_lock};
    let cli = Cli::new();
    cli.ask("What is 3 * 4?", &[]);
    let file = std::fs::File::options().read(true).write(true).open(cli.data().join("l9.db")).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    cli.run(&["runs", "list"]).expect(1).names(&["l9.db", "locked by another process"]);
    // A copy is looked at instead: closing it here does not give the lock up, for it is another process that does.
    let report = cli.run(&["audit", "verify", "--json"]).expect(0).json();
    assert_eq!(report["ok"], true);
}
