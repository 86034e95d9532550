//! What a secret looks like when somebody has encoded it.
//!
//! It knows single encodings only: who encodes twice, encrypts or paraphrases is not found.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

/// A secret shorter than this is looked for whole only.
const FRAGMENTED: usize = 16;
/// Words shorter than this are not looked for by themselves: masking them would mask
/// ordinary text.
pub(super) const SHORTEST: usize = 8;

/// The longest words of what begins keys by custom, such as `github_pat_`, and the longest of all.
const CUSTOMARY: usize = 6;
const CUSTOM: usize = 20;
/// As many bytes of a secret and more are nobody's to know, apart from how it begins.
const UNKNOWN: usize = 24;

/// One look of one secret.
pub(super) struct Form {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// So many bytes of it in a row are told from ordinary text.
    pub(super) telling: usize,
    /// What of it anybody knows. It does not count: whoever could have a byte after it masked, or
    /// not, would guess the secret byte by byte.
    pub(super) public: Range<usize>,
}

impl Form {
    /// Whether a part of it tells.
    pub(super) fn tells(&self, part: &Range<usize>) -> bool {
        let public = self.public.end.min(part.end).saturating_sub(self.public.start.max(part.start));
        part.len() - public >= self.telling
    }
}

/// Every look of a secret: as it is and each of its words, reversed, in percent-encoding,
/// hex, JSON, and base64 wherever it may begin.
pub(super) fn of(secret: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let words = secret.split_whitespace().filter(|word| *word != secret);
    for text in std::iter::once(secret).chain(words).filter(|text| text.len() >= SHORTEST) {
        for (form, telling, public) in looks(text) {
            if form.len() >= SHORTEST && !forms.iter().any(|known| known.bytes.as_slice() == form.as_slice()) {
                let telling = telling.clamp(SHORTEST, form.len());
                forms.push(Form { bytes: Zeroizing::new(form), telling, public });
            }
        }
    }
    forms
}

/// How many bytes of a secret anybody knows: the words that begin keys of its kind, such as
/// `sk-ant-`, or the head of a JSON web token. Where little comes after them they count as the rest.
fn known(text: &str) -> usize {
    let head = text.find('.').filter(|_| text.starts_with("eyJ")).map(|end| end + 1);
    let mut words = 0;
    while let Some(length) = text.as_bytes()[words..].iter().position(|byte| !byte.is_ascii_alphanumeric()) {
        let separates = matches!(text.as_bytes()[words + length], b'-' | b'_' | b'.' | b':' | b' ');
        if !(1..=CUSTOMARY).contains(&length) || !separates || words + length + 1 > CUSTOM {
            break;
        }
        words += length + 1;
    }
    let known = head.unwrap_or(words);
    if text.len() - known >= UNKNOWN + known { known } else { 0 }
}

/// The looks of one text, each with how much of it tells, and what of it anybody knows.
fn looks(text: &str) -> Vec<(Vec<u8>, usize, Range<usize>)> {
    let whole = text.len() < FRAGMENTED;
    let known = known(text);
    // Whoever cuts a text in two leaves half of it in one piece.
    let part = (text.len() / 2).clamp(8, 12);
    let scaled = |form: Vec<u8>, per_byte: usize, public: usize| {
        let telling = if whole { form.len() } else { part * per_byte };
        (form, telling, 0..public)
    };
    let every = |uppercase: bool| {
        let byte = |byte: &u8| if uppercase { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
        text.as_bytes().iter().map(byte).collect::<String>().into_bytes()
    };
    let quoted = Value::from(text).to_string();
    let encoded = percent(&text[..known], true).len();
    let mut reversed = scaled(text.chars().rev().collect::<String>().into_bytes(), 1, 0);
    reversed.2 = text.len() - known..text.len();
    let mut looks = vec![
        scaled(text.as_bytes().to_vec(), 1, known),
        reversed,
        scaled(quoted.as_bytes()[1..quoted.len() - 1].to_vec(), 1, known),
        scaled(percent(text, true), 1, encoded),
        scaled(percent(text, false), 1, encoded),
        scaled(every(true), 3, 3 * known),
        scaled(every(false), 3, 3 * known),
        scaled(hex::encode(text).into_bytes(), 2, 2 * known),
        scaled(hex::encode_upper(text).into_bytes(), 2, 2 * known),
    ];
    for offset in 0..3 {
        let padded = [&[0; 2][..offset], text.as_bytes()].concat();
        for digits in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            let form = inner(&digits, offset, padded.len()).as_bytes().to_vec();
            // The digits at either end of a part depend on its neighbours.
            let telling = if whole { form.len() } else { part * 4 / 3 - 2 };
            let public = if known == 0 { 0 } else { ((offset + known) * 4).div_ceil(3) };
            looks.push((form, telling, 0..public));
        }
    }
    looks
}

/// The digits of base64 that depend on the text alone, which begins `offset` bytes after a
/// multiple of three.
fn inner(digits: &str, offset: usize, padded: usize) -> &str {
    let end = if padded.is_multiple_of(3) { digits.len() } else { digits.len() - 1 };
    let start = if offset == 0 { 0 } else { offset + 1 };
    &digits[start..end]
}

/// Percent-encoded (RFC 3986), unreserved characters as they are.
fn percent(text: &str, uppercase: bool) -> Vec<u8> {
    let byte = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        other if uppercase => format!("%{other:02X}"),
        other => format!("%{other:02x}"),
    };
    text.as_bytes().iter().map(byte).collect::<String>().into_bytes()
}
