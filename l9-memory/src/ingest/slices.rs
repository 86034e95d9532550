//! Text, Markdown and source code into slices of about a thousand characters.
//!
//! A slice begins at a heading or a paragraph and ends at one. A heading stays with
//! what follows it, a code fence or a definition stays whole, and a paragraph that is too
//! long is cut between sentences; only a sentence or line that is too long by itself is cut
//! within.

use std::ops::Range;

use super::code;
use super::files::Format;

/// How long a slice becomes before the next paragraph begins another.
const FULL: usize = 1000;
/// How much of a heading its blocks bear, in bytes.
const HEADING: usize = 240;
/// The longest slice of whole paragraphs.
const MOST: usize = 1200;
/// A section shorter than this shares its slice with the next.
const LEAST: usize = 300;
/// The longest code fence or definition that stays whole.
const MOST_CODE: usize = 4000;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    /// Its bytes.
    pub(super) bytes: Range<usize>,
    /// Its first and last line, from 1.
    pub(super) lines: (usize, usize),
    /// The headings above its beginning, outermost first.
    pub(super) headings: Vec<String>,
}

/// Something that is not cut if it can be helped.
#[derive(Debug)]
struct Block {
    bytes: Range<usize>,
    kind: Kind,
    headings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Heading,
    Paragraph,
    Code,
}

/// Cuts a file's text.
pub(super) fn cut(text: &str, format: Format) -> Vec<Slice> {
    let blocks = split_long(text, blocks(text, format));
    let mut slices: Vec<(Range<usize>, Vec<String>)> = Vec::new();
    let mut open = false;
    for (at, block) in blocks.iter().enumerate() {
        let fits = |range: &Range<usize>| {
            let length = range.len();
            let together = block.bytes.end - range.start;
            let below = at > 0 && blocks[at - 1].kind == Kind::Heading;
            match block.kind {
                Kind::Heading => (below || length < LEAST) && together <= MOST,
                Kind::Paragraph | Kind::Code if below => together <= MOST + MOST_CODE,
                Kind::Paragraph | Kind::Code => length < FULL && together <= MOST,
            }
        };
        match slices.last_mut() {
            Some((range, _)) if open && fits(range) => range.end = block.bytes.end,
            _ => slices.push((block.bytes.clone(), block.headings.clone())),
        }
        open = true;
    }
    let starts = line_starts(text);
    let line = |at: usize| starts.partition_point(|start| *start <= at);
    slices
        .into_iter()
        .map(|(bytes, headings)| Slice { lines: (line(bytes.start), line(bytes.end - 1)), bytes, headings })
        .collect()
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// Paragraphs, and in Markdown headings and code fences; definitions of source code.
fn blocks(text: &str, format: Format) -> Vec<Block> {
    if format == Format::Code {
        let block = |unit: code::Unit| Block { bytes: unit.bytes, kind: Kind::Code, headings: unit.within };
        return code::units(text, MOST_CODE).into_iter().map(block).collect();
    }
    let mut blocks: Vec<Block> = Vec::new();
    let mut headings: Vec<(usize, String)> = Vec::new();
    let mut fence: Option<(char, usize)> = None;
    let mut open = false;
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    for line in text[at..].split_inclusive('\n') {
        let bytes = trimmed(text, at..at + line.len());
        at += line.len();
        let mark = if format == Format::Markdown { fence_mark(line) } else { None };
        let path = || headings.iter().map(|(_, heading)| heading.clone()).collect();
        if let Some((char, length)) = fence {
            if !bytes.is_empty()
                && let Some(block) = blocks.last_mut()
            {
                block.bytes.end = bytes.end;
            }
            let closes = mark.is_some_and(|(other, count)| other == char && count >= length)
                && line.trim().chars().all(|other| other == char);
            if closes {
                (fence, open) = (None, false);
            }
        } else if bytes.is_empty() {
            open = false;
        } else if mark.is_some() {
            (fence, open) = (mark, true);
            blocks.push(Block { bytes, kind: Kind::Code, headings: path() });
        } else if let Some((level, heading)) = heading(line).filter(|_| format == Format::Markdown) {
            headings.retain(|(above, _)| *above < level);
            headings.push((level, heading));
            open = false;
            let headings = headings.iter().map(|(_, heading)| heading.clone()).collect();
            blocks.push(Block { bytes, kind: Kind::Heading, headings });
        } else {
            match blocks.last_mut() {
                Some(block) if open => block.bytes.end = bytes.end,
                _ => blocks.push(Block { bytes, kind: Kind::Paragraph, headings: path() }),
            }
            open = true;
        }
    }
    blocks
}

/// The mark that opens or closes a code fence (CommonMark section 4.5).
fn fence_mark(line: &str) -> Option<(char, usize)> {
    let text = line.trim_start_matches(' ');
    let char = text.chars().next().filter(|char| matches!(char, '`' | '~'))?;
    let count = text.chars().take_while(|other| *other == char).count();
    (line.len() - text.len() < 4 && count >= 3).then_some((char, count))
}

/// The level and words of a heading (CommonMark section 4.2).
fn heading(line: &str) -> Option<(usize, String)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let words = line.get(level..).filter(|rest| (1..=6).contains(&level) && rest.starts_with([' ', '\t']))?;
    let words = words.trim().trim_end_matches('#').trim();
    // Every block below it bears it.
    (!words.is_empty()).then(|| (level, words[..words.floor_char_boundary(HEADING)].to_owned()))
}

