//! `time/now` and `time/calc` in the sandbox.

use l9::run::Outcome;
use l9::{Runtime, Settings};
use serde_json::json;

use super::support::{by_an_agent, call, fault};

#[tokio::test]
async fn now_is_the_time_of_the_call_and_holds_still_under_a_seed() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let before = runtime.clock().now().as_millis() / 1_000;
    let now = call(&runtime, "time/now", &json!({"zone": "Asia/Tokyo"})).await.unwrap();
    let after = runtime.clock().now().as_millis() / 1_000;
    let unix = now["unix"].as_i64().unwrap();
    assert!((before..=after).contains(&unix), "{before} {unix} {after}");
    assert!(now["local"].as_str().unwrap().ends_with("+09:00"), "{now}");
    let seeded = async || {
        let settings = Settings { seed: Some(7), ..Settings::default() };
        let runtime = Runtime::builder().settings(settings).in_memory().build().await.unwrap();
        call(&runtime, "time/now", &json!({})).await.unwrap()
    };
    assert_eq!(seeded().await, seeded().await);
}

#[tokio::test]
async fn days_are_added_by_the_calendar_and_clocks_of_a_zone() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let asked =
        json!({"at": "2026-03-28T02:30", "zone": "Europe/Berlin", "add": "P1D", "to": "UTC", "until": "2026-12-25"});
    let answer = call(&runtime, "time/calc", &asked).await.unwrap();
    // Half past two does not exist on that night.
    assert_eq!(answer["at"]["utc"], "2026-03-29T01:30:00Z");
    assert_eq!(answer["until"]["days"], 270);
    let (code, message) = fault(call(&runtime, "time/calc", &json!({"at": "next week"})).await);
    assert!(code == "invalid_input" && message.contains("next week"), "{code} {message}");
}

#[tokio::test]
async fn an_agent_calculates_with_dates() {
    let asked = json!({"at": "2026-01-31", "add": "P1M"});
    let outcome = by_an_agent(Runtime::builder().in_memory(), "time/calc", &asked).await.outcome;
    assert!(matches!(outcome, Outcome::Ok { .. }), "{outcome:?}");
}

#[tokio::test]
async fn without_a_model_questions_about_dates_are_told_by_their_form() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let ask = async |question: &str| runtime.run("researcher", question).await.unwrap().outcome().await.unwrap().text();
    for (question, answer) in [
        (
            "How many days are there between 2026-01-15 and 2026-12-25?",
            "344 days from 2026-01-15 to 2026-12-25 (P11M10D)",
        ),
        ("What date is 90 days after 2026-03-01?", "Saturday, 2026-05-30"),
        ("Which weekday was 1911-05-04?", "Thursday, 1911-05-04"),
        ("What is 2 m + 3 cm?", "2 m + 3 cm = 2.03 m"),
    ] {
        assert_eq!(ask(question).await, answer, "{question}");
    }
    assert!(ask("What time is it in Europe/Berlin?").await.ends_with("(Europe/Berlin)"));
    // No such day: the tool says so.
    assert!(ask("Which weekday was 2026-02-30?").await.contains("2026-02-30"));
}
