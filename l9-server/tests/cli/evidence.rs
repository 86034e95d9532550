//! `audit checkpoint|export|verify` and `l9-verify`, as an auditor and an operator use them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Cli, Ended};

/// The verifier, built beside the server if it is not there yet.
fn verifier() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_l9-server")).with_file_name("l9-verify");
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = program.parent().and_then(|profile| profile.parent()).unwrap();
        let built = Command::new(cargo)
            .args(["build", "--offline", "-p", "l9-core", "--bin", "l9-verify", "--target-dir"])
            .arg(target)
            .status();
        assert!(built.is_ok_and(|built| built.success()) && program.exists(), "l9-verify cannot be built");
    }
    program
}

impl Cli {
    pub(crate) fn verify(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(verifier()).args(arguments).current_dir(self.folder()).env_clear().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn vkey(&self) -> String {
        self.run(&["audit", "checkpoint", "--vkey"]).expect(0).out.trim().to_owned()
    }

    /// A checkpoint as somebody keeps it elsewhere.
    fn keep_head(&self, name: &str) {
        let note = self.run(&["audit", "checkpoint"]).expect(0).out;
        self.write(name, note);
    }

    pub(crate) fn export(&self, run: &Value, name: &str, further: &[&str]) -> Value {
        let run = run["run_id"].as_str().unwrap();
        self.json(&[&["audit", "export", run, "--output", name], further].concat())
    }
}

#[test]
fn a_receipt_names_the_checkpoint_and_the_evidence_verifies() {
    let cli = Cli::new();
    let first = cli.ask("What is 3 * 4?", &[]);
    let covered = &first["receipt"]["checkpoint"];
    assert_eq!(covered["size"], first["receipt"]["events"], "the first run is all there is: {covered}");
    cli.keep_head("head.note");
    let head = cli.json(&["audit", "checkpoint"]);
    assert_eq!(
        (&head["size"], &head["root"], &head["origin"]),
        (&covered["size"], &covered["root"], &covered["origin"])
    );
    let second = cli.ask("What is 5 * 4?", &[]);
    let exported = cli.export(&second, "run.evidence", &[]);
    assert_eq!(exported["records"], second["receipt"]["events"]);
    let vkey = cli.vkey();
    let verdict =
        cli.verify(&["run.evidence", "--vkey", &vkey, "--trusted-head", "head.note", "--json"]).expect(0).json();
    assert_eq!(
        (&verdict["ok"], &verdict["run"], &verdict["trusted"]),
        (&json!(true), &second["run_id"], &covered["size"])
    );
    let told = cli.verify(&["run.evidence", "--vkey", &vkey]).expect(0).out;
    assert!(told.contains("no trusted head was given"), "{told}");
    cli.write("vkey", format!("{vkey}\n"));
    cli.verify(&["--vkey=vkey", "run.evidence"]).expect(0);
    cli.export(&second, "again.evidence", &["--from-head", "head.note"]);
    cli.verify(&["again.evidence", "--vkey", &vkey, "--trusted-head", "head.note"]).expect(0);
    let verified = cli.json(&["audit", "verify"]);
    assert_eq!((&verified["ok"], &verified["tree"]["faults"]), (&json!(true), &json!([])));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for name in ["run.evidence", ".l9/audit.key"] {
            let mode = std::fs::metadata(cli.folder().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name} can be read by others");
        }
    }
}

#[test]
fn what_is_wrong_with_a_bundle_or_a_command_is_told() {
    let cli = Cli::new();
    let run = cli.ask("What is 3 * 4?", &[]);
    cli.export(&run, "run.evidence", &[]);
    let vkey = cli.vkey();
    let text = std::fs::read_to_string(cli.folder().join("run.evidence")).unwrap();
    cli.write("cut.evidence", &text[..text.len() / 2]);
    cli.write("changed.evidence", text.replacen("\"epoch\":1", "\"epoch\":2", 1));
    let rejected = cli.verify(&["cut.evidence", "--vkey", &vkey]).expect(1);
    assert!(rejected.out.contains("bundle") && rejected.out.contains("rejected"), "{rejected:?}");
    let verdict = cli.verify(&["changed.evidence", "--vkey", &vkey, "--json"]).expect(1).json();
    assert_eq!((&verdict["ok"], &verdict["faults"][0]["place"]), (&json!(false), &json!("record 1")));
    for wrong in [
        &[][..],
        &["run.evidence"],
        &["run.evidence", "--vkey"],
        &["run.evidence", "--vkey", "nonsense"],
        &["run.evidence", "--vkey", &vkey, "--other"],
        &["run.evidence", "another", "--vkey", &vkey],
        &["missing.evidence", "--vkey", &vkey],
        &["run.evidence", "--vkey", &vkey, "--trusted-head", "missing.note"],
    ] {
        let ended = cli.verify(wrong).expect(2);
        assert!(ended.err.contains("error: ") && ended.out.is_empty(), "{wrong:?}: {ended:?}");
    }
    cli.verify(&["--help"]).expect(0);
    cli.run(&["audit", "export", "01890000-0000-7000-8000-000000000000", "--output", "x"])
        .expect(2)
        .names(&["does not exist"]);
    cli.write("head.note", "no note");
    let id = run["run_id"].as_str().unwrap();
    cli.run(&["audit", "export", id, "--output", "x", "--from-head", "head.note"]).expect(2).names(&["head.note"]);
}

