//! Words of a text, the ones that carry no meaning, and groups of words that mean much the same.

use crate::stem::stem;

/// Cuts `text` into words: letters and digits, with `.`, `,` and `:` kept between digits
/// (`2,340`, `10:30`) and all else a separator. CJK characters are words of their own.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + word_start(text.get(at..)?)?;
        let end = start + word_length(&text[start..]);
        at = end;
        Some(&text[start..end])
    })
}

/// ASCII goes byte by byte: this runs over every character of every passage.
fn word_start(text: &str) -> Option<usize> {
    let at = text.bytes().position(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())?;
    if text.as_bytes()[at].is_ascii() {
        return Some(at);
    }
    text[at..].find(char::is_alphanumeric).map(|more| at + more)
}

fn word_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let letters = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    match bytes.get(letters) {
        None => return letters,
        Some(b'.' | b',' | b':') if bytes[letters.saturating_sub(1)].is_ascii_digit() => {}
        Some(byte) if byte.is_ascii() => return letters,
        Some(_) => {}
    }
    let mut characters = text.char_indices().peekable();
    let mut digits_only = true;
    while let Some((at, character)) = characters.next() {
        if is_cjk(character) {
            return if at == 0 { character.len_utf8() } else { at };
        }
        if character.is_alphanumeric() {
            digits_only &= character.is_ascii_digit();
            continue;
        }
        let next_is_digit = characters.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        if !(digits_only && next_is_digit && matches!(character, '.' | ',' | ':')) {
            return at;
        }
    }
    text.len()
}

fn is_cjk(character: char) -> bool {
    matches!(u32::from(character), 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF)
}

/// The word in lower case.
pub(crate) fn lower_case(word: &str, into: &mut String) {
    into.clear();
    if word.is_ascii() {
        into.push_str(word);
        into.make_ascii_lowercase();
    } else {
        into.extend(word.chars().flat_map(char::to_lowercase));
    }
}

/// Lower case and stemmed, separators of thousands dropped; what words are compared by.
pub(crate) fn normal(word: &str, into: &mut String) {
    lower_case(word, into);
    if into.starts_with(|c: char| c.is_ascii_digit()) {
        into.retain(|c| c != ',');
    } else {
        stem(into);
    }
}

/// Whether the word only holds a sentence together, or only makes it a question.
pub(crate) fn is_stopword(lower: &str) -> bool {
    STOPWORDS.binary_search(&lower).is_ok()
}

/// Whether a word is a number, written in digits or in letters.
pub(crate) fn is_number(lower: &str) -> bool {
    lower.as_bytes().first().is_some_and(u8::is_ascii_digit) || NUMBERS.binary_search(&lower).is_ok()
}

/// Whether a word names a month, a day or a time of day or year.
pub(crate) fn is_calendar(lower: &str) -> bool {
    CALENDAR.binary_search(&lower).is_ok()
}

/// The other words of the groups that `word` is in.
pub(crate) fn synonyms(word: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    GROUPS
        .iter()
        .filter(move |group| group.iter().any(|member| same_stem(member, word)))
        .flat_map(|group| group.iter().copied())
        .filter(move |member| !same_stem(member, word))
}

fn same_stem(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (String::new(), String::new());
    normal(a, &mut left);
    normal(b, &mut right);
    left == right
}

// The first three tables are sorted, for binary search.

const STOPWORDS: &[&str] = &[
    "a", "about", "actually", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "because", "been", "before", "being", "but", "by", "can", "could", "d", "did", "do", "does", "doing", "don",
    "each", "explain", "find", "for", "from", "get", "gets", "give", "had", "has", "have", "having", "he", "her",
    "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "kind", "know", "let",
    "like", "ll", "long", "m", "many", "may", "me", "might", "more", "most", "much", "must", "my", "no", "not", "of",
    "off", "on", "one", "only", "or", "other", "our", "ours", "out", "over", "please", "re", "s", "shall", "she",
    "should", "so", "some", "such", "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "through", "to", "too", "under", "up", "us", "ve", "very", "was", "we", "were", "what",
    "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you",
    "your", "yours",
];

const NUMBERS: &[&str] = &[
    "billion",
    "dozen",
    "eight",
    "eighteen",
    "eighty",
    "eleven",
    "fifteen",
    "fifty",
    "five",
    "forty",
    "four",
    "fourteen",
    "half",
    "hundred",
    "million",
    "nine",
    "nineteen",
    "ninety",
    "none",
    "one",
    "seven",
    "seventeen",
    "seventy",
    "six",
    "sixteen",
    "sixty",
    "ten",
    "thirteen",
    "thirty",
    "thousand",
    "three",
    "twelve",
    "twenty",
    "twice",
    "two",
    "zero",
];

const CALENDAR: &[&str] = &[
    "april",
    "august",
    "autumn",
    "december",
    "february",
    "friday",
    "january",
    "july",
    "june",
    "march",
    "may",
    "midnight",
    "monday",
    "noon",
    "november",
    "october",
    "saturday",
    "september",
    "spring",
    "summer",
    "sunday",
    "thursday",
    "today",
    "tomorrow",
    "tuesday",
    "wednesday",
    "winter",
    "yesterday",
];

/// Words of plain English, and of running software, that answer for each other.
const GROUPS: &[&[&str]] = &[
    &["crash", "failure", "fail", "kill", "die", "outage"],
    &["resume", "continue", "recover", "restart", "recovery", "pick"],
    &["store", "hold", "keep", "contain", "stock", "house", "save", "persist"],
    &["start", "begin", "launch", "boot", "found", "establish", "open"],
    &["stop", "halt", "end", "finish", "terminate", "close", "cancel"],
    &["create", "make", "build", "produce", "manufacture", "generate"],
    &["delete", "remove", "erase", "drop"],
    &["buy", "purchase", "acquire", "order"],
    &["cost", "price", "charge", "fee"],
    &["lead", "manage", "run", "head", "direct", "supervise", "manager", "director"],
    &["employ", "staff", "employee", "worker", "hire"],
    &["write", "author", "record"],
    &["limit", "cap", "bound", "maximum", "most", "ceiling"],
    &["allow", "permit", "grant", "approve"],
    &["deny", "refuse", "reject", "forbid", "block"],
    &["send", "ship", "deliver", "dispatch"],
    &["receive", "accept", "take"],
    &["locate", "situate", "lie", "stand", "base"],
    &["use", "employ", "rely"],
    &["weigh", "weight", "mass"],
    &["error", "fault", "mistake"],
    &["configure", "configuration", "setting", "set", "option"],
    &["install", "setup"],
    &["safe", "secure", "security", "safety"],
    &["fast", "quick", "speed", "performance"],
    &["big", "large", "size"],
    &["change", "modify", "edit", "alter", "update"],
    &["show", "display", "print"],
    &["test", "check", "verify"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_numbers_whole_and_cut_the_rest() {
        let found: Vec<&str> = words("L9's run-time costs 2,340.5 at 10:30, v1.2; 仓库 naïve.").collect();
        let expected = ["L9", "s", "run", "time", "costs", "2,340.5", "at", "10:30", "v1", "2", "仓", "库", "naïve"];
        assert_eq!(found, expected);
    }

    #[test]
    fn tables_are_sorted() {
        assert!(STOPWORDS.is_sorted() && NUMBERS.is_sorted() && CALENDAR.is_sorted());
        assert!(is_stopword("how") && !is_stopword("crash"));
    }

    #[test]
    fn synonyms_go_by_stem() {
        assert!(synonyms("stores").any(|word| word == "hold"));
        assert!(synonyms("zorvik").next().is_none());
    }
}
