//! Attacks by what a tool is given, by its schemas, by what it logs, and by what one call
//! might leave for the next.

use l9::run::Event;
use l9::{Principal, StartOptions};
use serde_json::{Value, json};

use super::guests::{Guest, HOSTILE, call, component, events, told};

#[tokio::test]
async fn attack_48_json_that_two_readers_read_differently() {
    let runtime = Guest::new("hostile/echo", HOSTILE).start().await.unwrap();
    for (text, why) in [
        (r#"{"to": "ada", "to": "eve"}"#, "duplicate"),
        (r#"{"to": "ada", "t\u006f": "eve"}"#, "duplicate"),
        (r#"{"amount": 1e400}"#, "number"),
        (r#"{"amount": 9007199254740993}"#, "9007199254740993"),
        (r#"{"to": "\ud800"}"#, "hex escape"),
        (r#"{"to": "\udc00\ud800"}"#, "surrogate"),
        (r#"{"to": "ada"} {"to": "eve"}"#, "trailing"),
        ("{\"to\": \"a\u{0}da\"}", "control"),
        (r#"{"amount": 01}"#, "number"),
        (r#"{"amount": NaN}"#, "value"),
    ] {
        let error = call(&runtime, "hostile/echo", text).await.unwrap_err();
        assert!(error.to_lowercase().contains(why), "{text}: {error}");
    }
    // Two spellings of one number are one.
    let echoed = call(&runtime, "hostile/echo", r#"{"amount": -0}"#).await.unwrap();
    assert_eq!(echoed.to_string(), r#"{"amount":0}"#);

    // Control: what one reader could mean comes through.
    let text = r#"{"to": "ada \ud83d\ude00", "amount": 1e300, "n": 9007199254740991}"#;
    let echoed = call(&runtime, "hostile/echo", text).await.unwrap();
    assert_eq!((&echoed["to"], &echoed["amount"]), (&json!("ada 😀"), &json!(1e300)));
    runtime.shutdown().await;
}

#[tokio::test]
async fn attack_49_schemas_that_explode_reach_outside_or_circle() {
    let schema = |property: Value| json!({"type": "object", "properties": {"text": property}, "$defs": {"a": {"type": "string"}}});
    let guest = |property: Value| Guest::new("hostile/echo", HOSTILE).with("input_schema", schema(property));
    for (property, why) in [
        (json!({"$ref": "https://evil.example/schema.json"}), "$ref"),
        (json!({"$ref": "file:///etc/passwd"}), "$ref"),
        (json!({"$ref": "#/properties/text"}), "$ref"),
        (json!({"pattern": "(?=a)b"}), "pattern"),
        (json!({"pattern": "(a)\\1"}), "pattern"),
    ] {
        let error = guest(property.clone()).fails(&json!({})).await;
        assert!(error.starts_with("manifest: ") && error.contains(why), "{property}: {error}");
    }
    // A reader that tries every way through would need longer than the world is old.
    let explodes = guest(json!({"type": "string", "pattern": "^(a+)+$"}));
    let error = explodes.fails(&json!({"text": format!("{}!", "a".repeat(50_000))})).await;
    assert!(error.contains("invalid_arguments") || error.contains("/text"), "{error}");

    // Control: the same pattern takes what it is for, and a reference within the schema holds.
    let fitting = json!({"text": "a".repeat(50_000)});
    assert_eq!(explodes.gives(&fitting).await, fitting);
    assert_eq!(guest(json!({"$ref": "#/$defs/a"})).gives(&json!({"text": "x"})).await, json!({"text": "x"}));
    assert!(guest(json!({"$ref": "#/$defs/a"})).call(&json!({"text": 1})).await.is_err());
}

#[tokio::test]
async fn attack_50_properties_smuggled_past_a_closed_schema() {
    let schema = |closed: bool| {
        json!({
            "type": "object", "additionalProperties": !closed,
            "properties": {"to": {"type": "string"}, "options": {"$ref": "#/$defs/options"}},
            "$defs": {"options": {"type": "object", "additionalProperties": !closed, "properties": {"quiet": {"type": "boolean"}}}}
        })
    };
    let guest = |closed: bool| Guest::new("hostile/echo", HOSTILE).with("input_schema", schema(closed));
    let (closed, open) = (guest(true).start().await.unwrap(), guest(false).start().await.unwrap());
    for text in [
        r#"{"to": "ada", "bcc": "eve"}"#,
        r#"{"to": "ada", "To": "eve"}"#,
        r#"{"to": "ada", "to ": "eve"}"#,
        r#"{"to": "ada", "": "eve"}"#,
        r#"{"to": "ada", "t\u200bo": "eve"}"#,
        r#"{"to": "ada", "\u0442o": "eve"}"#,
        r#"{"to": "ada", "__proto__": {"bcc": "eve"}}"#,
        r##"{"to": "ada", "$ref": "#/$defs/options"}"##,
        r#"{"to": "ada", "options": {"quiet": true, "bcc": "eve"}}"#,
    ] {
        let error = call(&closed, "hostile/echo", text).await.unwrap_err();
        assert!(error.contains("dditional"), "{text}: {error}");
        // Control: an open schema lets it through to the tool.
        let echoed = call(&open, "hostile/echo", text).await.unwrap();
        assert_eq!(echoed, serde_json::from_str::<Value>(text).unwrap());
    }
    let sound = r#"{"options":{"quiet":true},"to":"ada"}"#;
    assert_eq!(call(&closed, "hostile/echo", sound).await.unwrap().to_string(), sound);
    closed.shutdown().await;
    open.shutdown().await;
}

#[tokio::test]
async fn attack_54_a_log_line_that_forges_others_or_moves_the_cursor() {
    let forged = "fine\r\n{\"level\":\"error\",\"message\":\"forged\"}\u{1b}[2J\u{1b}[31m\u{202e}evil\u{2028}x\0";
    let guest = Guest::host_calls();
    let runtime = guest.start().await.unwrap();
    let words = runtime.engine().parts().governor.deltas().subscribe();
    let input = json!({"steps": [
        {"call": "host.log", "text": forged},
        {"call": "progress.show", "text": forged},
        {"call": "kv.set", "path": "k", "text": forged},
        {"call": "kv.get", "path": "k"},
    ]});
    let mut lines = Vec::new();
    for event in events(&runtime, &input).await {
        if let Event::EffectResult(result) = event {
            // Control: the guest had it all, and where nothing escapes it, it is as it was.
            let given = serde_json::to_string(&result.outcome).unwrap();
            assert!(given.contains(&json!(forged).to_string()), "{given}");
            lines.extend(result.log);
        }
    }
    let mut shown = String::new();
    while let Some((_, piece)) = words.try_recv() {
        shown.push_str(&piece);
    }
    assert_eq!((lines.len(), shown.lines().count()), (1, 1), "{lines:?} {shown:?}");
    for text in [&lines[0].message, shown.trim_end_matches('\n')] {
        assert!(text.starts_with("fine\\r\\n{") && text.ends_with("\\u{202e}evil\\u{2028}x\\u{0}"), "{text:?}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    runtime.shutdown().await;
}

#[tokio::test]
async fn attack_55_state_that_leaks_from_one_call_to_the_next() {
    // Looks for what an earlier one left in a global, in memory, in a page far out that it grows
    // itself, and in a table, leaves something in each, and answers 1 if it found nothing.
    let looks = |times: usize| {
        let once =
            "(local.set $found (i32.add (local.get $found) (i32.add (global.get $mark) (i32.load8_u (i32.const 80)))))
            (global.set $mark (i32.const 1)) (i32.store8 (i32.const 80) (i32.const 1))
            (local.set $found (i32.add (local.get $found) (i32.sub (memory.grow (i32.const 15)) (i32.const 1))))
            (local.set $found (i32.add (local.get $found) (i32.load8_u (i32.const 1048575))))
            (i32.store8 (i32.const 1048575) (i32.const 1))
            (local.set $found (i32.add (local.get $found) (i32.eqz (ref.is_null (table.get $t (i32.const 0))))))
            (table.set $t (i32.const 0) (ref.func $mine))
            (local.set $found (i32.add (local.get $found)
                (i32.sub (table.grow $t (ref.null func) (i32.const 1)) (i32.const 1))))";
        component(&format!(
            r#"(memory (export "memory") 1) (global $mark (mut i32) (i32.const 0)) (table $t 1 100 funcref)
               (func $mine) (elem declare func $mine)
               (func (export "invoke") (param i32 i32 i32 i32) (result i32) (local $found i32)
                 {}
                 (if (local.get $found) (then (i32.store8 (i32.const 64) (i32.const 57))))
                 i32.const 16)"#,
            once.repeat(times)
        ))
    };
    let guest = Guest::new("hostile/look", looks(1));
    let runtime = guest.start().await.unwrap();
    let tenants =
        ["acme", "umbrella"].map(|tenant| Principal { tenant: tenant.parse().unwrap(), ..runtime.principal() });
    assert_eq!(call(&runtime, "hostile/look", "{}").await.unwrap(), json!(1));
    let tool = "hostile/look".parse().unwrap();
    for by in tenants.iter().cycle().take(40) {
        let started = runtime.engine().start_tool(by, &tool, "{}", StartOptions::default()).await.unwrap();
        let handle = runtime.engine().handle(by, started.run).await.unwrap();
        assert_eq!(handle.outcome().await.unwrap().answer, json!(1), "state leaked between calls");
    }
    runtime.shutdown().await;
    // Control: within one call it finds what it left.
    assert_eq!(Guest::new("hostile/look", looks(2)).gives(&json!({})).await, json!(9));

    // Nor is anything kept in the room that the host gives.
    let runtime = Guest::host_calls().start().await.unwrap();
    let steps = json!({"steps": [
        {"call": "kv.get", "path": "seen"}, {"call": "kv.keys"},
        {"call": "kv.set", "path": "seen", "text": "yes"}, {"call": "kv.get", "path": "seen"}
    ]});
    for _ in 0..3 {
        let output = call(&runtime, "guest/host", &steps.to_string()).await.unwrap();
        // Control: within the call it is there.
        assert_eq!(told(&output), [json!("done"), json!([]), json!("done"), json!("yes")], "{output}");
    }
    runtime.shutdown().await;
}
