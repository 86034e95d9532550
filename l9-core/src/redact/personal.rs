//! Personal data by its form: addresses of mail, telephone numbers, payment cards, accounts
//! and social security numbers, by pattern and checksum.
//!
//! It reads a text once and looks a bounded way from each place, so that its cost is that of
//! the text's length whatever stands in it. It knows no names and no postal addresses, and
//! leaves addresses of machines alone: no rule tells those of people from others.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An address of mail.
    Email,
    /// A telephone number, international or in a common national form.
    Phone,
    /// The number of a payment card, by its issuer's digits and the Luhn checksum.
    Card,
    /// An international bank account number (ISO 13616), by its length and checksum.
    Iban,
    /// A United States social security number with hyphens.
    Ssn,
}

impl Kind {
    /// The name in tokens and masks.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
        }
    }

    /// The form in which equal data is equal, however it is written.
    #[must_use]
    pub fn normal(self, written: &str) -> String {
        match self {
            Self::Email => written.to_lowercase(),
            Self::Phone => written.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect(),
            Self::Card | Self::Ssn => written.chars().filter(char::is_ascii_digit).collect(),
            Self::Iban => written.chars().filter(char::is_ascii_alphanumeric).collect(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where personal data stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The bytes.
    pub range: Range<usize>,
    /// What they are.
    pub kind: Kind,
}

/// Where personal data stands, in order and apart from each other.
#[must_use]
pub fn find(text: &str) -> Vec<Found> {
    let bytes = text.as_bytes();
    let (mut found, mut at, mut free) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let one = match bytes[at] {
            b'@' => email(text, at, free),
            b'0'..=b'9' | b'+' | b'(' if begins(bytes, at) => number(bytes, at),
            b'A'..=b'Z' if begins(bytes, at) => iban(bytes, at),
            _ => None,
        };
        match one {
            Some(one) => {
                (at, free) = (one.range.end, one.range.end);
                found.push(one);
            }
            None => at += 1,
        }
    }
    found
}

/// The text with every piece of personal data replaced; borrowed if there is none.
///
/// `by` is also told where in the new text its own begins.
pub fn replace<'a>(text: &'a str, mut by: impl FnMut(usize, Kind, &str) -> String) -> Cow<'a, str> {
    let found = find(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for Found { range, kind } in found {
        out.push_str(&text[at..range.start]);
        let put = by(out.len(), kind, &text[range.clone()]);
        out.push_str(&put);
        at = range.end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// The text with every piece of personal data masked by its kind, such as `[email]`.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    replace(text, |_, kind, _| format!("[{kind}]"))
}

/// The longest part before the `@` and after it (RFC 5321).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;

fn email(text: &str, at: usize, free: usize) -> Option<Found> {
    let before = &text[text.ceil_char_boundary(at.saturating_sub(LOCAL)).max(free)..at];
    let of_local = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'');
    let local = before.rsplit(|c| !of_local(c)).next()?.trim_start_matches(['.', '\'', '-', '+', '%']);
    if !local.ends_with(char::is_alphanumeric) && !local.ends_with(['_', '+', '-']) {
        return None;
    }
    let after = &text[at + 1..text.floor_char_boundary((at + 1).saturating_add(DOMAIN))];
    let of_domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let domain = after.split(|c| !of_domain(c)).next()?.trim_end_matches(['.', '-']);
    let mut labels = domain.rsplit('.');
    let top = labels.next()?;
    let named = top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    let mut more = labels.peekable();
    let whole = more.peek().is_some() && more.all(|label| !label.is_empty() && !label.starts_with('-'));
    let range = at - local.len()..at + 1 + domain.len();
    (named && whole && !local.is_empty()).then_some(Found { range, kind: Kind::Email })
}

/// Whether a number or account may begin here: not within a word, a path, a version or an id.
fn begins(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| bytes[before]) else { return true };
    !(before.is_ascii_alphanumeric()
        || before >= 0x80
        || matches!(before, b'-' | b'.' | b'_' | b'/' | b'@' | b'#' | b'+' | b'~' | b'$'))
}

/// Whether a number or account may end here.
fn ends(bytes: &[u8], end: usize) -> bool {
    let after = |ahead: usize| bytes.get(end + ahead).copied().unwrap_or(b' ');
    match after(0) {
        b'-' | b'.' | b'/' | b':' | b',' => !after(1).is_ascii_alphanumeric(),
        b'_' | b'@' | b'%' => false,
        other => !other.is_ascii_alphanumeric() && other < 0x80 || is_set_apart(bytes, end),
    }
}

