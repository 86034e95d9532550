//! Relations taken from texts: what the rules are right and wrong about, by sentences that were
//! read by hand; and, over every backend, that what is taken goes wherever its origin goes.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a test may fail, and tells")]

use l9_memory::relations::read;

const LABELLED: &str = include_str!("fixtures/relations.txt");

/// The sentences with what they state.
fn labelled() -> Vec<(&'static str, Vec<String>)> {
    let mut sentences: Vec<(&str, Vec<String>)> = Vec::new();
    for line in LABELLED.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(stated) => sentences.last_mut().unwrap().1.push(stated.to_owned()),
            None => sentences.push((line, Vec::new())),
        }
    }
    sentences
}

#[test]
fn what_the_rules_state_is_right_and_they_do_not_state_everything() {
    let sentences = labelled();
    let without = sentences.iter().filter(|(_, stated)| stated.is_empty()).count();
    assert!(sentences.len() >= 60 && 2 * without >= sentences.len(), "{without} of {}", sentences.len());
    let (mut right, mut wrong, mut missed) = (0, Vec::new(), Vec::new());
    for (text, stated) in &sentences {
        let found: Vec<String> = read(text, None)
            .into_iter()
            .map(|one| format!("{} | {} | {}", one.subject, one.predicate, one.object))
            .collect();
        for one in &found {
            if stated.contains(one) { right += 1 } else { wrong.push(format!("{text} -> {one}")) }
        }
        missed.extend(stated.iter().filter(|one| !found.contains(one)).map(|one| format!("{text} -> {one}")));
    }
    let (precision, recall) =
        (right as f64 / (right + wrong.len()) as f64, right as f64 / (right + missed.len()) as f64);
    println!("{} sentences, {without} of them state nothing", sentences.len());
    println!("precision {precision:.3} ({right} right, {} wrong), recall {recall:.3}", wrong.len());
    println!("wrong: {wrong:#?}\nmissed: {missed:#?}");
    assert!(precision >= 0.95, "precision {precision:.3}: {wrong:#?}");
    assert!(recall >= 0.75, "recall {recall:.3}: {missed:#?}");
}
