//! What an element's name means for the text within it.

/// Elements that have no content and no end.
const VOID: [&[u8]; 14] = [
    b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"param", b"source",
    b"track", b"wbr",
];

/// Elements whose content nobody reads.
const UNREAD: [&[u8]; 16] = [
    b"script",
    b"style",
    b"template",
    b"noscript",
    b"svg",
    b"math",
    b"iframe",
    b"object",
    b"canvas",
    b"audio",
    b"video",
    b"select",
    b"textarea",
    b"datalist",
    b"button",
    b"dialog",
];

/// Elements around the content of a page: what leads elsewhere, and what stands on every one.
const AROUND: [&[u8]; 3] = [b"nav", b"footer", b"aside"];

/// Elements that begin a paragraph of their own.
const BLOCK: [&[u8]; 24] = [
    b"address",
    b"article",
    b"aside",
    b"blockquote",
    b"dd",
    b"details",
    b"div",
    b"dl",
    b"dt",
    b"figcaption",
    b"figure",
    b"footer",
    b"form",
    b"header",
    b"hr",
    b"main",
    b"nav",
    b"ol",
    b"p",
    b"section",
    b"summary",
    b"table",
    b"ul",
    b"body",
];

/// What is done at an element's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// Its content is left out.
    Unread,
    /// The title of the page.
    Title,
    /// A paragraph of its own.
    Block,
    /// A heading of a level from 1.
    Heading(u8),
    /// An item of a list.
    Item,
    /// A row of a table, and a cell of one.
    Row,
    Cell,
    /// A line's end.
    Break,
    /// Text whose white space is kept.
    Verbatim,
    /// A link.
    Link,
    /// A picture, which may have words for those who cannot see it.
    Picture,
    /// What stands above the line, such as an exponent.
    Raised,
    /// Nothing that matters here.
    Inline,
}

impl Element {
    pub(crate) fn of(name: &[u8], whole: bool) -> Self {
        match name {
            b"title" => Self::Title,
            b"h1" => Self::Heading(1),
            b"h2" => Self::Heading(2),
            b"h3" => Self::Heading(3),
            b"h4" => Self::Heading(4),
            b"h5" => Self::Heading(5),
            b"h6" => Self::Heading(6),
            b"li" => Self::Item,
            b"tr" => Self::Row,
            b"td" | b"th" => Self::Cell,
            b"br" => Self::Break,
            b"pre" => Self::Verbatim,
            b"a" => Self::Link,
            b"img" => Self::Picture,
            b"sup" => Self::Raised,
            _ if UNREAD.contains(&name) || (!whole && AROUND.contains(&name)) => Self::Unread,
            _ if BLOCK.contains(&name) => Self::Block,
            _ => Self::Inline,
        }
    }
}

/// Whether an element has an end to wait for. That it closes itself counts for drawings and
/// formulas only.
pub(crate) fn has_end(name: &[u8], closes_itself: bool) -> bool {
    let ends_itself = closes_itself && matches!(name, b"svg" | b"math");
    !ends_itself && !VOID.contains(&name)
}

/// Whether the start of an element is the end of one of that name before it.
pub(crate) fn ends_its_like(name: &[u8]) -> bool {
    matches!(name, b"p" | b"li" | b"dt" | b"dd" | b"tr" | b"td" | b"th" | b"option")
}
