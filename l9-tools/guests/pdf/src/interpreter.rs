//! Follows a page's operators as far as they place text.
//!
//! What a page draws by way of other content, it may draw often: so many of those are
//! followed for a document, and so many within each other.

use std::sync::Arc;

use hayro_font::hayro_cmap::BfString;
use hayro_font::kurbo::{Affine, Vec2};
use hayro_font::{CMapResolverFn, Font, FontCache, FontGlyph, FontQuery, FontResolverFn, StandardFont, UNITS_PER_EM};
use hayro_syntax::content::TypedIter;
use hayro_syntax::content::ops::TypedInstruction;
use hayro_syntax::object::{self, Dict, Name, Number, Object, Stream};
use hayro_syntax::page::{Page, Resources};

use crate::layout::{Flow, Placed};
use crate::state::{Place, State};

/// Contents that are followed for one document, beside those of pages.
const FORMS: u32 = 10_000;
/// Contents that are followed within each other, and states that are kept.
const DEPTH: usize = 16;
const STATES: usize = 512;
/// How far beyond a page's edge text is still on it, in points.
const EDGE: f64 = 2.0;

/// A page's text.
#[derive(Debug)]
pub(crate) struct PageText {
    pub(crate) text: String,
    pub(crate) unreadable: usize,
    pub(crate) truncated: bool,
}

/// Reads the pages of one document.
pub(crate) struct Interpreter<'a> {
    fonts: FontCache<'a>,
    programs: FontResolverFn,
    maps: CMapResolverFn,
    forms: u32,
}

impl Default for Interpreter<'_> {
    fn default() -> Self {
        Self {
            fonts: FontCache::new(),
            programs: Arc::new(|query| match query {
                FontQuery::Standard(font) => Some(font.get_font_data()),
                FontQuery::Fallback(query) => Some(query.pick_standard_font().get_font_data()),
            }),
            maps: Arc::new(|_| None),
            forms: FORMS,
        }
    }
}

/// What comes of a page while it is read.
struct Sheet<'p> {
    page: &'p Page<'p>,
    whole: bool,
    seen: Flow,
    unseen: Flow,
    unreadable: usize,
}

impl<'a> Interpreter<'a> {
    /// The text of a page, at most so many bytes. Text that is placed and not drawn is read
    /// where a page shows none, as that of a scan; other text that nobody sees is left out
    /// unless `whole`.
    pub(crate) fn read(&mut self, page: &Page<'a>, whole: bool, most: usize) -> PageText {
        let mut sheet = Sheet { page, whole, seen: Flow::new(most), unseen: Flow::new(most), unreadable: 0 };
        if let Some(content) = page.page_stream() {
            self.follow(content, page.resources(), State::new(Affine::IDENTITY), &mut sheet, 0);
        }
        let flow = if sheet.seen.is_empty() { sheet.unseen } else { sheet.seen };
        PageText { truncated: flow.truncated || self.forms == 0, text: flow.finish(), unreadable: sheet.unreadable }
    }

