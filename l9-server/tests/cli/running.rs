//! `run`, `ingest` and `tools call`: answers with quotes, receipts, reproducible runs.

use serde_json::{Value, json};

use crate::support::{Cli, documents, facts};

#[test]
fn an_answer_quotes_the_documents_word_for_word() {
    let cli = Cli::new();
    let facts = facts(17, 12);
    documents(&cli, &facts);
    cli.run(&["ingest", "papers"]).expect(0);
    for fact in &facts[..4] {
        let run = cli.ask(&fact.question, &[]);
        assert_eq!(run["outcome"], "succeeded", "{run}");
        let answer = run["answer"].as_str().unwrap();
        assert!(answer.contains(&fact.figure), "{} is not answered by {answer}", fact.question);
        let citations = run["citations"].as_array().unwrap();
        assert!(!citations.is_empty());
        for citation in citations {
            let quote = citation["quote"].as_str().unwrap();
            let source = std::fs::read_to_string(cli.folder().join(citation["source"].as_str().unwrap())).unwrap();
            assert!(source.contains(quote), "{quote:?} does not stand in {citation}");
            assert!(answer.contains(quote), "{quote:?} is not in {answer}");
            assert!(citation["position"].is_string());
        }
        assert_eq!(run["receipt"]["verified"], true);
        assert_eq!(run["receipt"]["database"], ".l9/l9.db");
        assert!(run["receipt"]["events"].as_u64().unwrap() > 5);
        assert!(run["receipt"]["epoch"].as_u64().unwrap() > 0);
        assert!(run["usage"]["calls"].as_u64().unwrap() >= 3);
        let shown = cli.json(&["runs", "show", run["run_id"].as_str().unwrap()]);
        assert_eq!(shown["head_hash"], run["receipt"]["head_hash"]);
        assert_eq!((&shown["answer"], &shown["citations"]), (&run["answer"], &run["citations"]));
    }
}

#[test]
fn the_first_run_of_the_readme_reads_well_in_a_pipe() {
    let cli = Cli::new();
    let facts = facts(5, 3);
    documents(&cli, &facts);
    let ended = cli.run(&["run", "researcher", &facts[0].question, "--ingest", "papers"]).expect(0);
    for expected in [
        "ingested papers: 1 file",
        "memory/search",
        "text/extract",
        "contract ",
        " fuel",
        "Sources",
        "Receipt",
        "verified",
        "runs show",
        &facts[0].figure,
    ] {
        assert!(ended.out.contains(expected), "{expected:?} is not in {}", ended.out);
    }
    assert!(!ended.out.contains('\u{1b}'), "colours in a pipe: {:?}", ended.out);
    assert_eq!(ended.err, "");
}

#[test]
fn json_is_one_object_and_everything_else_is_beside_it() {
    let cli = Cli::new();
    let ended = cli.run(&["run", "researcher", "What is 17.5% of 2,340?", "--json"]).expect(0);
    assert!(ended.json()["answer"].as_str().unwrap().contains("409.5"));
    assert!(ended.err.contains("calc/evaluate"), "{ended:?}");
}

#[test]
fn arithmetic_goes_through_the_sandbox_under_its_contract() {
    let cli = Cli::new();
    let run = cli.ask("What is 17.5% of 2,340?", &[]);
    let contract = cli.json(&["tools", "inspect", "calc/evaluate"])["contract_hash"].clone();
    let events: Vec<Value> =
        cli.events(run["run_id"].as_str().unwrap()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let intent = events.iter().find(|event| event["data"]["action"]["tool"] == "calc/evaluate").unwrap();
    assert_eq!((&intent["kind"], &intent["data"]["contract"]), (&json!("effect.intent"), &contract));
    for (seq, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], seq);
        for field in ["run_id", "prev", "hash", "kind", "version", "at", "data"] {
            assert!(!event[field].is_null(), "{field} of {event}");
        }
        assert!(seq == 0 || event["prev"] == events[seq - 1]["hash"]);
    }
    assert_eq!(events.last().unwrap()["hash"], run["receipt"]["head_hash"]);
}

