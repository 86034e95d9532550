//! What operators change and later ones go by (ISO 32000-2, sections 8.4 and 9.3).

use hayro_font::Font;
use hayro_font::kurbo::{Affine, Point, Vec2};

/// The state that `q` keeps and `Q` brings back.
#[derive(Clone)]
pub(crate) struct State<'a> {
    /// From the place of the text to the page.
    pub(crate) matrix: Affine,
    pub(crate) font: Option<Font<'a>>,
    pub(crate) size: f64,
    pub(crate) character_space: f64,
    pub(crate) word_space: f64,
    /// Horizontal scale, 1 as it is.
    pub(crate) scale: f64,
    pub(crate) leading: f64,
    pub(crate) rise: f64,
    /// Whether text is placed and not drawn.
    pub(crate) invisible: bool,
}

impl State<'_> {
    pub(crate) fn new(matrix: Affine) -> Self {
        Self {
            matrix,
            font: None,
            size: 1.0,
            character_space: 0.0,
            word_space: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
            invisible: false,
        }
    }
}

/// Where the next character and the next line begin.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    at: Affine,
    line: Affine,
}

impl Place {
    pub(crate) fn set(&mut self, matrix: Affine) {
        (self.at, self.line) = (matrix, matrix);
    }

    /// Goes to a line that lies so far from where this one began.
    pub(crate) fn next_line(&mut self, x: f64, y: f64) {
        self.set(self.line * Affine::translate((x, y)));
    }

    pub(crate) fn advance(&mut self, by: Vec2) {
        self.at *= Affine::translate(by);
    }

    /// The place on the page, and what an em is there.
    pub(crate) fn on(&self, state: &State<'_>) -> (Point, Vec2) {
        let whole = state.matrix * self.at;
        let at = whole * Point::new(0.0, state.rise);
        (at, whole * Point::new(0.0, state.rise + state.size) - at)
    }
}
