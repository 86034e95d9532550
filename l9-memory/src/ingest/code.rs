//! Source code into blocks, whatever its language.
//!
//! A definition begins on a line that stands as far left as those around it, after a blank
//! line. One that is too long is cut where the definitions within it begin, and keeps its
//! first line as a heading, so that a method is found by the name of its type. Brackets are
//! not counted, for they stand in texts and comments too.

use std::ops::Range;

/// A piece of code that belongs together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) bytes: Range<usize>,
    /// The first lines of the definitions around it, outermost first.
    pub(super) within: Vec<String>,
}

/// A heading's most bytes.
const HEADING: usize = 120;
/// The deepest nesting that is looked into.
const DEPTH: usize = 8;

/// The units of a file, none longer than `most` where its form allows it.
pub(super) fn units(text: &str, most: usize) -> Vec<Unit> {
    let begin = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = Vec::new();
    let mut at = begin;
    for line in text[begin..].split_inclusive('\n') {
        let words = line.trim();
        if words.is_empty() {
            if let Some(last) = lines.last_mut() {
                let Line { blank_after, .. } = last;
                *blank_after = true;
            }
        } else {
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            let start = at + line.len() - line.trim_start().len();
            lines.push(Line { bytes: start..start + words.len(), indent, blank_after: false });
        }
        at += line.len();
    }
    let mut units = Vec::new();
    split(text, &lines, most, &[], &mut units);
    units
}

/// A line that is not blank.
#[derive(Debug)]
struct Line {
    bytes: Range<usize>,
    indent: usize,
    blank_after: bool,
}

fn split(text: &str, lines: &[Line], most: usize, within: &[String], out: &mut Vec<Unit>) {
    let Some(left) = lines.iter().map(|line| line.indent).min() else { return };
    let begins = |at: &usize| {
        let line = &lines[*at];
        lines[*at - 1].blank_after && line.indent == left && !closes(&text[line.bytes.clone()])
    };
    let mut from = 0;
    for to in (1..lines.len()).filter(begins).chain([lines.len()]) {
        let part = &lines[from..to];
        let bytes = part[0].bytes.start..part[part.len() - 1].bytes.end;
        match inner(part, left).filter(|_| bytes.len() > most && within.len() < DEPTH) {
            Some(body) => {
                let heading = first_words(text, &part[..body.start.max(1)]);
                let head = part[0].bytes.start..part[body.start - 1].bytes.end;
                out.push(Unit { bytes: head, within: within.to_vec() });
                let mut deeper = within.to_vec();
                deeper.push(heading);
                split(text, &part[body.clone()], most, &deeper, out);
                if body.end < part.len() {
                    let tail = part[body.end].bytes.start..bytes.end;
                    out.push(Unit { bytes: tail, within: within.to_vec() });
                }
            }
            None => out.push(Unit { bytes, within: within.to_vec() }),
        }
        from = to;
    }
}

/// The lines that are further in than the definition's own, from the first of them on.
fn inner(lines: &[Line], left: usize) -> Option<Range<usize>> {
    let start = lines.iter().position(|line| line.indent > left).filter(|start| *start > 0)?;
    let length = lines[start..].iter().take_while(|line| line.indent > left).count();
    // More at the left after it: no single definition.
    let after = &lines[start + length..];
    (after.len() <= 2 && length > 1).then_some(start..start + length)
}

/// Whether a line only ends what began before it.
fn closes(line: &str) -> bool {
    line.starts_with(['}', ')', ']']) || matches!(line, "end" | "end;" | "fi" | "done" | "esac")
}

/// The line that names a definition: the last before its body that is no comment or attribute.
fn first_words(text: &str, head: &[Line]) -> String {
    let words = |line: &Line| &text[line.bytes.clone()];
    let comment = |line: &&Line| !words(line).starts_with(['#', '/', '*', '@', '-', '"', '\'']);
    let named = head.iter().rfind(comment).or(head.last()).map(words).unwrap_or_default();
    named[..named.floor_char_boundary(HEADING)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, most: usize) -> Vec<(String, String)> {
        let units = units(text, most);
        units.into_iter().map(|unit| (text[unit.bytes].to_owned(), unit.within.join(" > "))).collect()
    }

    fn pairs(shown: &[(String, String)]) -> Vec<(&str, &str)> {
        shown.iter().map(|(text, within)| (text.as_str(), within.as_str())).collect()
    }

    #[test]
    fn definitions_stay_whole_with_their_comments() {
        let text = "use a;\nuse b;\n\n/// One.\nfn one() {\n    a();\n\n    b();\n}\n\n#[test]\nfn two() {}\n";
        let found = shown(text, 4_000);
        let expected = [
            ("use a;\nuse b;", ""),
            ("/// One.\nfn one() {\n    a();\n\n    b();\n}", ""),
            ("#[test]\nfn two() {}", ""),
        ];
        assert_eq!(pairs(&found), expected);
        let python =
            "import x\n\n@cached\ndef one(a):\n    if a:\n\n        return 1\n    return 2\n\n\ndef two():\n    pass\n";
        let found = shown(python, 4_000);
        assert_eq!(found.len(), 3);
        assert!(found[1].0.starts_with("@cached\ndef one") && found[1].0.ends_with("return 2"));
    }

    #[test]
    fn what_is_too_long_is_cut_at_what_is_within_it_and_keeps_its_name() {
        let method = |name: &str| format!("    fn {name}(&self) {{\n        work();\n\n        more();\n    }}\n");
        let text = format!("// About it.\nimpl Walk {{\n{}\n{}}}\n", method("first"), method("second"));
        let found = shown(&text, 100);
        let expected = [
            ("// About it.\nimpl Walk {", ""),
            ("fn first(&self) {\n        work();\n\n        more();\n    }", "impl Walk {"),
            ("fn second(&self) {\n        work();\n\n        more();\n    }", "impl Walk {"),
            ("}", ""),
        ];
        assert_eq!(pairs(&found), expected);
        let class =
            format!("class Walk:\n    \"\"\"Walks.\"\"\"\n\n{}", "    def one(self):\n        pass\n\n".repeat(9));
        let found = shown(&class, 100);
        assert_eq!(found.len(), 11);
        assert!(found[2..].iter().all(|unit| unit.0.starts_with("def one") && unit.1 == "class Walk:"), "{found:?}");
    }

    proptest! {
        /// Units are in order, apart, and leave out white space only.
        #[test]
        fn units_cover_every_word(text in "((    ){0,3}[a-zé{}#/]{0,9}\\n|\\n|\\t|\u{feff}){0,40}", most in 1_usize..60) {
            let mut at = if text.starts_with('\u{feff}') { 3 } else { 0 };
            for unit in units(&text, most) {
                prop_assert!(text[at..unit.bytes.start].trim().is_empty());
                prop_assert!(!unit.bytes.is_empty());
                at = unit.bytes.end;
            }
            prop_assert!(text[at..].trim().is_empty());
        }
    }
}
