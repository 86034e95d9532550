//! A model without a model: it asks tools, quotes what they found, and says what it is.
//!
//! Offline and deterministic. It never makes a sentence up: an answer is words that
//! stand in a source, or a figure that a tool computed. It is what the default agent
//! runs on until a key is configured.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::client::{Estimate, ModelClient, ModelFault};
use super::dates::DateQuestion;
use super::deltas::DeltaSink;
use super::documents::DocumentQuestion;
use super::message::{Message, ModelRequest, ModelResponse, Passage, StopReason, ToolRequest, Usage};
use crate::governor::Permit;

const CALCULATE: &str = "calc/evaluate";
const EXTRACT: &str = "text/extract";
const SEARCH: &str = "memory/search";

/// The most characters of a question that are looked up.
const QUESTION: usize = 2000;

/// The offline model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extractive;

#[async_trait]
impl ModelClient for Extractive {
    fn default_model(&self) -> &str {
        "quotes-1"
    }

    fn estimate(&self, _request: &ModelRequest) -> Estimate {
        Estimate::local(0)
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        permit.check().map_err(|error| ModelFault::new("cancelled", error.to_string()))?;
        let response = answer(request);
        deltas.push(&response.text);
        Ok(response)
    }
}

/// What it answers: a pure function of the conversation.
fn answer(request: &ModelRequest) -> ModelResponse {
    let question = request.messages.iter().find_map(|message| match message {
        Message::User { text } => Some(text.as_str()),
        _ => None,
    });
    let question = clip(question.unwrap_or_default());
    let has = |tool: &str| request.tools.iter().any(|spec| spec.id.as_str() == tool);
    let last = request.messages.iter().rev().find_map(|message| match message {
        Message::Tool { tool, content, is_error, .. } => Some((tool.as_str(), content, *is_error)),
        _ => None,
    });
    let date = DateQuestion::of(question).filter(|date| has(date.tool()));
    let document = DocumentQuestion::of(question, &request.tools);
    match last {
        None if let Some(document) = &document => call(document.tool(), &document.arguments()),
        None if let Some(date) = date => call(date.tool(), &date.arguments()),
        None => match expression(question).filter(|_| has(CALCULATE)) {
            Some(expression) => call(CALCULATE, &json!({"expression": expression})),
            None if !request.context.is_empty() => read(question, &request.context, has(EXTRACT)),
            None if has(SEARCH) => call(SEARCH, &json!({"query": question, "k": 12})),
            None => nothing(question),
        },
        Some((tool, content, false)) if let Some(date) = date.filter(|date| date.tool() == tool) => {
            say(date.told(content))
        }
        Some((tool, content, false))
            if let Some(document) = document.as_ref().filter(|document| document.tool() == tool) =>
        {
            told(document, content, has(EXTRACT))
        }
        Some((CALCULATE, content, false)) => say(computed(content)),
        // What looked like arithmetic was none: look for words instead.
        Some((CALCULATE, ..)) if !request.context.is_empty() => read(question, &request.context, has(EXTRACT)),
        Some((CALCULATE, content, true)) => say(format!("The calculator could not answer: {}", fault(content))),
        Some((SEARCH, content, false)) => {
            let passages = found(content);
            if passages.is_empty() { nothing(question) } else { read(question, &passages, has(EXTRACT)) }
        }
        Some((EXTRACT, content, false)) if let Some(DocumentQuestion::Page(url, asked)) = &document => {
            let quoted = quotes(content);
            if quoted.is_empty() { say(format!("Nothing at {url} answers {asked:?}.")) } else { say(quoted) }
        }
        Some((EXTRACT, content, false)) => quote(question, content),
        Some((tool, content, _)) => say(format!("{tool} failed: {}", fault(content))),
    }
}

/// What a document that the question names says: a folder its entries, a file its words, and a
/// page those that answer what was asked of it, or all if nothing was.
fn told(document: &DocumentQuestion, content: &Value, can_extract: bool) -> ModelResponse {
    if let Some(entries) = document.listed(content) {
        return say(entries);
    }
    match (document, document.found(content)) {
        (DocumentQuestion::Page(url, _), None) => say(format!("There are no words at {url}.")),
        (DocumentQuestion::Page(_, question), Some(passage)) if !question.is_empty() => {
            read(question, &[passage], can_extract)
        }
        (_, Some(passage)) => read("", &[passage], false),
        (_, None) => say("The file is empty.".to_owned()),
    }
}

/// The beginning of a question: what the tools take at most.
fn clip(question: &str) -> &str {
    question.char_indices().nth(QUESTION).map_or(question, |(end, _)| &question[..end])
}

fn read(question: &str, passages: &[Passage], can_extract: bool) -> ModelResponse {
    if can_extract {
        return call(EXTRACT, &json!({"query": question, "passages": passages, "max": 3}));
    }
    // Without the extractor whole passages are quoted.
    let quotes: Vec<Value> = passages
        .iter()
        .take(2)
        .map(|passage| json!({"source": passage.source, "position": passage.position, "quote": passage.text.trim()}))
        .collect();
    quote(question, &json!({"quotes": quotes}))
}

fn quote(question: &str, content: &Value) -> ModelResponse {
    let quoted = quotes(content);
    if quoted.is_empty() { nothing(question) } else { say(quoted) }
}

/// The quotes with their sources; empty if there are none.
fn quotes(content: &Value) -> String {
    let quotes = content.get("quotes").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |item: &Value, field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines: Vec<String> = quotes
        .iter()
        .map(|item| {
            let position = text(item, "position");
            let position = if position.is_empty() { String::new() } else { format!(", {position}") };
            format!("“{}”\n  — {}{position}", text(item, "quote"), text(item, "source"))
        })
        .collect();
    lines.join("\n\n")
}

