//! Conversations in the format of LoCoMo (Maharana et al. 2024): a list of samples, each with
//! `conversation` (`session_N` with turns, `session_N_date_time`) and `qa` (questions, the
//! `dia_id`s of the turns that answer them, a category). The data is its users' own.

use std::collections::BTreeMap;
use std::path::Path;

use l9::memory::NewEntry;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Questions that the conversation does not answer.
const ADVERSARIAL: u32 = 5;

/// One conversation and what is asked of it.
pub(crate) struct Conversation {
    /// Its turns, each with its key and session.
    pub(crate) turns: Vec<NewEntry>,
    /// What is asked of it.
    pub(crate) questions: Vec<Question>,
}

/// A question and the keys of the turns that answer it.
pub(crate) struct Question {
    /// Its words.
    pub(crate) text: String,
    /// Keys of turns.
    pub(crate) evidence: Vec<String>,
}

#[derive(Deserialize)]
struct Sample {
    conversation: Map<String, Value>,
    qa: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    #[serde(default)]
    evidence: Vec<String>,
    #[serde(default)]
    category: u32,
}

#[derive(Deserialize)]
struct Turn {
    speaker: String,
    dia_id: String,
    text: String,
}

/// Reads a file; ends the program with the reason if it is none.
pub(crate) fn read(path: &Path) -> Vec<Conversation> {
    let parsed = std::fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| {
        serde_json::from_slice::<Vec<Sample>>(&bytes).map_err(|error| format!("it is not in LoCoMo's format: {error}"))
    });
    match parsed {
        Ok(samples) => samples.into_iter().map(conversation).collect(),
        Err(error) => {
            eprintln!("{} cannot be read: {error}", path.display());
            std::process::exit(2);
        }
    }
}

fn conversation(sample: Sample) -> Conversation {
    let mut turns = Vec::new();
    let sessions: BTreeMap<u32, &Value> = sample
        .conversation
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("session_")?.parse().ok()?, value)))
        .filter(|(_, value)| value.is_array())
        .collect();
    for (number, value) in sessions {
        let said: Vec<Turn> = serde_json::from_value(value.clone()).unwrap();
        turns.extend(said.into_iter().map(|turn| NewEntry {
            text: format!("{}: {}", turn.speaker, turn.text),
            key: Some(turn.dia_id),
            session: Some(format!("session_{number}")),
            ..NewEntry::default()
        }));
    }
    let known = |id: &String| turns.iter().any(|turn| turn.key.as_ref() == Some(id));
    let questions = sample.qa.into_iter().filter(|asked| asked.category != ADVERSARIAL).filter_map(|asked| {
        // Some files write several ids in one text.
        let ids = asked.evidence.iter().flat_map(|ids| ids.split([';', ',', ' '])).map(str::to_owned);
        let evidence: Vec<String> = ids.filter(known).collect();
        (!evidence.is_empty()).then_some(Question { text: asked.question, evidence })
    });
    let questions = questions.collect();
    Conversation { turns, questions }
}
