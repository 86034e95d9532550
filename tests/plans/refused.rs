//! What cannot run is refused whole, with everything that is wrong with it, before any of it runs.

use l9::ErrorKind;
use l9::id::CommandId;
use l9::journal::Status;
use l9::plan::Plan;
use l9::run::{Command, CommandRequest};
use serde_json::{Value, json};

use super::office::{Office, plan};

#[tokio::test]
async fn every_fault_is_named_with_its_node_and_its_mend() {
    let office = Office::open().await;
    for (nodes, why) in [
        (json!([]), "it has no nodes"),
        (json!([{"id": "a b", "tool": "office/echo"}]), "an id has 1 to 100 letters"),
        (json!([{"id": "input", "tool": "office/echo"}]), "is not input, item or index"),
        (json!([{"id": "a"}]), "node a: it says nothing to do"),
        (json!([{"id": "a", "tool": "office/echo", "agent": "x"}]), "tool and agent at once"),
        (json!([{"id": "a", "wait": {}}]), "name a signal, or seconds"),
        (
            json!([{"id": "a", "tool": "office/echo", "arguments": {"value": 1}, "needs": ["b"]}]),
            "it needs \"b\", which is no node",
        ),
        (
            json!([
                {"id": "fetch", "tool": "office/echo", "arguments": {"value": 1}},
                {"id": "b", "tool": "office/echo", "arguments": {"value": "${fetsh.value}"}}
            ]),
            "${fetsh.value} refers to a node that is not there: did you mean \"fetch\"?",
        ),
        (
            json!([
                {"id": "a", "tool": "office/echo", "arguments": {"value": 1}, "needs": ["c"]},
                {"id": "b", "tool": "office/echo", "arguments": {"value": 1}, "needs": ["a"]},
                {"id": "c", "tool": "office/echo", "arguments": {"value": 1}, "needs": ["b"]}
            ]),
            "nodes need each other in a circle: a, b, c",
        ),
        (
            json!([{"id": "a", "tool": "office/echo", "arguments": {"value": "${a.value}"}}]),
            "refers to the node itself",
        ),
        (
            json!([{"id": "a", "tool": "office/echo", "arguments": {"value": "${item}"}}]),
            "outside of a node with `map`",
        ),
        (json!([{"id": "a", "tool": "office/echo", "needs": ["a"]}]), "node a: it needs itself"),
        (json!([{"id": "a", "branch": [{"then": ["a"]}]}]), "node a: branch: it chooses itself"),
        (json!([{"id": "a", "tool": "office/none"}]), "office/none"),
        (
            json!([{"id": "a", "tool": "office/write", "arguments": {"nme": "x"}}]),
            "arguments of office/write: /: Additional properties",
        ),
        (json!([{"id": "a", "tool": "office/write", "arguments": {}}]), "\"name\" is a required property"),
        (
            json!([{"id": "a", "tool": "office/write", "arguments": {"name": 7}}]),
            "arguments of office/write: /name: 7 is not of type",
        ),
        (
            json!([
                {"id": "a", "tool": "office/write", "arguments": {"name": "x"}},
                {"id": "b", "tool": "office/write", "arguments": {"name": "${a.nme}"}}
            ]),
            "office/write gives",
        ),
        (
            json!([
                {"id": "a", "tool": "office/flaky", "arguments": {"name": "x", "failures": 0}},
                {"id": "b", "tool": "office/write", "arguments": {"name": "${a.tries}"}}
            ]),
            "${a.tries} is integer, where office/write takes string",
        ),
        (json!([{"id": "a", "tool": "office/echo", "arguments": {"value": 1}, "when": "${a"}]), "when: "),
        (
            json!([{"id": "a", "tool": "office/echo", "arguments": {"value": 1}, "retry": {"attempts": 0}}]),
            "use 1 to 100 attempts",
        ),
        (json!([{"id": "a", "plan": {"plan": "b", "nodes": [{"id": "x"}]}}]), "plan b cannot run: node x"),
        (json!([{"id": "a", "agent": "nobody", "input": "x"}]), "there is no agent \"nobody\""),
    ] {
        let nodes = nodes.as_array().unwrap();
        let started = office.try_start(&plan("p", &json!({}), nodes), &json!(null)).await;
        let error = started.expect_err(why);
        assert!(error.message().contains(why), "{why}: {error}");
    }
    // The other is an integer once it was kept.
    for (number, shown) in [("9007199254740993", "9007199254740993"), ("1e16", "1e+16")] {
        let node = format!("{{id: a, tool: office/echo, arguments: {{value: {number}}}}}");
        for wrong in [
            json!(format!("plan: p\nnodes: [{node}]")),
            json!({"plan": "p", "nodes": [
                {"id": "a", "plan": format!("plan: q\nnodes: [{node}]")}
            ]}),
            json!({"plan": "p", "nodes": [
                {"id": "a", "plan": {"plan": "q", "nodes": [
                    {"id": "b", "tool": "office/echo", "arguments": {"value": number.parse::<Value>().unwrap()}}
                ]}}
            ]}),
        ] {
            let error = office.try_start(&wrong, &json!(null)).await.unwrap_err();
            assert!(error.message().contains(&format!("integer {shown} is beyond 2^53 - 1")), "{error}");
        }
    }
    let many = plan("p", &json!({"parallel": 0}), &(0..30).map(|n| json!({"id": format!("n{n}")})).collect::<Vec<_>>());
    let error = office.try_start(&many, &json!(null)).await.unwrap_err();
    assert!(error.message().contains("and 11 more"), "{error}");
}

