//! A document and its pages: what is read of it, and how much.

use hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use serde::Serialize;

use crate::interpreter::Interpreter;

/// Bytes of the text of all pages together.
const TEXT: usize = 512 << 10;
/// Bytes of a title.
const TITLE: usize = 2_000;
/// Where a PDF begins at the latest.
const HEADER: usize = 1_024;

/// What is asked of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The first page, from 1 on.
    pub(crate) first: usize,
    /// The most pages.
    pub(crate) most: usize,
    /// Whether text that a reader does not see is read too.
    pub(crate) whole: bool,
}

/// A document as text.
#[derive(Debug, Serialize)]
pub(crate) struct Document {
    title: String,
    /// How many pages the document has.
    page_count: usize,
    pages: Vec<Text>,
    /// Characters that the document draws without saying which they are.
    unreadable: usize,
    /// Whether there is more than this.
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct Text {
    page: usize,
    text: String,
}

/// Reads the text of some pages.
///
/// # Errors
/// A sentence for the caller when these bytes cannot be read.
pub(crate) fn read(bytes: Vec<u8>, wanted: Wanted) -> Result<Document, String> {
    let begins = bytes.windows(5).take(HEADER).any(|window| window == b"%PDF-");
    let size = bytes.len();
    let pdf = Pdf::new(bytes).map_err(|error| refused(error, begins, size))?;
    let all = pdf.pages();
    if all.is_empty() {
        return Err(refused(LoadPdfError::Invalid, begins, size));
    }
    if wanted.first > all.len() {
        return Err(format!("there is no page {}: the document has {}", wanted.first, all.len()));
    }
    let title = pdf.metadata().title.as_deref().map(title).unwrap_or_default();
    let mut document = Document { title, page_count: all.len(), pages: Vec::new(), unreadable: 0, truncated: false };
    let mut interpreter = Interpreter::default();
    let mut left = TEXT;
    for (at, page) in all.iter().enumerate().skip(wanted.first.saturating_sub(1)).take(wanted.most) {
        if left == 0 {
            break;
        }
        let read = interpreter.read(page, wanted.whole, left);
        left = if read.truncated { 0 } else { left - read.text.len() };
        document.truncated |= read.truncated;
        document.unreadable += read.unreadable;
        document.pages.push(Text { page: at + 1, text: read.text });
    }
    document.truncated |= wanted.first.saturating_sub(1) + document.pages.len() < document.page_count;
    Ok(document)
}

fn refused(error: LoadPdfError, begins: bool, size: usize) -> String {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            "the PDF is locked with a password: save a copy without one".into()
        }
        LoadPdfError::Decryption(_) => {
            "the PDF is encrypted in a way that cannot be read: save a copy without encryption".into()
        }
        LoadPdfError::Invalid if begins => {
            format!("the PDF of {size} bytes is damaged or cut off, and no page of it can be found: get the whole file")
        }
        LoadPdfError::Invalid => {
            format!("these {size} bytes are no PDF: one begins with %PDF- in its first {HEADER} bytes")
        }
    }
}

/// A text string of a document: UTF-16 or UTF-8 with a mark, or else nearly Latin-1.
fn title(bytes: &[u8]) -> String {
    let whole = match bytes {
        [0xfe, 0xff, units @ ..] => {
            let units = units.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        latin => latin.iter().copied().map(char::from).collect::<String>(),
    };
    let line: Vec<&str> =
        whole.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = line.join(" ");
    line[..line.floor_char_boundary(TITLE)].to_owned()
}
