//! Text as the flow of values sees it: words, numbers, links, and the keys they are found by.
//!
//! A word is what stands between spaces, brackets and quotes, without the marks at its
//! edges: an address, an account, a name. Nothing here knows what a word means.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

/// Endings of file names, so that `report.pdf` is not taken for a host.
const FILES: &[&str] = &[
    "bmp", "bz2", "css", "csv", "doc", "docx", "gif", "gz", "htm", "html", "ini", "jpeg", "jpg", "js", "json", "jsonl",
    "log", "md", "odt", "pdf", "png", "ppt", "pptx", "py", "rs", "rtf", "sh", "sql", "svg", "tar", "toml", "tsv",
    "txt", "wav", "xls", "xlsx", "xml", "yaml", "yml", "zip",
];

/// Keys of words.
pub(super) type Keys<K = u128> = HashSet<K, BuildHasherDefault<Own>>;

/// Something by the keys of words.
pub(super) type ByKey<K, V> = HashMap<K, V, BuildHasherDefault<Own>>;

/// The hash of a key: each is its own, for it is one already.
#[derive(Default)]
pub(super) struct Own(u64);

impl Hasher for Own {
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The key of a word, or of words that stand side by side. Second preimages would have to be
/// found for a fixed key, so whatever endorses a value uses [`strong`] instead.
pub(super) fn weak(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The key of two words side by side.
pub(super) fn weak_pair(one: &str, other: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    [one, " ", other].iter().for_each(|part| hasher.write(part.as_bytes()));
    hasher.finish()
}

/// The key of a value that may be endorsed by it: 128 bits, so that no other value has it.
pub(super) fn strong(text: &str) -> u128 {
    let mut growing = Growing::default();
    growing.add(text);
    growing.key()
}

/// Words side by side, keyed as they become more.
pub(super) struct Growing {
    weak: DefaultHasher,
    other: DefaultHasher,
    empty: bool,
}

impl Default for Growing {
    fn default() -> Self {
        let mut other = DefaultHasher::new();
        other.write(&[0xa5]);
        Self { weak: DefaultHasher::new(), other, empty: true }
    }
}

impl Growing {
    pub(super) fn add(&mut self, word: &str) {
        let between: &[u8] = if std::mem::take(&mut self.empty) { b"" } else { b" " };
        for bytes in [between, word.as_bytes()] {
            self.weak.write(bytes);
            self.other.write(bytes);
        }
    }

    /// The strong key of all that was added, with a space in between.
    pub(super) fn key(&self) -> u128 {
        (u128::from(self.weak.finish()) << 64) | u128::from(self.other.finish())
    }
}

/// The key that [`weak`] gives to the text of a strong one.
pub(super) fn weakened(strong: u128) -> u64 {
    u64::try_from(strong >> 64).unwrap_or_default()
}

/// Which of the ASCII characters stand between words.
const SEPARATES: [bool; 128] = {
    let mut all = [false; 128];
    let marks = b"\t\n\x0b\x0c\r <>()[]{}\"`|,;";
    let mut at = 0;
    while at < marks.len() {
        all[marks[at] as usize] = true;
        at += 1;
    }
    all
};

fn separates(character: char) -> bool {
    match SEPARATES.get(character as usize) {
        Some(separates) => *separates,
        None => character.is_whitespace() || matches!(character, '“' | '”' | '‘' | '«' | '»' | '—'),
    }
}

fn is_edge(character: char) -> bool {
    matches!(character, '.' | ':' | '!' | '?' | '\'' | '’' | '*' | '_' | '~' | '#' | '@' | '/' | '\\' | '…' | '-' | '=')
}

/// The pieces of a text as they stand there, the marks at their edges cut off.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    Split(Some(text)).map(|piece| piece.trim_matches(is_edge)).filter(|piece| !piece.is_empty())
}

/// What stands between separators, of a text that is looked at byte by byte: most are ASCII.
struct Split<'a>(Option<&'a str>);

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.take()?;
        let stops = |byte: &u8| SEPARATES.get(usize::from(*byte)).is_none_or(|separates| *separates);
        let mut at = 0;
        while let Some(ahead) = text.as_bytes()[at..].iter().position(stops) {
            at += ahead;
            let length = text[at..].chars().next().map_or(1, char::len_utf8);
            if text[at..].starts_with(separates) {
                self.0 = Some(&text[at + length..]);
                return Some(&text[..at]);
            }
            at += length;
        }
        Some(text)
    }
}

/// A piece as it is compared: in small letters, without scheme and possessive.
fn word(piece: &str) -> String {
    let bare = without_scheme(piece).trim_end_matches(is_edge);
    let bare = bare.strip_suffix("'s").or_else(|| bare.strip_suffix("’s")).unwrap_or(bare);
    let mut word = bare.to_lowercase();
    if let Some(number) = number(&word) {
        word = plain(number);
    }
    word
}

fn without_scheme(piece: &str) -> &str {
    match piece.split_at_checked(8) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https://") => rest,
        _ => match piece.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => rest,
            _ => piece,
        },
    }
}

/// The words of a text.
pub(super) fn words(text: &str) -> Vec<String> {
    pieces(text).map(word).filter(|word| !word.is_empty()).collect()
}

/// A number without anything that could be written otherwise: `10.00` is `10`.
pub(super) fn plain(number: f64) -> String {
    match number.fract() == 0.0 && number.abs() < 1e15 {
        true => itoa::Buffer::new().format(number as i64).to_owned(),
        false => number.to_string(),
    }
}

