//! What a page comes to.

use serde::Serialize;

use crate::text::Text;

/// Links of a page.
const LINKS: usize = 1_000;
/// Bytes of a link's address and of its words, and of a title.
const SHORT: usize = 2_000;
/// Schemes of addresses that lead to another document; others run something, or carry data.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// A page as text.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) links: Vec<Link>,
    /// Whether some of the text or of the links was left out because there was too much.
    pub(crate) truncated: bool,
}

/// A link in the order of the page.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    /// Its words.
    pub(crate) text: String,
    /// Its address as the page has it, so perhaps relative.
    pub(crate) url: String,
}

impl Page {
    pub(crate) fn finish(mut self, title: &Text, text: Text) -> Self {
        self.truncated |= title.truncated || text.truncated;
        self.title = short(title.as_str()).to_owned();
        self.text = text.into_string();
        self
    }

    /// Keeps a link, unless it leads to no document.
    pub(crate) fn link(&mut self, words: &str, url: &str) {
        if !leads(url) || words.trim().is_empty() {
            return;
        }
        if self.links.len() == LINKS || url.len() > SHORT {
            self.truncated = true;
            return;
        }
        self.links.push(Link { text: short(words.trim()).to_owned(), url: url.to_owned() });
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHORT)]
}

/// Whether an address leads to another document: a relative one, or one of a known scheme.
fn leads(url: &str) -> bool {
    if url.is_empty() || url.starts_with('#') {
        return false;
    }
    match url.split_once([':', '/', '?', '#']) {
        Some((scheme, _)) if url[scheme.len()..].starts_with(':') => {
            SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}