fn nothing(question: &str) -> ModelResponse {
    say(format!(
        "Nothing in memory answers {question:?}. I quote what was ingested and cannot know more: \
         add documents with `l9-server ingest PATH`, or set OPENAI_API_KEY or ANTHROPIC_API_KEY to ask a language model."
    ))
}

fn computed(content: &Value) -> String {
    let text = |field: &str| content.get(field).and_then(Value::as_str).unwrap_or_default();
    format!("{} = {}", text("expression"), text("result"))
}

fn fault(content: &Value) -> String {
    content.get("message").and_then(Value::as_str).map_or_else(|| content.to_string(), str::to_owned)
}

fn found(content: &Value) -> Vec<Passage> {
    content.get("passages").and_then(|passages| serde_json::from_value(passages.clone()).ok()).unwrap_or_default()
}

fn say(text: String) -> ModelResponse {
    ModelResponse { text, ..blank() }
}

fn call(tool: &str, arguments: &Value) -> ModelResponse {
    let request = ToolRequest { id: format!("{tool}#1"), name: tool.to_owned(), arguments: arguments.to_string() };
    ModelResponse { tools: vec![request], stop: StopReason::Tools, ..blank() }
}

fn blank() -> ModelResponse {
    ModelResponse { model: "extractive/quotes-1".into(), usage: Usage::default(), ..ModelResponse::default() }
}

/// The arithmetic within a question, if it is nothing but a question about arithmetic:
/// after the words people put around it are gone, it starts like an expression, has a
/// digit and an operator (or asks for a conversion).
fn expression(question: &str) -> Option<String> {
    const BEFORE: [&str; 16] = [
        "please",
        "can you",
        "could you",
        "tell me",
        "what is",
        "what's",
        "whats",
        "what are",
        "how much is",
        "how many is",
        "calculate",
        "compute",
        "evaluate",
        "work out",
        "solve",
        "the value of",
    ];
    let mut rest = question.trim().trim_end_matches(['?', '.', '!', '=', ' ']).trim();
    'strip: loop {
        for words in BEFORE {
            let lower = rest.to_lowercase();
            if lower.len() == rest.len()
                && lower.starts_with(words)
                && !lower[words.len()..].starts_with(char::is_alphanumeric)
            {
                rest = rest[words.len()..].trim_start_matches([' ', ',', ':']);
                continue 'strip;
            }
        }
        break;
    }
    let lower = rest.to_lowercase();
    if let Some(how_many) = lower.strip_prefix("how many ") {
        // "how many miles are in 5 km", "how many grams is 3 lb"
        let (unit, amount) = [" are there in ", " are in ", " is ", " are ", " in "]
            .iter()
            .find_map(|word| how_many.split_once(word))?;
        let plain = !unit.contains(' ')
            && amount.starts_with(|c: char| c.is_ascii_digit())
            && amount.split_whitespace().count() <= 3;
        return plain.then(|| format!("{amount} in {unit}"));
    }
    let converts =
        lower.starts_with("convert ") && (lower.contains(" to ") || lower.contains(" in ") || lower.contains(" into "));
    let opens = rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '(' | '-' | '+' | '.' | '√' | 'π'))
        || ["sqrt", "abs", "sin", "cos", "tan", "ln", "log", "exp", "round", "floor", "ceil", "min", "max", "pow"]
            .iter()
            .any(|name| {
                lower
                    .strip_prefix(name)
                    .is_some_and(|after| after.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('('))
            });
    let operates = rest.contains(['+', '*', '/', '^', '%', '×', '÷', '(', '−'])
        || rest.trim_start_matches('-').contains(" - ")
        || rest
            .trim_start_matches('-')
            .chars()
            .zip(rest.trim_start_matches('-').chars().skip(1))
            .any(|(a, b)| a.is_ascii_digit() && b == '-')
        || [" plus ", " minus ", " times ", " divided by ", " percent of ", " mod ", " in ", " to "]
            .iter()
            .any(|word| lower.contains(word));
    // Ordinary words beyond units mean it is a question about something else.
    let words = lower.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() > 12).count();
    let digits = rest.contains(|c: char| c.is_ascii_digit());
    (digits && words == 0 && rest.split_whitespace().count() <= 40 && (converts || (opens && operates)))
        .then(|| spelled(rest))
}

/// The expression with operators in words written as signs.
fn spelled(text: &str) -> String {
    [(" plus ", " + "), (" minus ", " - "), (" times ", " * "), (" divided by ", " / "), (" percent of ", "% of ")]
        .into_iter()
        .fold(text.to_owned(), |text, (word, sign)| text.replace(word, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_told_from_questions_about_words() {
        for (question, wanted) in [
            ("What is 17.5% of 2,340?", "17.5% of 2,340"),
            ("what's 3 plus 4", "3 + 4"),
            ("Please calculate (1 + 2) * 3.", "(1 + 2) * 3"),
            ("Convert 5 km to miles", "Convert 5 km to miles"),
            ("How many miles are in 5 km?", "5 km in miles"),
            ("How much is sqrt(2) * 10?", "sqrt(2) * 10"),
            ("What is 12.5 percent of 80?", "12.5% of 80"),
            ("72 °F in C", "72 °F in C"),
            ("7-4", "7-4"),
        ] {
            assert_eq!(expression(question).as_deref(), Some(wanted), "{question}");
        }
        for question in [
            "What is AI?",
            "How does L9 resume a run after a crash?",
            "How many crates does the Zorvik warehouse store?",
            "What is the code of project 17?",
            "Who founded Orvane in 1984?",
            "What happened on 12/03/1984 in the harbour?",
            "How many people are in Velmora?",
        ] {
            assert_eq!(expression(question), None, "{question}");
        }
    }
}