#[test]
fn seeded_runs_have_the_same_receipt() {
    let receipts: Vec<Value> = (0..2)
        .map(|_| {
            let cli = Cli::new();
            cli.ask("What is 3 * 4?", &["--seed", "11"])["receipt"].clone()
        })
        .collect();
    assert_eq!(receipts[0], receipts[1]);
    assert!(receipts[0]["checkpoint"]["root"].is_string());
}

#[test]
fn a_witness_gets_the_checkpoints() {
    let cli = Cli::new().with("L9__AUDIT__WITNESS", "witness.notes");
    let run = cli.ask("What is 3 * 4?", &[]);
    cli.export(&run, "run.evidence", &[]);
    let kept = std::fs::read_to_string(cli.folder().join("witness.notes")).unwrap();
    let parts: Vec<&str> = kept.trim_end().split("\n\n").collect();
    let [.., text, signature] = parts.as_slice() else { panic!("no note in {kept:?}") };
    cli.write("head.note", format!("{text}\n\n{signature}\n"));
    cli.verify(&["run.evidence", "--vkey", &cli.vkey(), "--trusted-head", "head.note"]).expect(0);
}

/// Changes when a run ended, and makes every hash, the chain and the tree anew: nothing in
/// the database is at odds with anything else afterwards.
const REWRITE: &str = r#"
import hashlib, sqlite3, sys, uuid

db = sqlite3.connect(sys.argv[1])
run = uuid.UUID(sys.argv[2])
rows = db.execute("SELECT position, tenant, seq, epoch, at, kind, version, commitment FROM records WHERE run = ? ORDER BY seq",
                  (run.bytes,)).fetchall()
prev = bytes(32)
for position, tenant, seq, epoch, at, kind, version, commitment in rows:
    at += 60_000 if seq >= 3 else 0
    header = (f'{{"at":{at},"epoch":{epoch},"format":"l9.record.1","kind":"{kind}",'
              f'"run":"{run}","seq":{seq},"tenant":"{tenant}","version":{version}}}')
    hash = hashlib.sha256(header.encode() + commitment + prev).digest()
    db.execute("UPDATE records SET at = ?, prev = ?, hash = ? WHERE position = ?", (at, prev, hash, position))
    prev = hash
db.execute("UPDATE runs SET head_hash = ?, updated_at = ? WHERE run = ?", (prev, at, run.bytes))
db.executescript("DELETE FROM audit_tiles; DELETE FROM audit_checkpoints; UPDATE audit_log SET size = 0")
db.commit()
"#;

#[test]
fn an_operator_who_rewrites_everything_is_caught_by_a_head_that_was_kept() {
    let cli = Cli::new();
    let run = cli.ask("What is 3 * 4?", &[]);
    cli.keep_head("head.note");
    cli.ask("What is 5 * 4?", &[]);
    let id = run["run_id"].as_str().unwrap();
    let rewritten = Command::new("python3").args(["-c", REWRITE]).arg(cli.data().join("l9.db")).arg(id).status();
    assert!(rewritten.unwrap().success());
    // The log goes on over the rewritten past.
    let vkey = cli.vkey();
    let last = cli.ask("What is 6 * 4?", &[]);
    assert_eq!(cli.json(&["audit", "verify"])["ok"], true, "nothing in the database is at odds with itself");
    for run in [&run, &last] {
        cli.export(run, "run.evidence", &[]);
        cli.verify(&["run.evidence", "--vkey", &vkey]).expect(0);
        let verdict = cli.verify(&["run.evidence", "--vkey", &vkey, "--trusted-head", "head.note", "--json"]).expect(1);
        let fault = verdict.json()["faults"][0].clone();
        assert_eq!(fault["place"], "trusted head", "{fault}");
    }
    // Nor does it help to cut the log back.
    let cut = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript('DELETE FROM records; DELETE FROM runs; \
               DELETE FROM audit_tiles; DELETE FROM audit_checkpoints; UPDATE audit_log SET size = 0')";
    assert!(Command::new("python3").args(["-c", cut]).arg(cli.data().join("l9.db")).status().unwrap().success());
    let short = cli.run(&["tools", "call", "calc/evaluate", r#"{"expression": "1"}"#, "--json"]).expect(0).json();
    cli.export(&short, "short.evidence", &[]);
    cli.verify(&["short.evidence", "--vkey", &vkey]).expect(0);
    let ended = cli.verify(&["short.evidence", "--vkey", &vkey, "--trusted-head", "head.note"]).expect(1);
    assert!(ended.out.contains("the log was cut, or the bundle is older"), "{ended:?}");
}
