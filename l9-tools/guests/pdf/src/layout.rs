//! Characters at their places become text: a line ends where the next character stands
//! lower or higher, and a gap between two is a space.
//!
//! The order is that of the document, which is the order of reading in nearly all of them.

use hayro_font::kurbo::{Point, Vec2};

/// How much higher or lower, of the height of the letters, another line stands.
const LINE: f64 = 0.5;
/// How far down another paragraph begins.
const PARAGRAPH: f64 = 1.9;
/// How wide a gap is a space.
const SPACE: f64 = 0.16;
/// How far back another line begins although it stands at the same height.
const BACK: f64 = 0.6;

/// A character, or what a document calls one, at its place on the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) from: Point,
    pub(crate) to: Point,
    /// Upwards, as long as the letters are high.
    pub(crate) up: Vec2,
}

/// Text as it grows, at most so many bytes.
#[derive(Debug)]
pub(crate) struct Flow {
    text: String,
    last: Option<Placed>,
    most: usize,
    /// Whether something did not fit.
    pub(crate) truncated: bool,
}

impl Flow {
    pub(crate) fn new(most: usize) -> Self {
        Self { text: String::new(), last: None, most, truncated: false }
    }

    pub(crate) fn push(&mut self, text: &str, placed: Placed) {
        match self.last.replace(placed).map_or("", |last| between(last, placed)) {
            "" => {}
            " " => self.space(),
            line => {
                self.text.truncate(self.text.trim_end().len());
                self.add(line);
            }
        }
        if text.chars().all(char::is_whitespace) {
            return self.space();
        }
        for character in text.chars() {
            match spelled(character) {
                "" if character.is_control() => {}
                "" => self.add(character.encode_utf8(&mut [0; 4])),
                letters => self.add(letters),
            }
        }
    }

    fn space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.add(" ");
        }
    }

    fn add(&mut self, text: &str) {
        self.truncated |= self.text.len() + text.len() > self.most;
        if !self.truncated {
            self.text.push_str(text);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}

/// What stands between two characters.
fn between(last: Placed, next: Placed) -> &'static str {
    let height = last.up.hypot().max(next.up.hypot());
    // Only a direction that is finite and none is can be measured along.
    if !(height.is_finite() && height > 0.0) {
        return "";
    }
    let up = if last.up.hypot() > 0.0 { last.up } else { next.up };
    let up = up / up.hypot();
    let along = Vec2::new(up.y, -up.x);
    let gap = next.from - last.to;
    let (across, along) = (gap.dot(up).abs() / height, gap.dot(along) / height);
    match (across, along) {
        (across, _) if across > PARAGRAPH => "\n\n",
        (across, along) if across > LINE || along < -BACK => "\n",
        (_, along) if along > SPACE => " ",
        _ => "",
    }
}

/// The letters of a ligature, which are one character in a font and several to a reader.
fn spelled(character: char) -> &'static str {
    match character {
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        '\u{a0}' => " ",
        _ => "",
    }
}
