//! Cuts an expression into tokens, each with the character it starts at.

use crate::error::Error;

/// One token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Characters before it, plus one.
    pub(crate) position: usize,
    /// Whether white space stands before it.
    pub(crate) spaced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digits with an optional fraction and exponent; no separators.
    Number(String),
    /// A function, constant, unit or word.
    Word(String),
    /// An operator or punctuation; spellings such as `×` and `**` are already unified.
    Symbol(char),
    End,
}

impl Kind {
    /// How an error names the token.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Number(text) | Self::Word(text) => format!("`{text}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// All tokens, the last one [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let start = at;
        while characters.get(at).is_some_and(|c| c.is_whitespace()) {
            at += 1;
        }
        let spaced = at > start;
        let Some(&first) = characters.get(at) else { break };
        let position = at + 1;
        let mut push = |kind| tokens.push(Token { kind, position, spaced });
        if first.is_ascii_digit() || (first == '.' && digit_at(&characters, at + 1)) {
            let end = number_end(&characters, at);
            push(Kind::Number(characters[at..end].iter().filter(|&&c| c != '_').collect()));
            at = end;
        } else if is_word_start(first) {
            let end = word_end(&characters, at);
            push(word(characters[at..end].iter().filter(|c| !c.is_whitespace()).collect()));
            at = end;
        } else if let Some(exponent) = superscript(first) {
            push(Kind::Symbol('^'));
            push(Kind::Number(exponent.to_string()));
            at += 1;
        } else {
            let two = characters.get(at + 1).map(|&second| (first, second));
            let (symbol, length) = match two {
                Some(('*', '*')) => ('^', 2),
                Some(('-', '>')) => ('→', 2),
                _ => (symbol(first, position)?, 1),
            };
            push(Kind::Symbol(symbol));
            at += length;
        }
    }
    tokens.push(Token { kind: Kind::End, position: characters.len() + 1, spaced: true });
    Ok(tokens)
}

fn digit_at(characters: &[char], at: usize) -> bool {
    characters.get(at).is_some_and(char::is_ascii_digit)
}

fn number_end(characters: &[char], start: usize) -> usize {
    let digits = |mut at: usize| {
        while digit_at(characters, at) || (characters.get(at) == Some(&'_') && digit_at(characters, at + 1)) {
            at += 1;
        }
        at
    };
    let mut at = digits(start);
    if characters.get(at) == Some(&'.') && digit_at(characters, at + 1) {
        at = digits(at + 1);
    }
    // `2e3` and `2e-3` are one number; `2 e` and `2em` are not.
    if matches!(characters.get(at), Some('e' | 'E')) {
        let sign = usize::from(matches!(characters.get(at + 1), Some('+' | '-')));
        if digit_at(characters, at + 1 + sign) {
            at = digits(at + 1 + sign);
        }
    }
    at
}

fn is_word_start(character: char) -> bool {
    (character.is_alphabetic() || matches!(character, '_' | '°' | 'µ')) && superscript(character).is_none()
}

fn word_end(characters: &[char], start: usize) -> usize {
    let mut at = start + 1;
    // `° F` is one unit, and so is `°F`.
    if characters[start] == '°' {
        let mut next = at;
        while characters.get(next).is_some_and(|c| c.is_whitespace()) {
            next += 1;
        }
        let letter = matches!(characters.get(next), Some('C' | 'F' | 'K' | 'c' | 'f'));
        return if letter && !characters.get(next + 1).is_some_and(|c| c.is_alphanumeric()) { next + 1 } else { at };
    }
    while characters.get(at).is_some_and(|&c| is_word_start(c) && c != '°' || c.is_ascii_digit()) {
        at += 1;
    }
    at
}

/// Words that are operators in disguise.
fn word(text: String) -> Kind {
    match text.to_ascii_lowercase().as_str() {
        "plus" => Kind::Symbol('+'),
        "minus" => Kind::Symbol('-'),
        "times" => Kind::Symbol('*'),
        "percent" => Kind::Symbol('%'),
        _ => Kind::Word(text),
    }
}

fn superscript(character: char) -> Option<u8> {
    match character {
        '²' => Some(2),
        '³' => Some(3),
        _ => None,
    }
}

fn symbol(character: char, position: usize) -> Result<char, Error> {
    match character {
        '+' | '-' | '*' | '/' | '^' | '%' | '(' | ')' | ',' | ';' | '=' | '?' | '→' | '.' => Ok(character),
        '−' | '–' => Ok('-'),
        '×' | '·' | '⋅' | '∙' => Ok('*'),
        '÷' => Ok('/'),
        _ => Err(Error::at(position, format!("unexpected character `{}`", character.escape_debug()))),
    }
}
