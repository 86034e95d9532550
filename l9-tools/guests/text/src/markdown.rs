//! Cuts a Markdown text into the units that can be quoted: sentences, list items, table rows,
//! code blocks and headings, each with the section it stands in.
//!
//! Block structure after CommonMark, as far as quoting needs it; nothing is rendered.

use std::ops::Range;

use crate::sentence::{sentences, trimmed};

/// A list item longer than this, in bytes, is cut into its sentences.
const LONG_ITEM: usize = 320;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Heading,
    Sentence,
    Item,
    Row,
    Code,
}

/// A part of the text that makes sense by itself.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// The quotable bytes, markers and white space left out.
    pub(crate) range: Range<usize>,
    /// Where the unit begins with its markers.
    pub(crate) outer: usize,
    pub(crate) kind: Kind,
    /// Units of one paragraph, item, table or code block share a number.
    pub(crate) block: usize,
    /// The unit that is its nearest heading; for a heading the one above it.
    pub(crate) heading: Option<usize>,
    /// The unit that introduces it: a sentence ending in a colon, or a table's first row.
    pub(crate) lead: Option<usize>,
}

/// The units of `text` in order.
pub(crate) fn units(text: &str) -> Vec<Unit> {
    let mut reader =
        Reader { text, units: Vec::new(), headings: Vec::new(), pending: None, blocks: 0, table: None, lead: None };
    let mut lines = Lines { text, at: 0 }.peekable();
    skip_front_matter(text, &mut lines);
    while let Some(line) = lines.next() {
        if let Some(fence) = fence(&text[line.clone()]) {
            reader.flush();
            let outer = line.start;
            let mut inner = line.end..line.end;
            for next in lines.by_ref() {
                let closes = text[next.clone()].trim().trim_end_matches(fence).is_empty()
                    && text[next.clone()].trim().len() >= 3;
                if closes {
                    break;
                }
                inner = if inner.is_empty() { next } else { inner.start..next.end };
            }
            reader.push(inner, outer, Kind::Code);
        } else {
            reader.line(line);
        }
    }
    reader.flush();
    reader.units
}

/// The lines of a text as ranges, line ends left out.
#[derive(Debug, Clone)]
struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').unwrap_or(rest.len());
        let range = self.at..self.at + rest[..length].trim_end_matches('\r').len();
        self.at += length + 1;
        Some(range)
    }
}

fn skip_front_matter(text: &str, lines: &mut std::iter::Peekable<Lines<'_>>) {
    if lines.peek().is_none_or(|line| &text[line.clone()] != "---") {
        return;
    }
    let mut ahead = lines.clone();
    ahead.next();
    if ahead.by_ref().take(60).any(|line| &text[line] == "---") {
        *lines = ahead;
    }
}

#[derive(Debug)]
struct Reader<'a> {
    text: &'a str,
    units: Vec<Unit>,
    /// Level and unit of the headings above the current line.
    headings: Vec<(usize, usize)>,
    /// A paragraph or list item whose end has not been seen, with its first byte.
    pending: Option<(Range<usize>, usize, Kind)>,
    blocks: usize,
    table: Option<usize>,
    lead: Option<usize>,
}

impl Reader<'_> {
    fn line(&mut self, line: Range<usize>) {
        let outer = line.start;
        let content = unquoted(self.text, line);
        let text = &self.text[content.clone()];
        if let Some((level, range)) = heading(text) {
            self.flush();
            self.heading(level, content.start + range.start..content.start + range.end, outer);
        } else if text.is_empty() || is_noise(text) {
            self.underline_or_flush(text);
        } else if text.starts_with('|') {
            self.flush();
            self.row(content, outer);
        } else if let Some(marker) = list_marker(text) {
            self.flush();
            self.pending = Some((content.start + marker..content.end, outer, Kind::Item));
        } else if let Some((pending, _, _)) = &mut self.pending {
            pending.end = content.end;
        } else {
            self.table = None;
            self.pending = Some((content, outer, Kind::Sentence));
        }
    }

    /// `===` or `---` below a line of text makes it a heading; otherwise the paragraph ends.
    fn underline_or_flush(&mut self, text: &str) {
        let level = if text.starts_with('=') { 1 } else { 2 };
        let underlines = text.len() >= 2 && (text.bytes().all(|b| b == b'=') || text.bytes().all(|b| b == b'-'));
        match self.pending.take() {
            Some((range, outer, Kind::Sentence)) if underlines && !self.text[range.clone()].contains('\n') => {
                self.heading(level, range, outer);
            }
            pending => {
                self.pending = pending;
                self.flush();
                self.table = None;
            }
        }
    }

    fn heading(&mut self, level: usize, range: Range<usize>, outer: usize) {
        self.table = None;
        self.lead = None;
        self.headings.retain(|(above, _)| *above < level);
        if self.push(range, outer, Kind::Heading) {
            self.headings.push((level, self.units.len() - 1));
        }
    }

    fn row(&mut self, content: Range<usize>, outer: usize) {
        let row = &self.text[content.clone()];
        if row.bytes().all(|byte| matches!(byte, b'|' | b'-' | b':' | b' ')) {
            return;
        }
        let inner = row.trim_start_matches(['|', ' ']);
        let start = content.end - inner.len();
        let range = start..start + inner.trim_end_matches(['|', ' ']).len();
        let (lead, header) = (self.lead, self.table);
        if header.is_some() {
            self.lead = header;
        }
        let pushed = self.push(range, outer, Kind::Row);
        self.lead = lead;
        if pushed && header.is_none() {
            self.table = Some(self.units.len() - 1);
        }
    }

    /// Ends the pending paragraph or item.
    fn flush(&mut self) {
        let Some((range, outer, kind)) = self.pending.take() else { return };
        let found = sentences(&self.text[range.clone()]);
        if kind == Kind::Sentence {
            self.lead = None;
        } else if range.len() <= LONG_ITEM || found.len() < 2 {
            self.push(range, outer, Kind::Item);
            return;
        }
        for (number, sentence) in found.into_iter().enumerate() {
            let sentence = range.start + sentence.start..range.start + sentence.end;
            let outer = if number == 0 { outer } else { sentence.start };
            let block = self.blocks;
            if self.push(sentence, outer, kind) && number > 0 {
                // Sentences of one paragraph stay in its block.
                self.blocks = block;
                if let Some(last) = self.units.last_mut() {
                    last.block = block - 1;
                }
            }
        }
        if kind == Kind::Sentence && self.text[range].trim_end().ends_with(':') {
            self.lead = self.units.len().checked_sub(1);
        }
    }

    /// Adds a unit in a block of its own, unless it is empty.
    fn push(&mut self, range: Range<usize>, outer: usize, kind: Kind) -> bool {
        let range = trimmed(self.text, range);
        if range.is_empty() {
            return false;
        }
        let heading = self.headings.last().map(|(_, unit)| *unit);
        self.units.push(Unit { range, outer, kind, block: self.blocks, heading, lead: self.lead });
        self.blocks += 1;
        true
    }
}

