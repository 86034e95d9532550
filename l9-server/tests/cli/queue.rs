//! `queue depth|dead|redrive` at the terminal.

use l9::kernel::Advance as _;
use l9::queue::Task;
use l9::{Runtime, StartOptions};
use serde_json::json;

use crate::support::Cli;

/// Starts a run that nobody advances, and gives it up if there is a reason to.
fn started(cli: &Cli, why: Option<&str>) -> String {
    let begin = async {
        let runtime = Runtime::builder().data_dir(cli.data()).build().await.unwrap();
        let (principal, agent) = (runtime.principal(), "researcher".parse().unwrap());
        let engine = runtime.engine();
        let run = engine.start_agent(&principal, &agent, "What is what?", StartOptions::default()).await.unwrap().run;
        if let Some(why) = why {
            let task = Task { tenant: principal.tenant, run, priority: 0 };
            assert!(engine.give_up(&task, why).await.unwrap());
        }
        runtime.shutdown().await;
        run.to_string()
    };
    tokio::runtime::Runtime::new().unwrap().block_on(begin)
}

#[test]
fn what_was_given_up_is_listed_with_its_reason_and_tried_again() {
    let cli = Cli::new();
    cli.run(&["queue", "depth"]).expect(2).names(&["no database"]);
    let dead = started(&cli, Some("its chain \u{1b}[2J does not verify"));
    let waits = started(&cli, None);
    let depth = cli.json(&["queue", "depth"]);
    assert_eq!(depth["read_from"], "database");
    assert_eq!((&depth["ready"], &depth["dead"], &depth["claimed"]), (&json!(1), &json!(1), &json!(0)), "{depth}");
    let shown = cli.json(&["queue", "dead"]);
    assert_eq!(shown["dead"].as_array().unwrap().len(), 1);
    assert_eq!(shown["dead"][0]["run"], dead);
    assert_eq!(shown["dead"][0]["reason"], "its chain \u{1b}[2J does not verify");
    let told = cli.run(&["queue", "dead"]).expect(0);
    assert!(
        told.out.contains(&dead) && told.out.contains("does not verify") && !told.out.contains('\u{1b}'),
        "{told:?}"
    );
    assert_eq!(cli.json(&["--tenant", "another", "queue", "dead"])["dead"], json!([]));
    assert_eq!(cli.json(&["--tenant", "another", "queue", "depth"])["ready"], 0);

    cli.run(&["--tenant", "another", "queue", "redrive", &dead]).expect(2).names(&["not among the dead"]);
    cli.run(&["queue", "redrive", &waits]).expect(2).names(&[&waits, "queue dead"]);
    cli.run(&["queue", "redrive"]).expect(2);
    assert_eq!(cli.json(&["queue", "redrive", &dead])["redriven"], json!([dead]));
    assert_eq!(cli.json(&["queue", "depth"])["ready"], 2);
    cli.run(&["queue", "redrive", &dead]).expect(2).names(&["not among the dead"]);
    assert_eq!(cli.json(&["queue", "redrive", "--all"])["redriven"], json!([]));
}

#[test]
fn a_rate_that_is_none_is_named_with_what_may_stand_there() {
    let cli = Cli::new();
    cli.write("config.yaml", "workers: { rate_count: 100001, tenant_rate_count: 5, rate_ms: 99 }\n");
    let names = ["workers.rate_count is 100001: use 0 to 100000", "workers.rate_ms is 99: use 100 to 86400000"];
    cli.run(&["config", "check"]).expect(2).names(&names);
    cli.write("config.yaml", "workers: { rate_count: 100, tenant_rate_count: 5, rate_ms: 1000 }\n");
    cli.run(&["tools", "call", "calc/evaluate", r#"{"expression": "1"}"#]).expect(0);
}