/// Whether a space, a quotation mark or a dash of text that is set, of two or three bytes, stands here.
fn is_set_apart(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    [&[0xc2, 0xa0][..], &[0xe2, 0x80, 0xaf], &[0xe2, 0x80, 0x9d], &[0xe2, 0x80, 0x9c], &[0xe2, 0x80, 0x94]]
        .iter()
        .any(|mark| rest.starts_with(mark))
}

/// The most groups and bytes of a number.
const GROUPS: usize = 8;
const REACH: usize = 40;

/// A number as it is written: groups of digits, and what stands between them.
struct Groups<'a> {
    bytes: &'a [u8],
    groups: Vec<Range<usize>>,
}

impl<'a> Groups<'a> {
    fn at(bytes: &'a [u8], start: usize) -> Self {
        let (mut groups, mut at) = (Vec::with_capacity(GROUPS), start);
        while groups.len() < GROUPS && at < bytes.len() && at - start < REACH {
            let digits = bytes[at..].iter().take(REACH).take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                break;
            }
            groups.push(at..at + digits);
            at += digits;
            // One mark between two groups, or a closing bracket and a space.
            let gap = bytes[at..]
                .iter()
                .take(3)
                .take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b')' | b'('))
                .count();
            if gap == 0 || gap > 2 {
                break;
            }
            at += gap;
        }
        Self { bytes, groups }
    }

    /// The first groups, each so long.
    fn is(&self, lengths: &[usize]) -> bool {
        self.groups.len() >= lengths.len()
            && self.groups.iter().zip(lengths).all(|(group, length)| group.len() == *length)
    }

    /// Whether between the first groups stands exactly this.
    fn apart(&self, groups: usize, by: &[&[u8]]) -> bool {
        let gaps = self.groups[..groups].windows(2).map(|two| &self.bytes[two[0].end..two[1].start]);
        let mut gaps = gaps.peekable();
        let first = gaps.peek().copied();
        gaps.all(|gap| by.contains(&gap) && Some(gap) == first)
    }

    fn digits(&self, groups: usize) -> Vec<u8> {
        self.groups[..groups]
            .iter()
            .flat_map(|group| self.bytes[group.clone()].iter().map(|byte| byte - b'0'))
            .collect()
    }

    fn end(&self, groups: usize) -> usize {
        self.groups[groups - 1].end
    }

    /// Whether a number of so many groups may end there: what follows belongs to no word.
    fn may_end(&self, groups: usize) -> bool {
        ends(self.bytes, self.end(groups))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<Found> {
    let found = |end: usize, kind| ends(bytes, end).then_some(Found { range: at..end, kind });
    match bytes[at] {
        b'+' => international(bytes, at).and_then(|end| found(end, Kind::Phone)),
        b'(' => {
            let groups = Groups::at(bytes, at + 1);
            let bracketed = bytes.get(at + 4) == Some(&b')') && groups.is(&[3, 3, 4]) && is_american(&groups.digits(3));
            if bracketed { found(groups.end(3), Kind::Phone) } else { None }
        }
        _ => {
            let groups = Groups::at(bytes, at);
            card(&groups)
                .and_then(|end| found(end, Kind::Card))
                .or_else(|| ssn(&groups).and_then(|end| found(end, Kind::Ssn)))
                .or_else(|| national(&groups).and_then(|end| found(end, Kind::Phone)))
        }
    }
}

/// The end of a card's number: the longest beginning of the groups that is one.
fn card(groups: &Groups<'_>) -> Option<usize> {
    (1..=groups.groups.len()).rev().find_map(|count| {
        let digits = groups.digits(count);
        let said = (13..=19).contains(&digits.len()) && groups.apart(count, &[b" ", b"-"]);
        // Digits in groups stand in fours, or as those of fifteen and fourteen do.
        let set = count == 1 || groups.groups[..count].iter().all(|group| (3..=6).contains(&group.len()));
        (said && set && is_issued(&digits) && is_luhn(&digits) && groups.may_end(count)).then(|| groups.end(count))
    })
}

/// Whether somebody issues cards of this length that begin so.
fn is_issued(digits: &[u8]) -> bool {
    let first = |count: usize| digits[..count].iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    match digits.len() {
        13 => first(1) == 4,
        14 => matches!(first(2), 30 | 36 | 38 | 39),
        15 => matches!(first(2), 34 | 37),
        16 => matches!(first(2), 30 | 35 | 36 | 38 | 39 | 40..=49 | 50..=69) || (2221..=2720).contains(&first(4)),
        _ => matches!(first(1), 4 | 6) || matches!(first(2), 50 | 56..=58),
    }
}

fn is_luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let each = digits.iter().rev().enumerate();
    let sum: u32 = each.map(|(at, digit)| u32::from(if at % 2 == 1 { doubled(*digit) } else { *digit })).sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

/// The end of a social security number: three, two and four digits that are given to somebody.
fn ssn(groups: &Groups<'_>) -> Option<usize> {
    if !groups.is(&[3, 2, 4]) || !groups.apart(3, &[b"-"]) {
        return None;
    }
    let part = |at: usize| &groups.bytes[groups.groups[at].clone()];
    let given = !matches!(part(0), b"000" | b"666") && part(0)[0] != b'9' && part(1) != b"00" && part(2) != b"0000";
    given.then(|| groups.end(3))
}

/// The end of an international number: a plus and 8 to 15 digits (E.164).
fn international(bytes: &[u8], at: usize) -> Option<usize> {
    let mut start = at + 1;
    start += usize::from(bytes.get(start) == Some(&b'('));
    let groups = Groups::at(bytes, start);
    if bytes.get(start).is_none_or(|first| !(b'1'..=b'9').contains(first)) {
        return None;
    }
    (1..=groups.groups.len()).rev().find_map(|count| {
        let digits = groups.digits(count).len();
        // A single digit that ends it begins something else.
        let whole = count == 1 || groups.groups[count - 1].len() >= 2;
        ((8..=15).contains(&digits) && whole && groups.may_end(count)).then(|| groups.end(count))
    })
}

/// The end of a number of a common national form: that of North America, that of a code with
/// its zero and the number behind it, and the five pairs of France.
fn national(groups: &Groups<'_>) -> Option<usize> {
    let one = groups.is(&[1, 3, 3, 4]) && groups.bytes[groups.groups[0].start] == b'1';
    if one && groups.apart(4, &[b"-", b"."]) && is_american(&groups.digits(4)[1..]) {
        return Some(groups.end(4));
    }
    if groups.is(&[3, 3, 4]) && groups.apart(3, &[b"-", b".", b" "]) && is_american(&groups.digits(3)) {
        return Some(groups.end(3));
    }
    let code = &groups.bytes[groups.groups.first()?.clone()];
    if code.len() < 2 || code[0] != b'0' || code[1] == b'0' {
        return None;
    }
    if groups.is(&[2, 2, 2, 2, 2]) && groups.apart(5, &[b" ", b"."]) {
        return Some(groups.end(5));
    }
    [3, 2].into_iter().find_map(|count| {
        let rest = groups.groups.get(1..count)?;
        let long = (6..=9).contains(&rest.iter().map(Range::len).sum::<usize>());
        let set = (3..=5).contains(&code.len()) && rest.iter().all(|group| group.len() >= 3);
        (long && set && groups.apart(count, &[b" ", b"-", b"/"]) && groups.may_end(count)).then(|| groups.end(count))
    })
}

/// Whether ten digits are a number of the North American plan.
fn is_american(digits: &[u8]) -> bool {
    // No code ends with two ones: those are services.
    matches!(digits, [2..=9, a, b, 2..=9, c, d, ..] if (*a, *b) != (1, 1) && (*c, *d) != (1, 1))
}

/// How long the accounts of each country are (the registry of ISO 13616).
const LENGTHS: &[(usize, &str)] = &[
    (15, "NO"),
    (16, "BE BI"),
    (18, "DK FK FI FO GL NL SD"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU MN XK"),
    (21, "CH HR LI LV"),
    (22, "BG BH CR DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BJ FR GR IT MC MR SM"),
    (28, "AL AZ BY CY DO GT HU LB NI PL SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
];

fn iban(bytes: &[u8], at: usize) -> Option<Found> {
    let head = bytes.get(at..at + 4)?;
    if !head[1].is_ascii_uppercase() || !head[2..].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let country = std::str::from_utf8(&head[..2]).ok()?;
    let (length, _) = LENGTHS.iter().find(|(_, countries)| countries.split(' ').any(|one| one == country))?;
    let (mut account, mut end) = (Vec::with_capacity(*length), at);
    while account.len() < *length {
        match bytes.get(end) {
            Some(byte) if byte.is_ascii_uppercase() || byte.is_ascii_digit() => account.push(*byte),
            // Written in fours.
            Some(b' ' | b'-') if account.len() % 4 == 0 && !matches!(bytes[end - 1], b' ' | b'-') => {}
            _ => return None,
        }
        end += 1;
    }
    account.rotate_left(4);
    let rest = account.iter().fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    (rest == 1 && ends(bytes, end)).then_some(Found { range: at..end, kind: Kind::Iban })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Clock as _, SystemClock};
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<(&'static str, &str)> {
        find(text).into_iter().map(|found| (found.kind.as_str(), &text[found.range])).collect()
    }

    #[test]
    fn each_kind_is_found_where_it_stands() {
        for (kind, data) in [
            ("email", "ada@example.org"),
            ("email", "Ada.Byron+notes@mail.example.co.uk"),
            ("email", "o'brien_7@x-y.example"),
            ("email", "änne@münchen.example"),
            ("phone", "+49 30 1234567"),
            ("phone", "+1 (415) 555-2671"),
            ("phone", "+442079460958"),
            ("phone", "(415) 555-2671"),
            ("phone", "415-555-2671"),
            ("phone", "1-415-555-2671"),
            ("phone", "030 1234567"),
            ("phone", "0171/1234567"),
            ("phone", "020 7946 0958"),
            ("phone", "01 23 45 67 89"),
            ("card", "4111 1111 1111 1111"),
            ("card", "4111111111111111"),
            ("card", "5500-0000-0000-0004"),
            ("card", "3782 822463 10005"),
            ("iban", "DE89 3704 0044 0532 0130 00"),
            ("iban", "GB82WEST12345698765432"),
            ("iban", "FR1420041010050500013M02606"),
            ("ssn", "078-05-1120"),
        ] {
            for (before, after) in
                [("", ""), ("it is ", ", she said"), ("(", ")"), ("tel:", "."), ("\"", "\"}"), ("\n", "\n")]
            {
                let text = format!("{before}{data}{after}");
                // A bracket before digits may belong to them.
                let found = said(&text);
                assert!(
                    found.len() == 1
                        && found[0].0 == kind
                        && found[0].1.trim_start_matches('(') == data.trim_start_matches('('),
                    "{text} {found:?}"
                );
            }
        }
        let text = "Write to ada@example.org or bob@example.org, or call +49 30 1234567.";
        assert_eq!(mask(text), "Write to [email] or [email], or call [phone].");
    }

    #[test]
    fn what_only_looks_like_it_is_left() {
        for text in [
            "2026-11-28T23:58:50.123Z",
            "0190a5d2-1234-7abc-8def-0123456789ab",
            "between 2026-01-15 and 2026-12-25, on 01.02.2026 at 10:15",
            "1.2.3.4 and 10.0.0.255:8000, version 1.95.0-beta.3",
            "4111 1111 1111 1112",
            "1234567890123456",
            "1764374330123 ms, 65536 bytes, 1 000 000 000 rows",
            "DE89 3704 0044 0532 0130 01",
            "000-12-3456 and 666-12-3456 and 912-12-3456",
            "serde@1.0.2 and name@host and @handle and a@b",
            "x+12345678 and 3+4 and C++17",
            "RFC 8785, ISO 13616, 100-200-3000",
            "0000 0000 0000 0000",
            "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "127.0.0.1:8000/runs/01890000-0000-7000-8000-000000000000",
        ] {
            assert_eq!(said(text), [], "{text}");
        }
    }

    #[test]
    fn what_follows_a_number_does_not_hide_it() {
        for (text, masked) in [
            ("+49 30 1234567 00é", "[phone] 00é"),
            ("4111 1111 1111 1111 123x", "[card] 123x"),
            ("030 1234 5678 901st", "[phone] 901st"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }

    #[test]
    fn equal_data_is_equal_however_it_is_written() {
        assert_eq!(Kind::Email.normal("Ada@Example.ORG"), "ada@example.org");
        assert_eq!(Kind::Phone.normal("+1 (415) 555-2671"), Kind::Phone.normal("+14155552671"));
        assert_eq!(Kind::Iban.normal("DE89 3704 0044 0532 0130 00"), "DE89370400440532013000");
    }

    #[test]
    fn ten_megabytes_of_anything_are_read_once() {
        let clock = SystemClock::default();
        for piece in ["@", "a@", "1 ", "+1", "(1", "4111 ", "DE89 ", "a.", "a@a.", "1-", "9", "é@", "DE8937040044"] {
            let text = piece.repeat((10 << 20) / piece.len() / 13);
            assert!(find(&text).len() <= text.len());
        }
        assert!(clock.monotonic().as_secs() < 20, "{:?}", clock.monotonic());
    }

    proptest! {
        #[test]
        fn what_is_found_stands_in_order_and_is_replaced_whole(text in "[a-z0-9A-Z@.+() \\-/é\u{a0}]{0,200}") {
            let found = find(&text);
            let mut last = 0;
            for one in &found {
                prop_assert!(one.range.start >= last && one.range.end > one.range.start);
                prop_assert!(text.is_char_boundary(one.range.start) && text.is_char_boundary(one.range.end));
                last = one.range.end;
            }
            let mut taken = Vec::new();
            let out = replace(&text, |_, _, data| { taken.push(data.to_owned()); "\u{0}".into() }).into_owned();
            let back = out.split('\u{0}').zip(taken.iter().map(String::as_str).chain([""])).map(|(a, b)| format!("{a}{b}")).collect::<String>();
            prop_assert_eq!(back, text);
        }
    }
}