#[test]
fn a_seed_gives_the_same_journal_in_every_folder() {
    let journal = |seed: &str| {
        let cli = Cli::new();
        let facts = facts(23, 6);
        documents(&cli, &facts);
        let run = cli.ask(&facts[1].question, &["--ingest", "papers", "--seed", seed]);
        (cli.events(run["run_id"].as_str().unwrap()), cli)
    };
    let (first, cli) = journal("7");
    assert_eq!(first, journal("7").0);
    assert_ne!(first, journal("8").0);
    // The same again is the run that was recorded.
    let question = &facts(23, 6)[1].question;
    let again = cli.run(&["run", "researcher", question, "--seed", "7", "--json"]).expect(0);
    assert!(again.err.contains("recorded before"), "{again:?}");
    assert_eq!(cli.json(&["runs", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_denied_run_ends_with_four_and_tells_why() {
    let cli = Cli::new();
    cli.write(".l9/agents/poor.yaml", "id: poor\nmemory: { recall: 2 }\nbudget: { calls: 1 }\n");
    let ended = cli.run(&["run", "poor", "anything", "--json"]).expect(4);
    let run = ended.json();
    assert_eq!((&run["outcome"], &run["code"]), (&json!("failed"), &json!("denied.budget_exceeded")));
    assert_eq!(run["answer"], Value::Null);
    assert!(run["message"].as_str().unwrap().contains("budget"));
    let kinds = cli.events(run["run_id"].as_str().unwrap());
    assert!(kinds.contains("effect.denied"));
    // The stricter of the profile's and the command's holds.
    let budget = "time_ms=60000,calls=0,egress_bytes=0";
    let ended = cli.run(&["run", "poor", "anything", "--budget", budget, "--json"]).expect(4).json();
    let shown = cli.json(&["runs", "show", ended["run_id"].as_str().unwrap()]);
    assert_eq!(shown["budget"]["limit"], json!({"calls": 0, "egress_bytes": 0, "time_ms": 60000}));
    assert_eq!(shown["budget"]["spent"]["time_ms"], 0);
    let call = ["tools", "call", "calc/evaluate", r#"{"expression": "1"}"#, "--json", "--budget", "fuel=5"];
    assert_eq!(cli.run(&call).expect(4).json()["code"], "denied.budget_exceeded");
}

#[test]
fn tools_are_called_as_runs_of_their_own() {
    let cli = Cli::new();
    let run = cli.json(&["tools", "call", "calc/evaluate", r#"{"expression": "6 * 7"}"#]);
    assert_eq!(run["answer"]["result"], "42", "{run}");
    let shown = cli.json(&["runs", "show", run["run_id"].as_str().unwrap()]);
    assert_eq!(
        (&shown["kind"], &shown["tool"], &shown["agent"]),
        (&json!("tool"), &json!("calc/evaluate"), &Value::Null)
    );
    // Arguments that do not fit the schema are refused on the governed path, and journaled.
    let refused = cli.run(&["tools", "call", "calc/evaluate", r#"{"wrong": 1}"#, "--json"]).expect(2).json();
    assert_eq!(refused["code"], "denied.invalid_arguments");
}

/// What a command prints that is given something on its standard input.
fn given(cli: &Cli, arguments: &[&str], input: &[u8]) -> std::process::Output {
    let mut command = cli.command(arguments);
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    // One that has read enough reads no more.
    drop(std::io::Write::write_all(&mut child.stdin.take().unwrap(), input));
    child.wait_with_output().unwrap()
}

#[test]
fn the_input_may_come_from_a_pipe() {
    let output = given(&Cli::new(), &["run", "researcher", "-", "--json"], b"What is 2 + 3?");
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(run["answer"].as_str().unwrap().contains('5'), "{run}");
}

#[test]
fn what_comes_from_a_pipe_is_taken_whole_or_refused() {
    let cli = Cli::new();
    let call = ["tools", "call", "data/query", "-", "--json"];
    let table = |rows: usize| {
        let text = format!("a\n{}", format!("{}\n", "x".repeat(999)).repeat(rows));
        serde_json::json!({"text": text, "format": "csv", "aggregate": [{"of": "count"}]}).to_string()
    };
    let output = given(&cli, &call, table(2_600).as_bytes());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told.to_string().contains("[[2600]]"), "{told}");
    let output = given(&cli, &call, table(17_000).as_bytes());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than 16777216 bytes"));
}