/// Without the white space around it.
fn trimmed(text: &str, bytes: Range<usize>) -> Range<usize> {
    let part = &text[bytes.clone()];
    let start = bytes.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

/// Cuts blocks that are too long by themselves.
fn split_long(text: &str, blocks: Vec<Block>) -> Vec<Block> {
    let mut out = Vec::with_capacity(blocks.len());
    for block in blocks {
        let most = if block.kind == Kind::Code { MOST_CODE } else { MOST };
        let mut rest = block.bytes.clone();
        while rest.len() > most {
            let end = rest.start + cut_before(&text[rest.clone()], block.kind);
            out.push(Block {
                bytes: trimmed(text, rest.start..end),
                kind: block.kind,
                headings: block.headings.clone(),
            });
            rest = trimmed(text, end..rest.end);
        }
        if !rest.is_empty() {
            out.push(Block { bytes: rest, ..block });
        }
    }
    out.retain(|block| !block.bytes.is_empty());
    out
}

/// Where to cut a long text: at the last end of a line or sentence that leaves no more
/// than a full slice, else at a space, else anywhere.
fn cut_before(text: &str, kind: Kind) -> usize {
    let mut most = if kind == Kind::Code { MOST_CODE } else { FULL };
    while !text.is_char_boundary(most) {
        most -= 1;
    }
    let head = &text[..most];
    let after = |at: usize| Some(at).filter(|at| *at >= most / 4);
    let line = || head.rfind('\n').map(|at| at + 1).and_then(after);
    let sentence = || {
        let mut ends = head.char_indices().filter(|(at, char)| match char {
            '.' | '!' | '?' => head[at + 1..].starts_with(char::is_whitespace),
            '\u{3002}' | '\u{ff01}' | '\u{ff1f}' => true,
            _ => false,
        });
        ends.next_back().map(|(at, char)| at + char.len_utf8()).and_then(after)
    };
    let space = || head.rfind(char::is_whitespace).map(|at| at + 1).and_then(after);
    let cut = if kind == Kind::Code { line().or_else(space) } else { sentence().or_else(line).or_else(space) };
    cut.unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, format: Format) -> Vec<String> {
        cut(text, format).into_iter().map(|slice| text[slice.bytes].to_owned()).collect()
    }

    #[test]
    fn sections_keep_their_heading_and_its_path() {
        let long = "A sentence that goes on. ".repeat(20);
        let text = format!("# Top\n\nIntro.\n\n## One\n\n{long}\n\n## Two\n\n{long}\n\n# Other\n\n{long}");
        let slices = cut(&text, Format::Markdown);
        let paths: Vec<String> = slices.iter().map(|slice| slice.headings.join(" > ")).collect();
        assert_eq!(paths, ["Top", "Top > Two", "Other"]);
        assert!(text[slices[1].bytes.clone()].starts_with("## Two\n\nA sentence"));
        assert_eq!(slices[0].lines, (1, 7));
        assert_eq!(slices[1].lines, (9, 11));
    }

    #[test]
    fn code_stays_whole_and_its_comments_are_no_headings() {
        let code = format!("```sh\n# not a heading\n\n{}```", "run --this\n".repeat(150));
        let text = format!("# Use\n\nDo this:\n\n{code}\n\nThen that.\n");
        let slices = texts(&text, Format::Markdown);
        assert!(slices.iter().any(|slice| slice.contains(&code)), "{slices:?}");
        assert!(cut(&text, Format::Markdown).iter().all(|slice| slice.headings == ["Use"]));
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences() {
        let text = "This is one sentence of it. ".repeat(200);
        let slices = texts(&text, Format::Text);
        assert!(slices.len() > 4 && slices.iter().all(|slice| slice.ends_with("of it.") && slice.len() <= MOST));
        assert!(slices[..slices.len() - 1].iter().all(|slice| slice.len() > 800));
    }

    #[test]
    fn headings_without_end_are_cut_as_everything_is() {
        let headings = "# A heading, and nothing below it\n".repeat(1_000);
        let slices = texts(&headings, Format::Markdown);
        assert!(slices.len() > 25 && slices.iter().all(|slice| slice.len() <= MOST), "{}", slices.len());
        let wide = format!("# {}\n{}# {}\n", "a".repeat(MOST - 2), "\n".repeat(MOST + MOST_CODE), "b".repeat(MOST - 2));
        assert!(texts(&wide, Format::Markdown).iter().all(|slice| slice.len() <= MOST));
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(texts("", Format::Text).is_empty() && texts(" \n\r\n\t", Format::Markdown).is_empty());
        assert_eq!(texts("\u{feff}# A\r\n\r\nb\r\n", Format::Markdown), ["# A\r\n\r\nb"]);
    }

    proptest! {
        /// Slices are in order, apart, within bounds, and leave out white space only.
        #[test]
        fn slices_cover_every_word(text in "([a-zé ]{0,40}[.\\n#`~ ]{0,4}|```\\n|\\n\\n|# h\\n|字{0,900}){0,60}", markdown: bool) {
            let format = if markdown { Format::Markdown } else { Format::Text };
            let mut at = 0;
            for slice in cut(&text, format) {
                prop_assert!(text[at..slice.bytes.start].trim().is_empty());
                prop_assert!(!slice.bytes.is_empty() && slice.bytes.len() <= MOST_CODE + MOST);
                let lines = text[..slice.bytes.end].matches('\n').count() + 1;
                prop_assert_eq!(slice.lines.1, lines);
                at = slice.bytes.end;
            }
            prop_assert!(text[at..].trim().is_empty());
        }
    }
}
