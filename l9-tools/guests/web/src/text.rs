//! Text as it grows: white space folded, paragraphs apart, at most so many bytes.

/// Bytes of a page's text.
const BYTES: usize = 512 << 10;

/// A growing text.
#[derive(Debug, Default)]
pub(crate) struct Text {
    text: String,
    /// Line ends that are due before the next word.
    due: usize,
    /// Whether a space is due before the next word.
    space: bool,
    /// Whether something did not fit.
    pub(crate) truncated: bool,
}

impl Text {
    /// Adds running text, its white space folded.
    pub(crate) fn flow(&mut self, text: &str) {
        for word in text.split_inclusive(char::is_whitespace) {
            let bare = word.trim_end();
            if !bare.is_empty() {
                self.word(bare);
            }
            self.space |= bare.len() < word.len();
        }
    }

    /// Adds text as it stands.
    pub(crate) fn verbatim(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            if !bare.is_empty() {
                self.word(bare);
            }
            if bare.len() < line.len() {
                self.line();
            }
        }
    }

    /// What comes next stands on a line of its own.
    pub(crate) fn line(&mut self) {
        self.due = self.due.max(1);
    }

    /// What comes next stands in a paragraph of its own.
    pub(crate) fn paragraph(&mut self) {
        self.due = 2;
    }

    /// Something before the next word that has no white space after it, such as `# `.
    pub(crate) fn mark(&mut self, mark: &str) {
        self.word(mark);
    }

    /// Whether nothing stands on the line of the next word yet.
    pub(crate) fn is_at_line(&self) -> bool {
        self.text.is_empty() || self.due > 0
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }

    fn word(&mut self, word: &str) {
        let between = match (self.text.is_empty(), self.due, self.space) {
            (true, ..) | (_, 0, false) => "",
            (_, 0, true) if self.text.ends_with(' ') => "",
            (_, 0, true) => " ",
            (_, 1, _) => "\n",
            _ => "\n\n",
        };
        (self.due, self.space) = (0, false);
        let left = BYTES.saturating_sub(self.text.len() + between.len());
        let end = word.floor_char_boundary(left);
        self.truncated |= end < word.len();
        if end > 0 {
            self.text.push_str(between);
            self.text.push_str(&word[..end]);
        }
    }
}