fn fence(line: &str) -> Option<char> {
    let line = line.trim_start();
    ['`', '~'].into_iter().find(|&mark| line.chars().take_while(|&c| c == mark).count() >= 3)
}

/// The line without block-quote markers and white space around it.
fn unquoted(text: &str, line: Range<usize>) -> Range<usize> {
    let mut range = trimmed(text, line);
    while text[range.clone()].starts_with('>') {
        range = trimmed(text, range.start + 1..range.end);
    }
    range
}

/// Level and text of an ATX heading, trailing marks left out.
fn heading(line: &str) -> Option<(usize, Range<usize>)> {
    let level = line.bytes().take_while(|&byte| byte == b'#').count();
    let rest = &line[level..];
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let end = rest.trim_end_matches('#').trim_end().len();
    Some((level, level..level + end))
}

/// Rules, HTML tags and comments, link definitions: nothing to quote.
fn is_noise(line: &str) -> bool {
    let rule = ['-', '*', '_', '='].iter().any(|&mark| line.len() >= 2 && line.chars().all(|c| c == mark || c == ' '));
    let tag = line.starts_with('<') && line.ends_with('>') && !line.contains("</");
    rule || tag || (line.starts_with('[') && line.contains("]: "))
}

/// Length of a list marker with the space behind it and a task's box.
fn list_marker(line: &str) -> Option<usize> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &line[digits..];
    let bullet = if digits == 0 {
        rest.starts_with(['-', '*', '+', '•'])
    } else {
        digits <= 9 && rest.starts_with(['.', ')'])
    };
    let after = rest.chars().next().map_or("", |mark| &rest[mark.len_utf8()..]);
    if !bullet || !after.starts_with([' ', '\t']) {
        return None;
    }
    let content = after.trim_start();
    let content = ["[ ]", "[x]", "[X]"].iter().find_map(|b| content.strip_prefix(*b)).unwrap_or(content).trim_start();
    Some(line.len() - content.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(Kind, &str)> {
        units(text).into_iter().map(|unit| (unit.kind, &text[unit.range])).collect()
    }

    #[test]
    fn every_block_is_cut_its_own_way() {
        let text = "---\ntitle: x\n---\n# Top #\n\nFirst one. Second\none.\n\nUnder\n-----\n\n> Quoted line.\n\n\
                    - item one. Still one.\n  more\n2. [x] done\n\n```sh\ncargo run. Go.\n\nnow\n```\n\n\
                    | a | b |\n|---|---|\n| 1 | 2 |\n\n***\n<br>\n[x]: http://y\nLast.";
        let expected = [
            (Kind::Heading, "Top"),
            (Kind::Sentence, "First one."),
            (Kind::Sentence, "Second\none."),
            (Kind::Heading, "Under"),
            (Kind::Sentence, "Quoted line."),
            (Kind::Item, "item one. Still one.\n  more"),
            (Kind::Item, "done"),
            (Kind::Code, "cargo run. Go.\n\nnow"),
            (Kind::Row, "a | b"),
            (Kind::Row, "1 | 2"),
            (Kind::Sentence, "Last."),
        ];
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn units_know_their_section_and_their_lead() {
        let text = "# A\n## B\nSteps follow:\n\n- one\n- two\n\n| k | v |\n|--|--|\n| x | 1 |\n# C\nEnd. Of it.";
        let units = units(text);
        let find = |part: &str| units.iter().position(|unit| &text[unit.range.clone()] == part).unwrap();
        assert_eq!(units[find("two")].lead, Some(find("Steps follow:")));
        assert_eq!(units[find("two")].heading, Some(find("B")));
        assert_eq!(units[find("B")].heading, Some(find("A")));
        assert_eq!(units[find("x | 1")].lead, Some(find("k | v")));
        assert_eq!(units[find("End.")].heading, Some(find("C")));
        assert_eq!(units[find("C")].heading, None);
        assert_eq!(units[find("End.")].block, units[find("Of it.")].block);
        assert_ne!(units[find("one")].block, units[find("two")].block);
    }

    #[test]
    fn unfinished_blocks_are_no_trouble() {
        assert_eq!(shown("```\nopen"), [(Kind::Code, "open")]);
        assert_eq!(shown("#\n\n-\n\n|\n\n>\n\n```"), [(Kind::Sentence, "-")]);
        assert!(shown("").is_empty());
    }
}
