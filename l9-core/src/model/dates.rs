//! Questions about dates, told from all others by their form alone: a date is one of ISO
//! 8601, and what is asked of it is one of a few phrases. Anything else is no such question.

use serde_json::{Value, json};

/// A question about dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DateQuestion {
    /// What time or date it is, in a zone if one is named.
    Now(Option<String>),
    /// Which date is so much after another: the date, and an ISO 8601 duration.
    After(String, String),
    /// How far two dates are apart.
    Between(String, String),
    /// Which day of the week a date is.
    Weekday(String),
}

/// Units of time and how a duration of ISO 8601 writes them.
const UNITS: [(&str, char); 4] = [("day", 'D'), ("week", 'W'), ("month", 'M'), ("year", 'Y')];

impl DateQuestion {
    /// The question of a text, if it is one.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches(['?', '.', '!', ' ']);
        let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches([',', ':'])).collect();
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase().replace('’', "'")).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        now(&words, &lower).or_else(|| between(&lower)).or_else(|| after(&lower)).or_else(|| weekday(&lower))
    }

    /// The tool that answers it.
    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::Now(_) => "time/now",
            _ => "time/calc",
        }
    }

    /// What the tool is asked.
    pub(super) fn arguments(&self) -> Value {
        match self {
            Self::Now(None) => json!({}),
            Self::Now(Some(zone)) => json!({"zone": zone}),
            Self::After(date, duration) => json!({"at": date, "add": duration}),
            Self::Between(from, until) => json!({"at": from, "until": until}),
            Self::Weekday(date) => json!({"at": date}),
        }
    }

    /// The answer, in the tool's own figures.
    pub(super) fn told(&self, content: &Value) -> String {
        let text = |pointer: &str| content.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match self {
            Self::Now(_) => format!("{}, {} {} ({})", text("/weekday"), text("/date"), text("/time"), text("/zone")),
            Self::Between(from, until) => {
                let days = content.pointer("/until/days").map(Value::to_string).unwrap_or_default();
                format!("{days} days from {from} to {until} ({})", text("/until/duration"))
            }
            Self::After(..) | Self::Weekday(_) => format!("{}, {}", text("/at/weekday"), text("/at/date")),
        }
    }
}

/// `what time is it`, `what is the date today`, with `in` and a zone's name or without.
fn now(words: &[&str], lower: &[&str]) -> Option<DateQuestion> {
    const ASKED: [&str; 9] = [
        "what time is it",
        "what time is it now",
        "what day is it",
        "what day is it today",
        "what day is today",
        "what date is it",
        "what date is it today",
        "what is the date today",
        "what is today's date",
    ];
    let (asked, zone) = match lower {
        [asked @ .., "in", zone] if zone.contains('/') || *zone == "utc" => (asked, words.last().copied()),
        asked => (asked, None),
    };
    let zone = zone.map(|zone| if zone.contains('/') { zone.to_owned() } else { zone.to_uppercase() });
    ASKED.contains(&asked.join(" ").as_str()).then_some(DateQuestion::Now(zone))
}

/// `how many days are between D and D`, `how many days from D to D`.
fn between(lower: &[&str]) -> Option<DateQuestion> {
    let rest = match lower {
        ["how", "many", "days", "are", "there", rest @ ..]
        | ["how", "many", "days", "is", "it", rest @ ..]
        | ["how", "many", "days", "is" | "are", rest @ ..] => rest,
        ["how", "many", "days", rest @ ..] => rest,
        _ => return None,
    };
    match rest {
        ["between", from, "and", until] | ["from", from, "to" | "until", until] if is_date(from) && is_date(until) => {
            Some(DateQuestion::Between((*from).to_owned(), (*until).to_owned()))
        }
        _ => None,
    }
}