    fn follow(
        &mut self,
        content: &[u8],
        resources: &Resources<'a>,
        mut state: State<'a>,
        sheet: &mut Sheet<'_>,
        depth: usize,
    ) {
        let (mut kept, mut place) = (Vec::new(), Place::default());
        let mut operators = TypedIter::new(content);
        while let Some(operator) = operators.next() {
            if sheet.is_full() {
                return;
            }
            match operator {
                TypedInstruction::SaveState(_) if kept.len() < STATES => kept.push(state.clone()),
                TypedInstruction::RestoreState(_) => state = kept.pop().unwrap_or(state),
                TypedInstruction::Transform(m) => state.matrix *= matrix([m.0, m.1, m.2, m.3, m.4, m.5]),
                TypedInstruction::BeginText(_) => place = Place::default(),
                TypedInstruction::CharacterSpacing(by) => state.character_space = by.0.as_f64(),
                TypedInstruction::WordSpacing(by) => state.word_space = by.0.as_f64(),
                TypedInstruction::HorizontalScaling(by) => state.scale = by.0.as_f64() / 100.0,
                TypedInstruction::TextLeading(by) => state.leading = by.0.as_f64(),
                TypedInstruction::TextRise(by) => state.rise = by.0.as_f64(),
                TypedInstruction::TextRenderingMode(mode) => state.invisible = matches!(mode.0.as_i64(), 3 | 7),
                TypedInstruction::TextFont(font) => {
                    state.font = resources.get_font(font.0).and_then(|dict| self.font(&dict));
                    state.size = font.1.as_f64();
                }
                TypedInstruction::SetTextMatrix(m) => place.set(matrix([m.0, m.1, m.2, m.3, m.4, m.5])),
                TypedInstruction::NextLine(by) => place.next_line(by.0.as_f64(), by.1.as_f64()),
                TypedInstruction::NextLineAndSetLeading(by) => {
                    state.leading = -by.1.as_f64();
                    place.next_line(by.0.as_f64(), by.1.as_f64());
                }
                TypedInstruction::NextLineUsingLeading(_) => place.next_line(0.0, -state.leading),
                TypedInstruction::ShowText(text) => self.show(text.0, &state, &mut place, sheet),
                TypedInstruction::NextLineAndShowText(text) => {
                    place.next_line(0.0, -state.leading);
                    self.show(text.0, &state, &mut place, sheet);
                }
                TypedInstruction::ShowTextWithParameters(text) => {
                    (state.word_space, state.character_space) = (text.0.as_f64(), text.1.as_f64());
                    place.next_line(0.0, -state.leading);
                    self.show(text.2, &state, &mut place, sheet);
                }
                TypedInstruction::ShowTexts(parts) => {
                    for part in parts.0.iter::<Object<'_>>() {
                        match part {
                            Object::String(text) => self.show(&text, &state, &mut place, sheet),
                            Object::Number(by) => place.advance(adjusted(&state, by)),
                            _ => {}
                        }
                    }
                }
                TypedInstruction::XObject(name) => {
                    if let Some(form) = resources.get_x_object(name.0) {
                        self.draw(&form, resources, &state, sheet, depth);
                    }
                }
                _ => {}
            }
        }
    }

    fn font(&self, dict: &Dict<'a>) -> Option<Font<'a>> {
        self.fonts.font(dict, &self.programs, &self.maps)
    }

    /// Follows the content of a form where it is drawn.
    fn draw(
        &mut self,
        form: &Stream<'a>,
        outside: &Resources<'a>,
        state: &State<'a>,
        sheet: &mut Sheet<'_>,
        depth: usize,
    ) {
        let dict = form.dict();
        let is_form = dict.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_str() == "Form");
        if !is_form || depth == DEPTH || self.forms == 0 {
            return;
        }
        self.forms -= 1;
        let Ok(content) = form.decoded_data() else { return };
        let mut state = state.clone();
        if let Some(m) = dict.get::<[f64; 6]>("Matrix") {
            state.matrix *= Affine::new(m);
        }
        let inside = dict.get::<Dict<'_>>("Resources").map(Resources::new);
        self.follow(&content, inside.as_ref().unwrap_or(outside), state, sheet, depth + 1);
    }

    fn show(&self, text: &object::String<'_>, state: &State<'a>, place: &mut Place, sheet: &mut Sheet<'_>) {
        let bytes = text.as_bytes();
        // Readers take text without a usable font for Helvetica, if it can be that at all.
        let font = state.font.clone().or_else(|| {
            let plain = bytes.is_ascii().then_some(StandardFont::Helvetica)?;
            self.fonts.standard_font(plain, &self.programs)
        });
        let Some(font) = font else {
            sheet.unreadable += bytes.len();
            return;
        };
        let mut at = 0;
        while at < bytes.len() {
            let (code, length) = font.read_code(bytes, at);
            at += length.max(1);
            let unicode = match font.glyph(font.map_code(code), code) {
                FontGlyph::Outline(glyph) => glyph.as_unicode(),
                FontGlyph::Type3(glyph) => glyph.as_unicode(),
            };
            let (from, up) = place.on(state);
            place.advance(advance(&font, state, code, length));
            let (to, _) = place.on(state);
            match unicode {
                Some(BfString::Char(character)) => {
                    sheet.place(character.encode_utf8(&mut [0; 4]), Placed { from, to, up }, state);
                }
                Some(BfString::String(text)) => sheet.place(&text, Placed { from, to, up }, state),
                None => sheet.unreadable += 1,
            }
        }
    }
}

impl Sheet<'_> {
    fn place(&mut self, text: &str, placed: Placed, state: &State<'_>) {
        if self.whole || (!state.invisible && self.shows(placed)) {
            self.seen.push(text, placed);
        } else if state.invisible && self.shows(placed) {
            self.unseen.push(text, placed);
        }
    }

    fn shows(&self, placed: Placed) -> bool {
        let page = self.page.intersected_crop_box();
        let (x, y) = (placed.from.x, placed.from.y);
        (page.x0 - EDGE..=page.x1 + EDGE).contains(&x) && (page.y0 - EDGE..=page.y1 + EDGE).contains(&y)
    }

    fn is_full(&self) -> bool {
        self.seen.truncated || self.unseen.truncated && self.seen.is_empty()
    }
}

fn matrix(numbers: [Number; 6]) -> Affine {
    Affine::new(numbers.map(|number| number.as_f64()))
}

/// How far a character's place is from the next one's.
fn advance(font: &Font<'_>, state: &State<'_>, code: u32, length: usize) -> Vec2 {
    let space = state.character_space + if code == 32 && length == 1 { state.word_space } else { 0.0 };
    let em = font.code_advance(code) / f64::from(UNITS_PER_EM);
    if font.is_horizontal() {
        Vec2::new((em.x * state.size + space) * state.scale, 0.0)
    } else {
        Vec2::new(0.0, em.y * state.size + space)
    }
}

/// What a number between two texts moves the next one by.
fn adjusted(state: &State<'_>, by: Number) -> Vec2 {
    let by = -by.as_f64() / f64::from(UNITS_PER_EM) * state.size;
    if state.font.as_ref().is_none_or(Font::is_horizontal) {
        Vec2::new(by * state.scale, 0.0)
    } else {
        Vec2::new(0.0, by)
    }
}
