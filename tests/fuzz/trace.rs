//! Traces for `policy simulate`.

use l9::flow::{TraceReader, TraceVerdict};
use l9::governor::Baseline;
use proptest::prelude::*;

use crate::change::{JSON, changed, changes};

const TRACE: &str = include_str!("../../l9-core/tests/flow/traces/policy-trace.jsonl");

fn told(verdict: &TraceVerdict) -> String {
    format!("{} {} {} {:?} {:?}", verdict.session, verdict.call, verdict.tool, verdict.decision, verdict.reasons)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A line that is refused says which it is, and the verdicts of all others are what they
    /// are without it.
    #[test]
    fn a_line_that_is_refused_leaves_no_trace(at in any::<proptest::sample::Index>(), changes in changes()) {
        let lines: Vec<&[u8]> = TRACE.lines().map(str::as_bytes).collect();
        let at = at.index(lines.len());
        let wrong = changed(lines[at], &changes, &JSON);
        let (mut with, mut without) = (TraceReader::new(&Baseline), TraceReader::new(&Baseline));
        for (number, line) in lines.iter().enumerate() {
            if number == at {
                match with.line(&wrong) {
                    Ok(verdict) => {
                        let same = without.line(&wrong).unwrap();
                        prop_assert_eq!(verdict.as_ref().map(told), same.as_ref().map(told));
                    }
                    Err(error) => {
                        let error = error.to_string();
                        prop_assert!(error.contains(&format!("line {}:", at + 1)), "{}", error);
                    }
                }
            }
            let (with, without) = (with.line(line), without.line(line));
            match (with, without) {
                (Ok(with), Ok(without)) => {
                    prop_assert_eq!(with.as_ref().map(told), without.as_ref().map(told));
                }
                (with, without) => prop_assert_eq!(with.is_err(), without.is_err()),
            }
        }
    }
}
