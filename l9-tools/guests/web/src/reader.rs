//! Reads a page token by token. The only thing that is remembered of what is open is what
//! changes how text is read, each as one number: a page that opens a million elements costs
//! no more than one that opens none.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{EndTag, StartTag, Token, Tokenizer};

use crate::element::{Element, ends_its_like, has_end};
use crate::page::Page;
use crate::text::Text;

/// Reads a page; without `whole`, what stands around its content is left out.
pub(crate) fn read(html: &str, whole: bool) -> Page {
    let mut reader = Reader { whole, ..Reader::default() };
    let mut emitter = DefaultEmitter::default();
    // Or the text of a script would be read as elements.
    emitter.naively_switch_states(true);
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::StartTag(tag) => reader.start(&tag),
            Token::EndTag(tag) => reader.end(&tag),
            Token::String(text) => reader.words(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    reader.finish()
}

#[derive(Debug, Default)]
struct Reader {
    whole: bool,
    page: Page,
    title: Text,
    text: Text,
    /// What is left out: the element's name, and how many of that name are open.
    unread: Option<(Vec<u8>, usize)>,
    /// Whether the words are the title's.
    titled: bool,
    /// Whether the next words stand above the line.
    raised: bool,
    /// How many elements are open whose white space is kept.
    verbatim: usize,
    /// The link that is open: its address, and where its words begin.
    link: Option<(String, usize)>,
}

impl Reader {
    fn start(&mut self, tag: &StartTag<()>) {
        let name: &[u8] = &tag.name;
        if let Some((unread, open)) = &mut self.unread {
            if unread.as_slice() != name {
                return;
            }
            // The next of its kind stands within it, unless that is what ends it.
            if !ends_its_like(name) {
                *open += 1;
                return;
            }
            self.unread = None;
        }
        let element = Element::of(name, self.whole);
        if (element == Element::Unread || is_hidden(tag)) && has_end(name, tag.self_closing) {
            self.unread = Some((name.to_vec(), 1));
            return;
        }
        match element {
            Element::Title => self.titled = true,
            Element::Block => self.text.paragraph(),
            Element::Heading(level) => {
                self.text.paragraph();
                self.text.mark(&format!("{} ", "#".repeat(level.into())));
            }
            Element::Item => {
                self.text.line();
                self.text.mark("- ");
            }
            Element::Row | Element::Break => self.text.line(),
            Element::Cell => {
                let between = if self.text.is_at_line() { "" } else { " | " };
                self.text.flow(between);
            }
            Element::Verbatim => {
                self.text.paragraph();
                self.verbatim += 1;
            }
            Element::Link => {
                self.close_link();
                self.link = attribute(tag, b"href").map(|url| (url.trim().to_owned(), self.text.as_str().len()));
            }
            Element::Picture => {
                if let Some(words) = attribute(tag, b"alt").filter(|words| !words.trim().is_empty()) {
                    self.words(&format!("[{}]", words.trim()));
                }
            }
            Element::Raised => self.raised = true,
            Element::Unread | Element::Inline => {}
        }
    }

    fn end(&mut self, tag: &EndTag<()>) {
        let name: &[u8] = &tag.name;
        if let Some((unread, open)) = &mut self.unread {
            if unread.as_slice() == name {
                *open -= 1;
                if *open == 0 {
                    self.unread = None;
                }
            }
            return;
        }
        match Element::of(name, self.whole) {
            Element::Title => self.titled = false,
            Element::Block | Element::Heading(_) => self.text.paragraph(),
            Element::Item | Element::Row => self.text.line(),
            Element::Verbatim => {
                self.text.paragraph();
                self.verbatim = self.verbatim.saturating_sub(1);
            }
            Element::Link => self.close_link(),
            Element::Raised => self.raised = false,
            _ => {}
        }
    }

    fn words(&mut self, words: &str) {
        let bare = words.trim_start();
        if !self.raised || self.unread.is_some() || bare.is_empty() {
            return self.write(words);
        }
        self.raised = false;
        // The sixth power of 10 is not 106; the 1st stays the 1st.
        if bare.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '−')) {
            self.write("^");
        }
        self.write(bare);
    }

    fn write(&mut self, words: &str) {
        match (&self.unread, self.titled) {
            (Some(_), _) => {}
            (None, true) => self.title.flow(words),
            (None, false) if self.verbatim > 0 => self.text.verbatim(words),
            (None, false) => self.text.flow(words),
        }
    }

    fn close_link(&mut self) {
        if let Some((url, from)) = self.link.take() {
            let words = self.text.as_str().get(from..).unwrap_or_default();
            self.page.link(words, &url);
        }
    }

    fn finish(mut self) -> Page {
        self.close_link();
        self.page.finish(&self.title, self.text)
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    tag.attributes.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Whether a reader would not see it: text that only a program reads is how pages give
/// orders to programs.
fn is_hidden(tag: &StartTag<()>) -> bool {
    let style = attribute(tag, b"style").unwrap_or_default().to_ascii_lowercase().replace([' ', '\t', '\n'], "");
    tag.attributes.contains_key(b"hidden".as_slice())
        || attribute(tag, b"aria-hidden").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || ["display:none", "visibility:hidden", "font-size:0;", "opacity:0;"]
            .iter()
            .any(|rule| format!("{style};").contains(rule))
}
