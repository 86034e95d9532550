//! The characters of a document, as the Encoding and HTML standards of WHATWG have it: a byte
//! order mark says which, else its `content-type`, else a page's own `meta`, else it is UTF-8.
//!
//! It reads no further into a page than it must to find that.

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use l9_core::tool::ToolFault;

/// Where in a page its `meta` must stand.
const SCANNED: usize = 1_024;

/// The text of a document; bytes that are no character are shown as such.
///
/// # Errors
/// `failed` for a charset of the `content-type` that is not known.
pub(super) fn decoded(body: &[u8], declared: Option<&str>, is_page: bool) -> Result<String, ToolFault> {
    let marked = Encoding::for_bom(body);
    let (encoding, mark) = match (marked, declared) {
        (Some(marked), _) => marked,
        (None, Some(label)) => (known(label)?, 0),
        (None, None) if is_page => (of_page(&body[..body.len().min(SCANNED)]).unwrap_or(UTF_8), 0),
        (None, None) => (UTF_8, 0),
    };
    let (text, _) = encoding.decode_without_bom_handling(&body[mark..]);
    Ok(text.into_owned())
}

fn known(label: &str) -> Result<&'static Encoding, ToolFault> {
    // What replaces a document whole is for those that are dangerous to read.
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT).ok_or_else(|| {
        let label = crate::log::printable(label, 40);
        let mend = "have the server say one of the charsets that browsers read, such as utf-8";
        ToolFault::new("failed", format!("the document is written in {label:?}, which is not known: {mend}"))
    })
}

/// What the first `meta` of a page says that says so.
fn of_page(page: &[u8]) -> Option<&'static Encoding> {
    let mut scan = Scan(page);
    while !scan.0.is_empty() {
        if scan.0.starts_with(b"<!--") {
            scan.0 = after(&scan.0[2..], b"-->");
        } else if matches!(scan.0, [b'<', b'!' | b'?', ..]) {
            scan.0 = after(scan.0, b">");
        } else if matches!(scan.0, [b'<', next, ..] if next.is_ascii_alphabetic() || *next == b'/') {
            scan.0 = &scan.0[1..];
            let tag = scan.take(|byte| !is_space(byte) && !matches!(byte, b'/' | b'>')).to_ascii_lowercase();
            let (mut charset, mut content, mut is_content_type) = (None, None, false);
            while let Some((name, value)) = scan.attribute() {
                match name.as_slice() {
                    b"charset" => charset = charset.or(Some(value)),
                    b"content" => content = content.or_else(|| within(value)),
                    b"http-equiv" => is_content_type |= value.eq_ignore_ascii_case(b"content-type"),
                    _ => {}
                }
            }
            let label = charset.or(content.filter(|_| is_content_type)).filter(|_| tag == b"meta");
            if let Some(encoding) = label.and_then(Encoding::for_label).filter(|encoding| *encoding != REPLACEMENT) {
                return Some(readable(encoding));
            }
        } else {
            scan.0 = &scan.0[1..];
        }
    }
    None
}

/// What was read of the page so far says that it is no UTF-16.
fn readable(encoding: &'static Encoding) -> &'static Encoding {
    match encoding {
        wide if wide == UTF_16BE || wide == UTF_16LE => UTF_8,
        own if own == X_USER_DEFINED => WINDOWS_1252,
        other => other,
    }
}

/// The charset within `text/html; charset=…`.
fn within(content: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"charset";
    let at = content.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))?;
    let mut scan = Scan(&content[at + NAME.len()..]);
    scan.take(is_space);
    scan.0 = scan.0.strip_prefix(b"=")?;
    scan.take(is_space);
    Some(scan.value(|byte| is_space(byte) || byte == b';'))
}

