//! `data/query` and `text/diff` in the sandbox.

use l9::Runtime;
use l9::run::Outcome;
use serde_json::{Value, json};

use super::support::{by_an_agent, call, fault};

const ORDERS: &str = "city,amount\nVelmora,0.1\nTessaly,12.50\nVelmora,0.2\n";

fn sums() -> Value {
    json!({
        "text": ORDERS, "format": "csv", "group": ["city"], "aggregate": [{"of": "sum", "column": "amount", "as": "total"}],
        "order": [{"column": "total", "descending": true}]
    })
}

#[tokio::test]
async fn rows_are_grouped_and_added_up_exactly() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let answer = call(&runtime, "data/query", &sums()).await.unwrap();
    assert_eq!(
        answer,
        json!({
            "columns": ["city", "total"], "rows": [["Tessaly", "12.5"], ["Velmora", "0.3"]],
            "row_count": 2, "matched": 3, "read": 3, "truncated": false
        })
    );
    let (code, message) =
        fault(call(&runtime, "data/query", &json!({"text": ORDERS, "format": "csv", "select": ["town"]})).await);
    assert!(code == "invalid_input" && message.contains(r#"there are \"city\", \"amount\""#), "{code} {message}");
    let (code, message) = fault(call(&runtime, "data/query", &json!({"text": ORDERS, "format": "xml"})).await);
    assert!(message.contains("/format"), "{code} {message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_fills_the_sandbox_ends_the_call_and_nothing_else() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    // A byte of it is a value, which takes many.
    let header: Vec<String> = (0..500).map(|at| at.to_string()).collect();
    let wide = format!("{}\n{}", header.join(","), format!("{}\n", ",".repeat(499)).repeat(5_000));
    let many = json!({"text": wide, "format": "csv"});
    let (code, message) = fault(call(&runtime, "data/query", &many).await);
    assert_eq!(code, "limit.memory", "{message}");
    assert!(call(&runtime, "data/query", &sums()).await.is_ok());
}

#[tokio::test]
async fn an_agent_asks_about_data() {
    let outcome = by_an_agent(Runtime::builder().in_memory(), "data/query", &sums()).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
}

#[tokio::test]
async fn two_texts_are_compared_line_by_line() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let answer = call(&runtime, "text/diff", &json!({"before": "a\nb\n", "after": "a\nc\n"})).await.unwrap();
    assert_eq!((&answer["added"], &answer["removed"]), (&json!(1), &json!(1)));
    assert!(answer["unified"].as_str().unwrap().contains("-b\n+c\n"), "{answer}");
}

#[tokio::test]
async fn units_that_do_not_fit_are_an_error() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let calc = async |expression: &str| call(&runtime, "calc/evaluate", &json!({"expression": expression})).await;
    assert_eq!(calc("5 mi in km").await.unwrap()["result"], "8.0467 km");
    assert_eq!(calc("3 km / 30 min in km/h").await.unwrap()["result"], "6 km/h");
    for expression in ["5 m + 3 s", "5 kg in km"] {
        let (code, message) = fault(calc(expression).await);
        assert!(code == "invalid_input", "{expression}: {code} {message}");
    }
}