/// `what date is 90 days after D`, `D plus 2 weeks`, `D + 1 month`, and the other way round.
fn after(lower: &[&str]) -> Option<DateQuestion> {
    let rest = match lower {
        ["what" | "which", "date" | "day", "is" | "was", rest @ ..]
        | ["what", "is", rest @ ..]
        | ["what's", rest @ ..] => rest,
        rest => rest,
    };
    let (date, sign, count, unit) = match rest {
        [count, unit, "after" | "from" | "past", date] | [date, "plus" | "+", count, unit] => (date, "", count, unit),
        [count, unit, "before", date] | [date, "minus" | "-", count, unit] => (date, "-", count, unit),
        _ => return None,
    };
    let (_, letter) = UNITS.iter().find(|(name, _)| unit.strip_suffix('s').unwrap_or(unit) == *name)?;
    let counts = !count.is_empty() && count.len() <= 6 && count.bytes().all(|byte| byte.is_ascii_digit());
    (is_date(date) && counts).then(|| DateQuestion::After((*date).to_owned(), format!("{sign}P{count}{letter}")))
}

/// `what day of the week is D`, `which weekday was D`.
fn weekday(lower: &[&str]) -> Option<DateQuestion> {
    match lower {
        ["what" | "which", "day", "of", "the", "week", "is" | "was", date]
        | ["what" | "which", "weekday", "is" | "was", date]
        | ["what" | "which", "weekday", "is" | "was", "the", date]
            if is_date(date) =>
        {
            Some(DateQuestion::Weekday((*date).to_owned()))
        }
        _ => None,
    }
}

/// A date of ISO 8601: `2026-03-01`. Whether there is such a day is the tool's to say.
fn is_date(word: &str) -> bool {
    let digit = |at: usize, byte: u8| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    word.len() == 10 && word.bytes().enumerate().all(|(at, byte)| digit(at, byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_about_dates_are_told_by_their_form() {
        let (tool, calc) = ("time/now", "time/calc");
        for (question, by, arguments) in [
            ("What time is it?", tool, json!({})),
            ("What time is it in Europe/Berlin?", tool, json!({"zone": "Europe/Berlin"})),
            ("what is today’s date in utc", tool, json!({"zone": "UTC"})),
            (
                "How many days are there between 2026-01-15 and 2026-12-25?",
                calc,
                json!({"at": "2026-01-15", "until": "2026-12-25"}),
            ),
            ("how many days from 2026-01-15 to 2026-12-25", calc, json!({"at": "2026-01-15", "until": "2026-12-25"})),
            ("How many days is it until 2026-12-25?", "", json!(null)),
            (
                "How many days is it from 2026-01-15 until 2026-12-25?",
                calc,
                json!({"at": "2026-01-15", "until": "2026-12-25"}),
            ),
            ("What date is 90 days after 2026-03-01?", calc, json!({"at": "2026-03-01", "add": "P90D"})),
            ("2026-03-01 plus 1 month", calc, json!({"at": "2026-03-01", "add": "P1M"})),
            ("2026-03-01 - 2 weeks", calc, json!({"at": "2026-03-01", "add": "-P2W"})),
            ("Which weekday was 1911-05-04?", calc, json!({"at": "1911-05-04"})),
            // No such form: not for these tools.
            ("What time is it in Tokyo?", "", json!(null)),
            ("What happened 90 days after 2026-03-01?", "", json!(null)),
            ("How many days does the ferry take?", "", json!(null)),
            ("What date is 90 moons after 2026-03-01?", "", json!(null)),
            ("How many days between 3/4/2026 and 2026-12-25?", "", json!(null)),
            ("What day is the market?", "", json!(null)),
            ("2026-03-01 + 5 km", "", json!(null)),
        ] {
            let found = DateQuestion::of(question);
            let told = found.as_ref().map(|found| (found.tool(), found.arguments()));
            let wanted = (!by.is_empty()).then_some((by, arguments));
            assert_eq!(told, wanted, "{question}");
        }
    }
}
