//! No bytes make the reader panic, and a long session costs in proportion to its length.

use l9_core::flow::TraceReader;
use l9_core::governor::Baseline;
use proptest::prelude::*;
use serde_json::json;

use crate::support::Trace;

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_traces_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let mut reader = TraceReader::new(&Baseline);
        for line in &lines {
            let _ = reader.line(line);
        }
    }

    #[test]
    fn no_value_makes_the_reader_of_traces_panic(
        prompt in ".{0,60}",
        args in "[\\PC]{0,60}",
        content in prop::collection::vec("[\\PC]{0,40}", 0..6),
        number in any::<f64>(),
    ) {
        let trace = Trace::new(&prompt)
            .did("mail/read", json!({}), json!([{"id": args, "body": content}, {"sender": number}]))
            .did("chat/rooms", json!({"x": args}), json!(content))
            .did("web/get", json!({"url": args}), json!({args.clone(): content}))
            .wants("bank/pay", json!({"to": args, "amount": number, "date": prompt}));
        prop_assert_eq!(trace.last().call, "c4");
    }

    #[test]
    fn broken_lines_of_a_real_trace_do_no_harm(at in 0_usize..4000, to in any::<u8>()) {
        let mut bytes = include_bytes!("traces/policy-trace.jsonl").to_vec();
        let at = at % bytes.len();
        bytes[at] = to;
        let mut reader = TraceReader::new(&Baseline);
        for line in bytes.split(|byte| *byte == b'\n') {
            let _ = reader.line(line);
        }
    }
}

#[test]
fn what_a_call_costs_does_not_grow_with_what_was_read() {
    let long = |results: usize| {
        let words: Vec<String> = (0..400).map(|word| format!("word{word}")).collect();
        let mut trace = Trace::new("Mail lin@orchard.example");
        for result in 0..results {
            trace = trace.did("web/get", json!({"url": "x"}), json!(format!("{result} {}", words.join(" "))));
        }
        for _ in 0..200 {
            trace = trace.wants(
                "mail/send",
                json!({"to": ["lin@orchard.example"], "subject": "s", "body": words[..60].join(" ")}),
            );
        }
        trace.text()
    };
    let time = |text: &str| {
        let mut reader = TraceReader::new(&Baseline);
        let mut calls = std::time::Duration::ZERO;
        for line in text.lines() {
            let start = std::time::Instant::now();
            let verdict = reader.line(line.as_bytes()).unwrap();
            if verdict.is_some_and(|verdict| verdict.tool.as_str() == "mail/send") {
                calls += start.elapsed();
            }
        }
        calls
    };
    let (short, long) = (long(10), long(300));
    let ratio = (0..5).map(|_| time(&long).as_secs_f64() / time(&short).as_secs_f64()).fold(f64::MAX, f64::min);
    assert!(ratio < 5.0, "calls after thirty times as much took {ratio:.1} times as long");
}