#[test]
fn what_does_not_read_is_told_with_its_line() {
    let wrong = Plan::parse("plan: p\nnodes:\n  - id: a\n    toool: x/y\n").unwrap_err();
    assert!(wrong.message().contains("toool") && wrong.message().contains("line 4"), "{wrong}");
    assert!(Plan::parse("nodes: []").unwrap_err().message().contains("plan"));
}

#[tokio::test]
async fn a_million_nodes_are_refused_before_they_are_looked_at() {
    let office = Office::open().await;
    let nodes: Vec<_> = (0..1_000_000).map(|n| json!({"id": format!("n{n}"), "wait": {"seconds": 1}})).collect();
    let error = office.try_start(&plan("p", &json!({}), &nodes), &json!(null)).await.unwrap_err();
    assert!(error.message().contains("1000000 nodes: at most 200000"), "{error}");
}

#[tokio::test]
async fn an_id_of_a_command_stands_for_that_command_alone() {
    let office = Office::open().await;
    let run = office.start("plan: hears\nnodes: [{id: hear, wait: {signal: go}}]", &json!(null)).await;
    office.until(run, "hear", "waiting").await;
    let tenant = office.runtime.principal().tenant;
    let send = async |id: &str, command: Command| {
        let request = CommandRequest { id: CommandId::new(id).unwrap(), by: "person:test".into(), command };
        office.runtime.engine().command(&tenant, run, &request).await.map_err(|error| error.kind())
    };
    let put = |id: &str| json!({"put": [{"id": id, "tool": "office/write", "arguments": {"name": id}}]});
    let words = || "why".to_owned();
    let patch = |id: &str| Command::Patch { expected: 1, patch: put(id), reason: words() };
    assert_eq!(send("k", Command::Pause { reason: words() }).await, Ok(true));
    assert_eq!(send("k", Command::Pause { reason: words() }).await, Ok(false));
    for other in [
        Command::Resume { reason: words() },
        Command::Cancel { reason: words() },
        Command::Signal { name: "go".into(), value: json!(null) },
        patch("a"),
    ] {
        assert_eq!(send("k", other.clone()).await, Err(ErrorKind::Conflict), "{other:?}");
    }
    assert_eq!(send("p", patch("a")).await, Ok(true));
    let id = CommandId::new("p").unwrap();
    office.runtime.engine().answer(&tenant, run, &id).await.unwrap().unwrap();
    assert_eq!(send("p", patch("a")).await, Ok(false));
    assert_eq!(send("p", patch("b")).await, Err(ErrorKind::Conflict));
    assert_eq!(office.view(run).await.version, 2);
    assert_eq!(send("c", Command::Cancel { reason: words() }).await, Ok(true));
    assert_eq!(office.ended(run).await.status, Status::Cancelled);
}
