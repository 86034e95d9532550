//! The layers of the configuration, their mistakes, agents from files, and the log.

use serde_json::Value;

use crate::support::Cli;

#[test]
fn every_value_is_shown_with_its_source_and_no_secret() {
    let cli = Cli::cold().with("L9__WORKERS__COUNT", "4").with("OPENAI_API_KEY", "sk-hunter2-hunter2");
    cli.write("config.yaml", "server:\n  port: 9100\nlog:\n  level: error\n");
    cli.write(".env", "LOG_LEVEL=debug\nL9__WORKERS__COUNT=9\n");
    let shown = cli.json(&["config", "show", "--data-dir", "elsewhere"]);
    let row = |path: &str| (shown[path]["value"].to_string(), shown[path]["source"].as_str().unwrap().to_owned());
    assert_eq!(row("server.port"), ("9100".into(), "config.yaml line 2".into()));
    assert_eq!(row("log.level"), ("\"debug\"".into(), "LOG_LEVEL in .env".into()));
    assert_eq!(row("workers.count"), ("4".into(), "environment variable L9__WORKERS__COUNT".into()));
    assert_eq!(row("storage.data_dir"), ("\"elsewhere\"".into(), "flag --data-dir".into()));
    assert_eq!(row("models.openai.api_key").0, "\"[redacted]\"");
    let text = cli.run(&["config", "show"]).expect(0);
    assert!(!format!("{text:?}").contains("hunter2"));
    cli.run(&["config", "check"]).expect(0);
}

#[test]
fn unknown_keys_and_wrong_values_are_named_with_their_place() {
    let cli = Cli::cold().with("L9__SERVER__PROT", "1");
    cli.write("config.yaml", "server:\n  hsot: x\nworkers:\n  count: many\n");
    let ended = cli.run(&["config", "check"]).expect(2);
    ended.names(&["config.yaml line 2", "server.hsot", "did you mean server.host?", "workers.count", "line 4"]);
    ended.names(&["L9__SERVER__PROT", "did you mean L9__SERVER__PORT?"]);
    // Every command refuses it, not only the check.
    cli.run(&["runs", "list"]).expect(2).names(&["server.hsot"]);
    let cli = Cli::cold();
    cli.run(&["config", "check", "--config", "missing.yaml"]).expect(2).names(&["missing.yaml"]);
    cli.write("bad.yaml", "server: [\n");
    cli.run(&["config", "check", "--config", "bad.yaml"]).expect(2).names(&["bad.yaml", "line"]);
    cli.run(&["runs", "list", "--log-level", "loud"]).expect(2).names(&["log.level", "loud", "debug"]);
    let cli = Cli::cold().with("L9__WORKERS__COUNT", "0");
    cli.run(&["config", "check"]).expect(2).names(&["workers.count is 0"]);
}

#[test]
fn a_witness_is_a_path_or_an_address_that_nobody_listens_to() {
    let with = |place: &str, token: &str| {
        Cli::cold().with("L9__AUDIT__WITNESS", place).with("L9__AUDIT__WITNESS_TOKEN", token)
    };
    for (place, token, words) in [
        ("http://witness.example/l9?key=hunter2", "", ["audit.witness", "witness.example", "loopback"]),
        ("https://me:hunter2@witness.example/", "", ["audit.witness", "user or password", "L9__AUDIT__WITNESS_TOKEN"]),
        ("ftp://witness.example/", "", ["audit.witness", "scheme ftp", "https://"]),
        ("witness.notes", "hunter2", ["audit.witness_token", "no address", "remove the token"]),
        ("https://witness.example/", "hunter2 hunter2", ["audit.witness_token", "blank", "set it again"]),
    ] {
        let ended = with(place, token).run(&["config", "check"]).expect(2);
        ended.names(&words);
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    }
    let cli = with("https://witness.example/l9?key=hunter2", "hunter2-token");
    cli.run(&["config", "check"]).expect(0);
    let shown = cli.json(&["config", "show"]);
    assert_eq!(shown["audit.witness"]["value"], "https://witness.example/l9");
    assert_eq!(shown["audit.witness_token"]["value"], "[redacted]");
    assert!(!format!("{:?}", cli.run(&["config", "show"]).expect(0)).contains("hunter2"));
}

#[test]
fn what_this_build_does_not_have_is_not_accepted_in_silence() {
    let refused = |name: &str, value: &str, words: &[&str]| {
        let cli = Cli::cold().with(name, value);
        cli.run(&["config", "check"]).expect(2).names(words);
        assert!(!format!("{:?}", cli.run(&["runs", "list"])).contains("hunter2"));
    };
    refused("DATABASE_URL", "mysql://me:hunter2@db/l9", &["mysql", "postgresql://"]);
    refused("LOG_LEVEL", "loud", &["log.level", "loud", "error, warn"]);
    refused("REDIS_URL", "http://:hunter2@redis", &["redis.url", "rediss://"]);
    refused("L9__WORKERS__CAPACITY__OPAQUE_WRITE", "0", &["workers.capacity.opaque_write", "1 to 1000000"]);
    refused("L9__WORKERS__CAPACITY__WRITE", "4", &["there is no workers.capacity.write"]);
    refused("L9_ENABLE_TOOL_AUDIT", "false", &["L9_ENABLE_TOOL_AUDIT"]);
    let cli = Cli::cold().with("SENTRY_DSN", "https://x").with("L9_DATADIR", "x");
    let warned = cli.run(&["config", "check"]).expect(0).err;
    assert!(warned.contains("SENTRY_DSN") && warned.contains("did you mean L9_DATA_DIR?"), "{warned}");
}

#[test]
fn agents_come_from_files_and_faults_name_file_and_field() {
    let cli = Cli::new();
    cli.write(".l9/agents/adder.yaml", "id: adder\ntools: [calc/evaluate]\n");
    let run = cli.json(&["run", "adder", "What is 2 + 2?"]);
    assert!(run["answer"].as_str().unwrap().contains('4'), "{run}");
    cli.write(".l9/agents/broken.yaml", "id: broken\ntolls: []\n");
    cli.run(&["run", "adder", "What is 2 + 2?"]).expect(2).names(&["broken.yaml", "tolls"]);
    // What is looked at does not need it.
    cli.run(&["audit", "verify"]).expect(0);
    cli.run(&["runs", "list"]).expect(0);
    let cli = Cli::new().with("L9__AGENTS__DIR", "people");
    cli.write("people/wants.yaml", "id: wants\ntools: [no/tool]\n");
    cli.run(&["run", "wants", "hello"]).expect(2).names(&["wants", "no/tool"]);
}

#[test]
fn log_lines_are_json_with_every_field_and_no_secret() {
    let cli = Cli::new()
        .with("LOG_FORMAT", "json")
        .with("LOG_LEVEL", "trace")
        .with("ANTHROPIC_API_KEY", "sk-ant-hunter2-hunter2")
        .with("SENTRY_DSN", "https://nowhere");
    let ended = cli.run(&["tools", "call", "calc/evaluate", r#"{"expression": "2"}"#]).expect(0);
    assert!(!ended.err.is_empty());
    for line in ended.err.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "module", "message", "agent_id", "task_id", "correlation_id", "duration_ms"]
        {
            assert!(line.get(field).is_some(), "{field} of {line}");
        }
    }
    assert!(!ended.err.contains("hunter2"));
    // Without being asked a command says nothing.
    assert_eq!(Cli::new().run(&["tools", "call", "calc/evaluate", r#"{"expression": "2"}"#]).expect(0).err, "");
}
