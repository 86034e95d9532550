//! `stop` and `unstop` at the terminal.

use crate::support::{Cli, documents, facts};

#[test]
fn what_is_stopped_stays_stopped_until_somebody_says_why_it_goes_on() {
    let cli = Cli::new();
    let folder = documents(&cli, &facts(7, 4));
    cli.run(&["ingest", folder.to_str().unwrap()]).expect(0);
    cli.run(&["unstop", "--reason", "mended"]).expect(2).names(&["no stop of * stands"]);
    cli.run(&["stop", "--reason", ""]).expect(2).names(&["reason"]);
    let stopped = cli.json(&["stop", "--reason", "it mails everybody"]);
    assert_eq!(stopped["stop"]["scope"], "*");
    assert_eq!(stopped["held"], 0);
    cli.run(&["run", "researcher", "What is what?"]).expect(1).names(&["tenant default is stopped", "unstop"]);
    let again = cli.json(&["stop", "--reason", "another"]);
    assert_eq!(again["stop"]["reason"], "it mails everybody", "the first stands");
    let verified = cli.run(&["audit", "verify"]).expect(0);
    assert!(!verified.out.contains("began while"), "{verified:?}");
    let lifted = cli.json(&["unstop", "--reason", "mended"]);
    assert!(lifted["statement"].as_str().unwrap().contains("/lifted\n*\n"), "{lifted}");
    cli.run(&["run", "researcher", "What is what?"]).expect(0);
    cli.run(&["audit", "verify"]).expect(0);

    // What was stated cannot be changed unnoticed.
    let database = cli.data().join("l9.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let stated = b"/quiet\n*\n";
    let at = bytes.windows(stated.len()).position(|window| window == stated).expect("it is in the database");
    bytes[at + stated.len() - 2] = b'x';
    std::fs::write(&database, bytes).unwrap();
    let verified = cli.run(&["audit", "verify"]).expect(1);
    assert!(verified.out.contains("does not verify"), "{verified:?}");
}

#[test]
fn policies_that_cannot_be_used_stand_in_the_way_of_no_stop() {
    let cli = Cli::new();
    let folder = documents(&cli, &facts(7, 4));
    cli.run(&["ingest", folder.to_str().unwrap()]).expect(0);
    std::fs::create_dir(cli.data().join("policies")).unwrap();
    std::fs::create_dir(cli.data().join("tools")).unwrap();
    let policies = cli.data().join("policies/own.cedar");
    std::fs::write(&policies, "forbid (principal, action, resource").unwrap();
    std::fs::write(cli.data().join("tools/broken.yaml"), "id: [").unwrap();
    cli.run(&["runs", "list"]).expect(2);
    let stopped = cli.run(&["stop", "--reason", "it mails everybody"]).expect(0);
    assert!(stopped.err.contains("the policies are left out"), "{stopped:?}");
    std::fs::remove_file(cli.data().join("tools/broken.yaml")).unwrap();
    cli.run(&["unstop", "--reason", "mended"]).expect(2).names(&["own.cedar"]);

    // Nothing else is done against them.
    std::fs::write(&policies, "forbid (principal, action, resource);").unwrap();
    cli.run(&["stop", "--reason", "again"]).expect(0);
    cli.run(&["unstop", "--reason", "mended"]).expect(4).names(&["person:local", "unstop"]);
    cli.run(&["retention", "run", "--older-than", "1d"]).expect(4).names(&["retention"]);
    cli.run(&["retention", "run", "--older-than", "1d", "--dry-run"]).expect(0);
    std::fs::remove_file(&policies).unwrap();
    std::fs::remove_dir(cli.data().join("policies")).unwrap();
    cli.run(&["unstop", "--reason", "mended"]).expect(0);
}
