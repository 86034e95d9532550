//! Bad usage: every mistake is named with its mend and ends with two.

use std::net::TcpListener;

use crate::support::Cli;

#[test]
fn help_teaches() {
    let cli = Cli::cold();
    let help = cli.run(&["--help"]).expect(0).out;
    for expected in
        ["Examples:", "Exit codes:", "researcher", "doctor", "audit", "memory", "config", "--data-dir", "--seed"]
    {
        assert!(help.contains(expected), "{expected} is not in {help}");
    }
    assert!(cli.run(&["--version"]).expect(0).out.contains(env!("CARGO_PKG_VERSION")));
    for unfinished in ["mcp", "migrate"] {
        assert!(!help.contains(unfinished), "{unfinished} is promised");
    }
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    let cli = Cli::new();
    cli.run(&["run", "nobody", "hi"]).expect(2).names(&["nobody", "researcher"]);
    cli.run(&["run", "No Body", "hi"]).expect(2).names(&["No Body"]);
    cli.run(&["tools", "call", "calc/evaluat", "{}"]).expect(2).names(&["calc/evaluat", "did you mean calc/evaluate"]);
    cli.run(&["tools", "call", "calculator", "{}"]).expect(2);
    let unknown = "01900000-0000-7000-8000-000000000000";
    cli.run(&["runs", "show", unknown]).expect(2).names(&[unknown]);
    cli.run(&["runs", "cancel", unknown, "--reason", "x"]).expect(2).names(&[unknown, "runs list"]);
    assert!(cli.run(&["runs", "show", "nonsense"]).expect(2).err.contains("nonsense"));
    assert!(cli.run(&["runs", "list", "--status", "done"]).expect(2).err.contains("succeeded"));
    assert!(cli.run(&["serve", "--prot", "1"]).expect(2).err.contains("--port"));
    assert!(cli.run(&["rnu"]).expect(2).err.contains("run"));
    cli.run(&["--port", "1", "runs", "list"]).expect(2).names(&["serve"]);
}

#[test]
fn a_budget_in_the_wrong_unit_is_refused_with_the_mend_and_nothing_is_written() {
    let cli = Cli::cold();
    for (budget, names) in [
        ("usd=5", ["unknown field `usd` with the value 5", "micro_usd in millionths of a US dollar"]),
        ("time_ms=5s", ["time_ms is 5s", "whole number of milliseconds"]),
        ("calls=-1", ["calls is -1", "whole number of calls"]),
        ("micro_usd=0.5", ["micro_usd is 0.5", "5 dollars are 5000000"]),
        ("fuel=9007199254740992", ["fuel is 9007199254740992", "at most 2^53 - 1"]),
        ("20", ["\"20\" is no amount", "calls=20"]),
    ] {
        cli.run(&["run", "researcher", "x", "--budget", budget]).expect(2).names(&names);
        cli.run(&["tools", "call", "calc/evaluate", "{}", "--budget", budget]).expect(2).names(&names);
    }
    cli.write("agents/bad.yaml", "id: bad\nbudget: { usd: 5 }\n");
    cli.write("config.yaml", "agents: { dir: agents }\n");
    cli.run(&["run", "bad", "x"]).expect(2).names(&["bad.yaml", "unknown field `usd`", "micro_usd"]);
    cli.write("config.yaml", "models: { openai: { prices: { m: { input: 2.5 } } } }\n");
    cli.run(&["config", "check"]).expect(2).names(&["models.openai.prices.m.input", "2.5"]);
    assert!(!cli.data().exists());
}

#[test]
fn a_missing_database_is_an_error_and_is_not_made() {
    let cli = Cli::cold();
    for command in [&["runs", "list"][..], &["audit", "verify"], &["memory", "search", "x"]] {
        cli.run(command).expect(2).names(&["there is no database", "l9.db", "--data-dir"]);
    }
    assert!(!cli.data().exists());
}

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let cli = Cli::new();
    cli.run(&["tools", "call", "calc/evaluate", "{oops"]).expect(2).names(&["not JSON", "column"]);
    cli.run(&["run", "researcher", "   "]).expect(2).names(&["empty"]);
    cli.run(&["memory", "search", " "]).expect(2).names(&["empty"]);
    cli.run(&["ingest", "nowhere.md"]).expect(2).names(&["nowhere.md"]);
    cli.write("picture.md", [0x89, b'P', b'N', b'G', 0, 0xff, 0xfe]);
    cli.run(&["ingest", "picture.md"]).expect(2).names(&["picture.md"]);
    cli.run(&["run", "researcher", "x", "--ingest", "picture.md"]).expect(2).names(&["picture.md"]);
}

#[test]
fn errors_are_objects_where_json_was_asked_for() {
    let cli = Cli::new();
    let error = cli.run(&["run", "nobody", "hi", "--json"]).expect(2).json();
    assert_eq!(error["error"]["kind"], "not_found");
    assert!(error["error"]["message"].as_str().unwrap().contains("nobody"));
}

#[test]
fn a_port_in_use_is_named_before_anything_is_opened() {
    let cli = Cli::cold();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    cli.run(&["serve", "--port", &port]).expect(1).names(&[&port, "in use", "--port"]);
    cli.run(&["--port", &port]).expect(1).names(&["in use"]);
    assert!(!cli.data().exists());
}

#[test]
fn what_would_be_served_without_authentication_is_refused() {
    let cli = Cli::cold();
    cli.run(&["serve", "--host", "0.0.0.0"]).expect(2).names(&["0.0.0.0", "authentication", "127.0.0.1"]);
    for deployment in ["staging", "production"] {
        let cli = Cli::cold().with("DEPLOYMENT_ENV", deployment);
        cli.run(&["serve"]).expect(2).names(&[deployment, "authentication", "JWT_SECRET", "DEPLOYMENT_ENV"]);
        cli.run(&["config", "check"]).expect(2).names(&[deployment]);
        let cli = Cli::cold().with("DEPLOYMENT_ENV", deployment).with("AUTH_ENABLED", "false");
        cli.run(&["serve"]).expect(2).names(&[deployment, "authentication", "AUTH_ENABLED"]);
    }
}
