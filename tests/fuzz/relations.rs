//! Texts that relations are taken from, and answers that tell them.

use l9::time::{Clock, SystemClock};
use l9_memory::relations::{answered, read};
use proptest::prelude::*;

use crate::change::{JSON, changed, changes};

const TEXT: &str = "Ada: I work at Acme. My boss is Dr. Bob J. Cratchit, head of Globex.\nParis is the capital of France, \
                    and Jane Austen wrote \"Pride and Prejudice\"! Ada's sister lives in New York; she isn't a Byron\n\n- Omar \
                    speaks Arabic and likes the Bank of the West? Élodie’s car is a Citroën (maybe).";

const ANSWER: &str = "```json\n{\"relations\":[{\"subject\":\"Ada\",\"predicate\":\"works at\",\"object\":\"Acme\"},\
                      {\"subject\":\"Omar\",\"predicate\":\"speaks\",\"object\":\"Arabic\"}]}\n```";

/// Words that sentences are made of.
const WORDS: [&str; 20] = [
    "Ada", "Bob", "New York", "I", "My", "is", "a", "the", "of", "works at", "lives in", "boss", "'s", ",", ".", "and",
    "\"", "\n", "Dr.", "not",
];

/// Whether every word of a name stands in a text.
fn is_said(text: &str, name: &str) -> bool {
    name.split(' ').all(|word| !word.is_empty() && text.contains(word)) && !name.trim().is_empty()
}

#[test]
fn a_mark_that_stands_alone_is_no_part_of_a_title() {
    for text in ["Jane Austen wrote \" Prejudice\".", "Jane Austen wrote \" , Prejudice\"."] {
        for one in read(text, None) {
            assert!(is_said(text, &one.object), "{one:?}");
        }
    }
    assert_eq!(read("Jane Austen wrote \" Prejudice\".", None)[0].object, "Prejudice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// What is taken is bounded, and names what the text or its speaker is called.
    #[test]
    fn what_is_taken_stands_in_the_text(changes in changes()) {
        let bytes = changed(TEXT.as_bytes(), &changes, &JSON);
        let text = String::from_utf8_lossy(&bytes);
        let found = read(&text, Some("Eve"));
        prop_assert!(found.len() <= 32);
        for one in found {
            prop_assert!(one.subject.len() <= 120 && one.object.len() <= 120 && one.predicate.len() <= 512, "{:?}", one);
            prop_assert!(is_said(&text, &one.object) || one.object == "Eve", "{:?}", one);
            prop_assert!(is_said(&text, &one.subject) || one.subject == "Eve", "{:?}", one);
        }
    }

    /// Whatever follows whatever.
    #[test]
    fn words_in_any_order_are_read(words in prop::collection::vec(0..WORDS.len(), 0..60)) {
        let text: Vec<&str> = words.into_iter().map(|at| WORDS[at]).collect();
        for text in [text.join(" "), text.concat()] {
            prop_assert!(read(&text, None).len() <= 32);
        }
    }

    /// An answer says nothing that the text does not name.
    #[test]
    fn an_answer_names_what_the_text_has(changes in changes()) {
        let bytes = changed(ANSWER.as_bytes(), &changes, &JSON);
        for one in answered(&String::from_utf8_lossy(&bytes), TEXT).unwrap_or_default() {
            prop_assert!(TEXT.contains(&one.subject) && TEXT.contains(&one.object), "{:?}", one);
        }
    }
}

/// However long a text is, and however it tries to be read again and again.
#[test]
fn long_texts_take_no_longer_than_they_are() {
    let clock = SystemClock::default();
    for piece in [
        "Ada ",
        "Ada of ",
        "Dr. ",
        "\"Ada ",
        "Ada: ",
        "Ada's ",
        "A. ",
        "Ada, head of Acme, ",
        "x\n",
        ".",
        "Ada works at ",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let begun = clock.monotonic();
        assert!(read(&text, None).len() <= 32);
        assert!(clock.monotonic().saturating_sub(begun).as_secs() < 5, "{piece}");
    }
}
