//! What a model answered to the question what a text states: read strictly, but for what stands
//! around the JSON.

use l9_core::memory::{Relation, SAME_AS};
use serde::Deserialize;

use super::rules::MANY;
use crate::retrieval::folded;

/// The longest name and predicate, in bytes.
const NAME: usize = 256;
const PREDICATE: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    relations: Vec<Relation>,
}

/// The relations of an answer such as `{"relations": [{"subject": "Ada", "predicate": "works at",
/// "object": "Acme"}]}`, within a fence or prose or by itself; at most 32, in its order and each
/// once. Those are left out whose names do not stand in the text word for word, that are too long,
/// and `same as`, which would make two things one. `None` if it is no such answer.
#[must_use]
pub fn answered(answer: &str, text: &str) -> Option<Vec<Relation>> {
    let (start, end) = (answer.find('{')?, answer.rfind('}')?);
    let Answer { relations } = serde_json::from_str(answer.get(start..=end)?).ok()?;
    let mut kept: Vec<Relation> = Vec::new();
    for relation in relations {
        let Relation { subject, predicate, object } = &relation;
        let is_said = |name: &str| (1..=NAME).contains(&name.len()) && name == name.trim() && stands(text, name);
        let plain = predicate.split_whitespace().collect::<Vec<_>>().join(" ");
        let predicates = (1..=PREDICATE).contains(&plain.len()) && plain == *predicate;
        let merges = folded(predicate) == SAME_AS;
        let fits = is_said(subject) && is_said(object) && subject != object && predicates && !merges;
        if fits && kept.len() < MANY && !kept.contains(&relation) {
            kept.push(relation);
        }
    }
    Some(kept)
}

/// Whether a name stands in a text, between other words.
fn stands(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let word = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
        !word(text[..at].chars().next_back()) && !word(text[at + name.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Ada works at Acme with Bob.";

    fn told(answer: &str) -> Option<Vec<String>> {
        let told = |one: Relation| format!("{} {} {}", one.subject, one.predicate, one.object);
        answered(answer, TEXT).map(|found| found.into_iter().map(told).collect())
    }

    #[test]
    fn an_answer_is_taken_out_of_what_stands_around_it() {
        let plain = r#"{"relations":[{"subject":"Ada","predicate":"works at","object":"Acme"}]}"#;
        for answer in
            [plain.to_owned(), format!("```json\n{plain}\n```"), format!("Here it is: {plain} Anything else?")]
        {
            assert_eq!(told(&answer), Some(vec!["Ada works at Acme".to_owned()]), "{answer}");
        }
        assert_eq!(told(r#"{"relations":[]}"#), Some(Vec::new()));
    }

    #[test]
    fn nonsense_is_no_answer() {
        for answer in
            ["", "I cannot", "{", "}{", "{}", r#"{"relations":"none"}"#, r#"{"relations":[{"subject":"Ada"}]}"#]
        {
            assert_eq!(told(answer), None, "{answer}");
        }
        let more = r#"{"relations":[{"subject":"Ada","predicate":"a","object":"Bob","sure":true}]}"#;
        assert_eq!(told(more), None);
    }

    #[test]
    fn what_the_text_does_not_name_is_left_out() {
        for (subject, predicate, object) in [
            ("Ada", "works at", "Globex"),
            ("Ad", "works at", "Acme"),
            ("ada", "works at", "Acme"),
            ("", "works at", "Acme"),
            (" Ada", "works at", "Acme"),
            ("Ada", "", "Acme"),
            ("Ada", "works  at", "Acme"),
            ("Ada", "Same as", "Bob"),
            ("Ada", "\u{17f}ame as", "Bob"),
            ("Ada", "\u{ff53}ame as", "Bob"),
            ("Ada", "knows", "Ada"),
        ] {
            let one = serde_json::json!({"subject": subject, "predicate": predicate, "object": object});
            let answer = serde_json::json!({"relations": [one]}).to_string();
            assert_eq!(told(&answer), Some(Vec::new()), "{answer}");
        }
        let long = serde_json::json!({"subject": "Ada", "predicate": "x".repeat(65), "object": "Bob"});
        assert_eq!(told(&serde_json::json!({"relations": [long]}).to_string()), Some(Vec::new()));
    }
}
