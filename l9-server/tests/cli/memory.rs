//! `memory supersede|quarantine|restore` and what goes with them.

use serde_json::{Value, json};

use crate::support::Cli;

/// The texts that a search finds, in no order.
fn found(cli: &Cli, words: &str, further: &[&str]) -> Vec<String> {
    let answer = cli.json(&[&["memory", "search", words], further].concat());
    let mut texts: Vec<String> =
        answer["results"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

fn id(answer: &Value) -> &str {
    answer["id"].as_str().unwrap()
}

#[test]
fn memory_is_put_right_and_back() {
    let cli = Cli::new();
    cli.write("rumours.md", "The harbour bell is cracked.");
    cli.write("facts.md", "The harbour master is Ada.");
    cli.run(&["ingest", "rumours.md", "facts.md"]).expect(0);
    let both = found(&cli, "harbour", &[]);
    assert_eq!(both, ["The harbour bell is cracked.", "The harbour master is Ada."]);
    let snapshot = cli.json(&["memory", "snapshot", "yesterday"]);
    assert_eq!((&snapshot["name"], &snapshot["by"]), (&json!("yesterday"), &json!("person:local")));

    // Superseded: stale now, true then.
    let listed = cli.json(&["memory", "list", "--source", "facts.md"]);
    let old = id(&listed["results"][0]).to_owned();
    let new = cli.json(&[
        "memory",
        "supersede",
        &old,
        "The harbour master is Grace.",
        "--valid-from",
        "2020-01-01T00:00:00Z",
    ]);
    assert_eq!(found(&cli, "harbour master", &["-k", "1"]), ["The harbour master is Grace."]);
    assert!(!found(&cli, "harbour", &[]).contains(&both[1]));
    assert!(found(&cli, "harbour", &["--valid-at", "2019-12-31T00:00:00Z"]).contains(&both[1]));
    let shown = cli.json(&["memory", "get", &old]);
    assert_eq!((&shown["standing"], id(&new)), (&json!("superseded"), shown["superseded_by"].as_str().unwrap()));
    cli.run(&["memory", "supersede", &old, "again"]).expect(1).names(&[&old, id(&new)]);

    // Taken in again, the document does not undo it.
    cli.run(&["ingest", "facts.md"]).expect(0);
    assert!(!found(&cli, "harbour", &[]).contains(&both[1]));

    // Quarantined by its source, and released by its source.
    let hidden = cli.json(&["memory", "quarantine", "rumours.md", "--reason", "nobody heard it"]);
    assert_eq!(hidden["entries"].as_array().unwrap().len(), 1, "{hidden}");
    assert!(!found(&cli, "harbour", &[]).contains(&both[0]));
    assert_eq!(cli.json(&["memory", "quarantines"])["quarantines"][0]["reason"], "nobody heard it");
    let released = cli.json(&["memory", "unquarantine", "rumours.md"]);
    assert_eq!(released["released"][0]["entries"], hidden["entries"]);
    cli.run(&["memory", "unquarantine", "rumours.md"]).expect(2).names(&["rumours.md"]);

    // Yesterday's answers, and undone.
    let today = found(&cli, "harbour", &[]);
    let forgotten = cli.json(&["memory", "list", "--source", "rumours.md"]);
    cli.run(&["memory", "forget", id(&forgotten["results"][0])]).expect(0);
    cli.run(&["memory", "forget", id(&forgotten["results"][0])]).expect(1);
    assert_eq!(found(&cli, "harbour", &[]).len(), 1);
    let restored = cli.json(&["memory", "restore", "yesterday"]);
    assert_eq!(
        (&restored["forgotten"], &restored["returned"], &restored["reinstated"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(found(&cli, "harbour", &[]), both, "it answers as yesterday");
    cli.run(&["memory", "restore", id(&restored["before"])]).expect(0);
    assert_eq!(found(&cli, "harbour", &[]), ["The harbour master is Grace."]);
    cli.run(&["memory", "restore", "the day before"]).expect(2).names(&["the day before"]);
    assert!(today.len() == 2 && today.contains(&both[0]));

    // Snapshots expire, and what only they kept goes with them.
    let would = cli.json(&["retention", "run", "--snapshots", "0s", "--dry-run"]);
    assert_eq!(would["memory"], json!({"snapshots": 3, "entries": 1, "short_term": 0}), "{would}");
    assert_eq!(cli.json(&["retention", "run"])["memory"]["snapshots"], 0, "none is a month old");
    assert_eq!(cli.json(&["retention", "run", "--snapshots", "0s"])["memory"], would["memory"]);
    assert_eq!(cli.json(&["memory", "snapshots"])["snapshots"], json!([]));
    cli.run(&["memory", "list", "--after", "seven"]).expect(2);
}

#[test]
fn a_subject_is_erased_and_what_still_names_it_is_told() {
    let cli = Cli::new();
    let folder = cli.data().join("notes");
    std::fs::create_dir_all(&folder).unwrap();
    let lines =
        [json!({"text": "plums for her", "subject": "ada@example.org"}), json!({"text": "ada@example.org called"})];
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    std::fs::write(folder.join("notes.jsonl"), lines.join("\n")).unwrap();
    cli.run(&["ingest", folder.to_str().unwrap()]).expect(0);
    let erase = ["memory", "erase", "ada@example.org", "--reason", "she asked for it"];
    cli.run(&erase[..3]).expect(2).names(&["--reason"]);
    let would = cli.run(&[&erase[..], &["--dry-run"]].concat()).expect(0);
    assert!(would.out.contains("1 memories would be erased"), "{would:?}");
    let done = cli.run(&erase).expect(0);
    assert!(done.out.contains("1 memories are erased") && done.out.contains("still stands in"), "{done:?}");
    assert!(done.out.contains("/erasure"), "{done:?}");
    let rest = cli.json(&[&erase[..], &["--mentions"]].concat());
    let clean = json!({"runs": [], "memories": [], "quarantines": [], "snapshots": [], "unread": []});
    assert_eq!(rest["erased"]["residue"], clean);
    assert_eq!(cli.json(&["memory", "search", "plums called"])["results"], json!([]));
    cli.run(&["audit", "verify"]).expect(0);
}

#[test]
fn searching_by_meaning_can_be_turned_off() {
    for (semantic, expected) in [("true", true), ("false", false)] {
        let cli = Cli::new().with("L9__MEMORY__EMBEDDER", "hashing").with("L9_ENABLE_SEMANTIC_MEMORY", semantic);
        let doctor = cli.run(&["doctor", "--json"]).expect(0).json();
        assert_eq!(doctor.to_string().contains("embedder"), expected, "{semantic}: {doctor}");
    }
}