/// The number that a word is: digits, at most one point, a sign of money before or a sign of
/// percent after left aside.
pub(super) fn number(word: &str) -> Option<f64> {
    if word.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let digits = word.trim_start_matches(['$', '£', '€']).trim_end_matches(['%', '$', '£', '€']);
    let plain = (1..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.starts_with(|first: char| first.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The numbers of a text, and whether each is said to be one of a hundred. `1,050` is one
/// number; a date is none.
pub(super) fn numbers(text: &str) -> Vec<(f64, bool)> {
    let mut found = Vec::new();
    let mut pieces = text.split(char::is_whitespace).peekable();
    while let Some(piece) = pieces.next() {
        let piece = piece.trim_matches(|mark: char| !mark.is_alphanumeric() && !matches!(mark, '%'));
        let thousands = is_grouped(piece.trim_end_matches('%')).then(|| piece.replace(',', ""));
        if let Some(value) = number(thousands.as_deref().unwrap_or(piece)) {
            let hundredth = piece.ends_with('%') || pieces.peek().is_some_and(|next| next.starts_with("percent"));
            found.push((value, hundredth));
        }
    }
    found
}

fn is_grouped(piece: &str) -> bool {
    let whole = piece.split('.').next().unwrap_or_default();
    whole.contains(',') && whole.split(',').skip(1).all(|group| group.len() == 3)
}

/// The links of a text as they stand there, and whether each can be nothing else: a bare name
/// with a dot in it may be a slip of the pen.
pub(super) fn links(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let may_be = |piece: &&str| piece.bytes().any(|byte| matches!(byte, b'.' | b':'));
    pieces(text).filter(may_be).filter_map(|piece| {
        let piece = piece.rsplit_once("=http").map_or(piece, |(before, _)| &piece[before.len() + 1..]);
        link(piece).map(|certain| (piece, certain))
    })
}

fn link(piece: &str) -> Option<bool> {
    if piece.contains("://") {
        return Some(true);
    }
    let (host, path) = piece.split_once(['/', '?', '#']).map_or((piece, None), |(host, path)| (host, Some(path)));
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let labels: Vec<&str> = host.split('.').collect();
    let sound = |label: &&str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || !byte.is_ascii())
    };
    let last = labels.last().copied().unwrap_or_default();
    if labels.len() < 2 || !labels.iter().all(sound) {
        return None;
    }
    let numeric = labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok());
    let named = (2..=24).contains(&last.len()) && last.chars().all(char::is_alphabetic);
    if numeric || (named && (path.is_some() || host.to_ascii_lowercase().starts_with("www."))) {
        return Some(true);
    }
    (named && !FILES.contains(&last.to_ascii_lowercase().as_str())).then_some(false)
}

/// The key under which a link is known letter by letter; only its scheme is left aside.
pub(super) fn link_key(link: &str) -> u64 {
    weak(without_scheme(link.trim_matches(is_edge)).trim_end_matches(is_edge))
}

/// The host of a link.
pub(super) fn host(link: &str) -> String {
    let bare = without_scheme(link);
    let host = bare.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    host.split(':').next().unwrap_or_default().to_lowercase()
}

/// Whether a word is the address of somebody or something, and no word of a language: a
/// link, a mail address, an account.
pub(super) fn is_address(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    (word.contains('@') && word.contains('.')) || (digits >= 4 && word.len() >= 8) || link(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_what_surrounds_them() {
        assert_eq!(
            words("Mail (Ada@Orchard.example), 'bob’s' file: 10.00!"),
            ["mail", "ada@orchard.example", "bob", "file", "10"]
        );
        assert_eq!(words("https://www.Foo.example/a/"), words("see www.foo.example/a.")[1..]);
        assert_eq!(words(" ,.; "), Vec::<String>::new());
    }

    #[test]
    fn a_strong_key_tells_the_weak_one_however_the_text_grew() {
        let text = "ada lovelace of 10 downing street, as a telephone book has her";
        assert_eq!(weakened(strong(text)), weak(text));
        for (cut, _) in text.match_indices(' ') {
            let mut growing = Growing::default();
            growing.add(&text[..cut]);
            growing.add(&text[cut + 1..]);
            assert_eq!(growing.key(), strong(text), "cut at {cut}");
            assert_eq!(weak_pair(&text[..cut], &text[cut + 1..]), weak(text), "cut at {cut}");
        }
    }

    #[test]
    fn white_space_and_brackets_stand_between_words() {
        let between = |character: &char| separates(*character);
        let all: String = (0..=0x7f_u8).map(char::from).filter(between).collect();
        assert_eq!(all, "\t\n\x0b\x0c\r \"(),;<>[]`{|}");
        assert!(all.chars().filter(|character| character.is_whitespace()).count() == 6);
        assert!(['\u{a0}', '\u{2003}', '“', '—'].iter().all(between) && !separates('é'));
    }

    #[test]
    fn numbers_are_read_and_dates_are_not() {
        assert_eq!(
            numbers("19.5% of £1,050 and 12.00, not 2022-04-01 nor 3GS"),
            [(19.5, true), (1050.0, false), (12.0, false)]
        );
        assert_eq!(numbers("10 percent"), [(10.0, true)]);
    }

    #[test]
    fn links_are_found_wherever_they_hide() {
        let found = |text: &'static str| links(text).map(|(link, _)| link).collect::<Vec<_>>();
        assert_eq!(
            found("see ![x](https://evil.example/?q=1) or www.rook.example."),
            ["https://evil.example/?q=1", "www.rook.example"]
        );
        assert_eq!(
            found("bare rook.example/path and 10.0.0.1 and <a href=http://h.example>"),
            ["rook.example/path", "10.0.0.1", "http://h.example"]
        );
        assert_eq!(found("a file report.pdf, e.g. 3.5 and ada@orchard.example"), Vec::<&str>::new());
        assert!(links("it is rook.example").all(|(_, certain)| !certain));
        assert_eq!(host("https://ada@Evil.example:80/x"), "evil.example");
    }
}