/// What is left to look at.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// The next attribute of a tag: its name in lowercase, and its value.
    fn attribute(&mut self) -> Option<(Vec<u8>, &'a [u8])> {
        self.take(|byte| is_space(byte) || byte == b'/');
        if matches!(self.0, [] | [b'>', ..]) {
            return None;
        }
        let mut name = self.take(|byte| byte == b'=').to_ascii_lowercase();
        name.extend(self.take(|byte| !is_space(byte) && !matches!(byte, b'=' | b'/' | b'>')).to_ascii_lowercase());
        self.take(is_space);
        let Some(rest) = self.0.strip_prefix(b"=") else { return Some((name, b"")) };
        self.0 = rest;
        self.take(is_space);
        Some((name, self.value(|byte| is_space(byte) || byte == b'>')))
    }

    /// A value in quotes, or one up to where it ends without any.
    fn value(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let [quote @ (b'"' | b'\''), rest @ ..] = self.0 else { return self.take(|byte| !ends(byte)) };
        self.0 = rest;
        let value = self.take(|byte| byte != *quote);
        self.0 = self.0.get(1..).unwrap_or_default();
        value
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

/// What stands behind some text, or nothing.
fn after<'a>(bytes: &'a [u8], text: &[u8]) -> &'a [u8] {
    let at = bytes.windows(text.len()).position(|window| window == text);
    at.map_or(&[], |at| &bytes[at + text.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(head: &[u8]) -> String {
        let text = decoded(&[head, b"|\xe4\xf6\x80"].concat(), None, true).unwrap();
        text.rsplit_once('|').unwrap().1.to_owned()
    }

    #[test]
    fn a_page_says_itself_how_it_is_written() {
        for head in [
            "<meta charset=windows-1252>",
            "<META CharSet = 'ISO-8859-1' >",
            "<!doctype html><?xml version='1.0'?><html lang=\"a>b\"><title>x</title><meta name=a content=b><meta charset=latin1 />",
            "<!-- <meta charset=utf-8> --><meta charset=\"cp1252\">",
            "<!--><meta charset=latin1>",
            "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=iso-8859-1\">",
            "<meta content='text/html;CHARSET = \"latin1\"' http-equiv=content-type>",
            "<meta charset=no-such><meta charset=x-user-defined>",
        ] {
            assert_eq!(page(head.as_bytes()), "äö€", "{head}");
        }
        assert_eq!(page(b"<meta charset=windows-1251>"), "дцЂ");
        let late = [b"<p>".as_slice(), &[b' '; SCANNED], b"<meta charset=latin1>"].concat();
        for other in [
            b"<p>".as_slice(),
            b"<meta charset=utf-16le>",
            b"<meta content='text/html; charset=latin1'>",
            b"<meta http-equiv=refresh content='0; charset=latin1'>",
            b"<metadata charset=latin1>",
            b"<a title='<meta charset=latin1>'>",
            b"<!-- <meta charset=latin1> -->",
            b"<meta charset=iso-2022-kr>",
            b"<meta charset",
            b"<",
            &late,
        ] {
            assert_eq!(page(other), "\u{fffd}\u{fffd}\u{fffd}", "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn a_mark_goes_before_the_server_and_the_server_before_the_page() {
        let text = |body: &[u8], declared| decoded(body, declared, true).unwrap();
        assert_eq!(text(b"\xef\xbb\xbf\xc3\xa4", Some("latin1")), "ä");
        assert_eq!(text(b"\xff\xfea\0", None), "a");
        assert_eq!(text(b"\xfe\xff\0a", Some("utf-8")), "a");
        assert_eq!(text(b"<meta charset=utf-8>\xe4", Some("iso-8859-1")), "<meta charset=utf-8>ä");
        assert_eq!(text(b"\x93\xfa\x96{", Some("shift_jis")), "日本");
        assert_eq!(decoded(b"<meta charset=latin1>\xc3\xa4", None, false).unwrap(), "<meta charset=latin1>ä");
        for unknown in ["klingon", "iso-2022-kr", ""] {
            let message = decoded(b"a", Some(unknown), true).unwrap_err().message;
            assert!(message.contains(&format!("{unknown:?}, which is not known")), "{message}");
        }
    }
}
