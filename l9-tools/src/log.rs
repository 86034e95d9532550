//! The lines a tool logs: counted, escaped, cut at a limit.
//!
//! What a tool writes is foreign text. It must not forge further lines, move a
//! terminal's cursor or reorder text, so everything but printable characters is
//! written as an escape. A log that is full drops lines; it never fails the call.

use l9_core::tool::LogLine;

/// Characters of one line that are kept.
const LINE_CHARACTERS: usize = 2_000;

/// A log of at most so many bytes.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Vec<LogLine>,
    left: usize,
    dropped: u64,
}

impl Log {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { lines: Vec::new(), left: usize::try_from(bytes).unwrap_or(usize::MAX), dropped: 0 }
    }

    /// Keeps the line, or what of it fits.
    pub(crate) fn add(&mut self, level: &str, message: &str) {
        if self.left <= level.len() {
            self.dropped += 1;
            return;
        }
        let message = printable(message, LINE_CHARACTERS.min(self.left - level.len()));
        self.left = self.left.saturating_sub(level.len() + message.len());
        self.lines.push(LogLine { level: level.to_owned(), message });
    }

    /// The lines; the last one tells how many did not fit.
    pub(crate) fn finish(mut self) -> Vec<LogLine> {
        if self.dropped > 0 {
            let message = format!("{} more lines were dropped: the log is full", self.dropped);
            self.lines.push(LogLine { level: "warn".to_owned(), message });
        }
        self.lines
    }
}

/// The text with everything unprintable escaped, at most `limit` bytes of it.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        if is_plain(character) {
            if out.len() + character.len_utf8() > limit {
                break;
            }
            out.push(character);
        } else {
            let escaped = character.escape_default();
            if out.len() + escaped.len() > limit {
                break;
            }
            out.extend(escaped);
        }
    }
    out
}

/// Whether a character shows as itself: no control, no line or paragraph separator, nothing
/// that changes the direction of text or that Unicode lets programs not show at all
/// (`Default_Ignorable_Code_Point`).
pub(crate) fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_forge_another_or_reorder_text() {
        let mut log = Log::new(1_000);
        log.add("error", "one\r\n{\"level\":\"info\"}\u{1b}[31m\u{202e}evil\u{200b}");
        let lines = log.finish();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].message, "one\\r\\n{\"level\":\"info\"}\\u{1b}[31m\\u{202e}evil\\u{200b}");
    }

    #[test]
    fn what_need_not_be_shown_is_not_plain() {
        let ends = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180f}\u{200b}\u{202e}\u{2060}\u{206f}\u{3164}\
                    \u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{1bca3}\u{1d173}\u{e0001}\u{e0100}\u{e01ef}\u{e0fff}";
        assert_eq!(ends.chars().find(|character| is_plain(*character)), None);
        assert!("aé語🪿 -".chars().all(is_plain));
    }

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut log = Log::new(100);
        for _ in 0..50 {
            log.add("info", "0123456789");
        }
        let lines = log.finish();
        assert!(lines.iter().map(|line| line.level.len() + line.message.len()).sum::<usize>() < 200);
        assert!(lines.last().unwrap().message.contains("dropped"));
    }
}
