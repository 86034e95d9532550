//! Precedence climbing over the tokens; values are computed on the way.
//!
//! From loosest to tightest: conversion (`to`), sums, products (`* / % of`), sign, powers
//! (to the right), percent sign, a unit behind its number. Recursion is bounded.

use crate::error::Error;
use crate::functions;
use crate::lexer::{Kind, Token};
use crate::number::Number;
use crate::quantity::{Mismatch, Quantity};
use crate::units::{self, Lookup};

/// How deep parentheses, powers and functions may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// Openings that carry no meaning.
const PREAMBLES: &[&[&str]] = &[
    &["what", "is"],
    &["what", "s"],
    &["how", "much", "is"],
    &["convert"],
    &["calculate"],
    &["compute"],
    &["evaluate"],
];

#[derive(Debug)]
pub(crate) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// Whether `2,340` may be one number here: not between the arguments of a function.
    grouping: bool,
}

type Parsed = Result<Quantity, Error>;

impl<'a> Parser<'a> {
    /// A parser over tokens that end with [`Kind::End`].
    pub(crate) fn new(tokens: &'a [Token]) -> Self {
        Self { tokens, at: 0, depth: 0, grouping: true }
    }

    /// The value of the whole expression.
    pub(crate) fn parse(&mut self) -> Parsed {
        let value = if self.is_word(0, "how") && self.is_word(1, "many") {
            self.how_many()?
        } else {
            self.skip_preamble();
            self.conversion()?
        };
        while matches!(self.kind(), Kind::Symbol('?' | '=' | '.')) {
            self.at += 1;
        }
        match self.kind() {
            Kind::End => Ok(value),
            _ => Err(self.expected("an operator or the end")),
        }
    }

    /// `how many UNIT (are there) in EXPRESSION`
    fn how_many(&mut self) -> Parsed {
        self.at += 2;
        let target = self.unit_product()?;
        while ["are", "is", "there"].iter().any(|word| self.is_word(0, word)) {
            self.at += 1;
        }
        let position = self.position();
        if !self.is_word(0, "in") {
            return Err(self.expected("`in`"));
        }
        self.at += 1;
        let value = self.conversion()?;
        at(position, value.convert(&target))
    }

    fn skip_preamble(&mut self) {
        for words in PREAMBLES {
            let matches = words.iter().enumerate().all(|(offset, word)| self.is_word(offset, word));
            if matches {
                self.at += words.len();
                return;
            }
        }
    }

    fn token(&self, ahead: usize) -> &'a Token {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> &'a Kind {
        &self.token(0).kind
    }

    fn position(&self) -> usize {
        self.token(0).position
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(&self.token(ahead).kind, Kind::Word(text) if text.eq_ignore_ascii_case(word))
    }

    fn expected(&self, what: &str) -> Error {
        Error::at(self.position(), format!("expected {what}, found {}", self.kind().describe()))
    }

    fn take_symbol(&mut self, symbol: char) -> bool {
        let found = *self.kind() == Kind::Symbol(symbol);
        self.at += usize::from(found);
        found
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::at(self.position(), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// `sum (to unit)*`
    fn conversion(&mut self) -> Parsed {
        let mut value = self.sum()?;
        while *self.kind() == Kind::Symbol('→') || ["to", "in", "into", "as"].iter().any(|w| self.is_word(0, w)) {
            self.at += 1;
            let position = self.position();
            if self.take_symbol('%') {
                if !value.is_plain() {
                    return Err(Error::at(position, "only a plain number can be a percentage"));
                }
                value = at(position, value.scaled(Number::integer(100)))?;
                (value.percent, value.converted) = (true, true);
                continue;
            }
            let target = self.unit_product()?;
            value = at(position, value.convert(&target))?;
        }
        Ok(value)
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        loop {
            let position = self.position();
            let sign = match self.kind() {
                Kind::Symbol('+') => 1,
                Kind::Symbol('-') => -1,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.product()?;
            left = at(position, left.plus(&right, sign))?;
        }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.signed()?;
        loop {
            let position = self.position();
            let (operator, length) = match self.kind() {
                Kind::Symbol('*') => ('*', 1),
                Kind::Symbol('/') => ('/', 1),
                Kind::Symbol('%') => ('%', 1),
                _ if self.is_word(0, "mod") => ('%', 1),
                _ if self.is_word(0, "of") => ('*', 1),
                _ if self.is_word(0, "per") => ('/', 1),
                _ if self.is_word(0, "divided") && self.is_word(1, "by") => ('/', 2),
                _ if self.is_word(0, "multiplied") && self.is_word(1, "by") => ('*', 2),
                _ => return Ok(left),
            };
            self.at += length;
            let right = self.signed()?;
            left = at(
                position,
                match operator {
                    '*' => left.times(&right, 1),
                    '/' => left.times(&right, -1),
                    _ => left.modulo(&right),
                },
            )?;
        }
    }

    fn signed(&mut self) -> Parsed {
        let mut negative = false;
        loop {
            if self.take_symbol('-') {
                negative = !negative;
            } else if !self.take_symbol('+') {
                break;
            }
        }
        let value = self.power()?;
        Ok(if negative { value.negated() } else { value })
    }

    fn power(&mut self) -> Parsed {
        let mut base = self.primary()?;
        base = self.percent_sign(base)?;
        let position = self.position();
        if !self.take_symbol('^') {
            return Ok(base);
        }
        let exponent = self.nested(Self::signed)?;
        let raised = at(position, base.power(&exponent))?;
        self.percent_sign(raised)
    }

    /// `%` is a percent sign unless an operand follows, which makes it the remainder. Before
    /// something negative it may be either, unless white space tells.
    fn percent_sign(&mut self, value: Quantity) -> Parsed {
        if *self.kind() != Kind::Symbol('%') || self.starts_operand(1) {
            return Ok(value);
        }
        let position = self.position();
        let negative = self.token(1).kind == Kind::Symbol('-') && !self.token(2).spaced && self.starts_operand(2);
        if negative && self.token(0).spaced {
            return Err(Error::at(position, "`7 % -3` may be 7% less 3, or a remainder: write `7% - 3` or `7 mod -3`"));
        }
        self.at += 1;
        if !value.is_plain() {
            return Err(Error::at(position, "a percent sign must follow a plain number"));
        }
        let mut percent = at(position, value.scaled(Number::Exact(1, 100)))?;
        percent.percent = true;
        Ok(percent)
    }

    fn starts_operand(&self, ahead: usize) -> bool {
        match &self.token(ahead).kind {
            Kind::Number(_) | Kind::Symbol('(') => true,
            Kind::Word(word) => {
                let word = word.to_ascii_lowercase();
                functions::arity(&word).is_some() || constant(&word).is_some()
            }
            _ => false,
        }
    }

    fn primary(&mut self) -> Parsed {
        match self.kind() {
            Kind::Number(_) => self.measure(),
            Kind::Symbol('(') => self.parenthesis(),
            Kind::Word(word) => self.named(word),
            _ => Err(self.expected("a number, a unit, a function or `(`")),
        }
    }

    fn parenthesis(&mut self) -> Parsed {
        self.at += 1;
        let outer = std::mem::replace(&mut self.grouping, true);
        let value = self.nested(Self::conversion)?;
        self.grouping = outer;
        if !self.take_symbol(')') {
            return Err(self.expected("`)`"));
        }
        if matches!(self.kind(), Kind::Number(_) | Kind::Symbol('(')) {
            return Err(self.expected("an operator such as `*`"));
        }
        self.with_units(value)
    }

    /// A function, a constant, or a unit that stands for one of itself.
    fn named(&mut self, word: &str) -> Parsed {
        let lower = word.to_ascii_lowercase();
        if let Some((fewest, most)) = functions::arity(&lower) {
            if self.token(1).kind == Kind::Symbol('(') {
                return self.call(&lower, fewest, most);
            }
            if !matches!(units::lookup(word), Lookup::Unit(_)) {
                self.at += 1;
                return Err(self.expected("`(`"));
            }
        }
        if let Some(value) = constant(&lower) {
            self.at += 1;
            return self.with_units(Quantity::plain(Number::Approx(value)));
        }
        self.unit_power()
    }

    fn call(&mut self, name: &str, fewest: usize, most: usize) -> Parsed {
        let position = self.position();
        self.at += 2;
        let grouping = most == 1 || self.semicolons_ahead();
        let outer = std::mem::replace(&mut self.grouping, grouping);
        let (mut tight, mut wide) = (false, false);
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.nested(Self::conversion)?);
            let comma = self.position();
            if self.take_symbol(',') {
                let next = self.token(0);
                let three_digits = matches!(&next.kind, Kind::Number(text) if is_group(text));
                tight |= !next.spaced && three_digits;
                wide |= next.spaced;
                if tight && wide {
                    return Err(Error::at(
                        comma,
                        "separator of thousands or of arguments? write `;` between arguments",
                    ));
                }
            } else if !self.take_symbol(';') {
                break;
            }
        }
        self.grouping = outer;
        if !self.take_symbol(')') {
            return Err(self.expected("`,` or `)`"));
        }
        if arguments.len() < fewest || arguments.len() > most {
            let wanted = if fewest == most { fewest.to_string() } else { format!("{fewest} or more") };
            let message = format!("{name} takes {wanted} argument(s), found {}", arguments.len());
            return Err(Error::at(position, message));
        }
        at(position, functions::call(name, &arguments))
    }

    /// Whether semicolons separate the arguments that start here: then commas group digits.
    fn semicolons_ahead(&self) -> bool {
        let mut depth = 0_u32;
        for token in &self.tokens[self.at.min(self.tokens.len())..] {
            match token.kind {
                Kind::Symbol('(') => depth += 1,
                Kind::Symbol(')') if depth == 0 => return false,
                Kind::Symbol(')') => depth -= 1,
                Kind::Symbol(';') if depth == 0 => return true,
                _ => {}
            }
        }
        false
    }

    /// A number and the units behind it; `5 ft 3 in` is a sum.
    fn measure(&mut self) -> Parsed {
        let number = self.number()?;
        let mut value = self.with_units(Quantity::plain(number))?;
        while !value.is_plain() && matches!(self.kind(), Kind::Number(_)) {
            let position = self.position();
            let number = self.number()?;
            let part = self.with_units(Quantity::plain(number))?;
            if part.is_plain() {
                return Err(Error::at(position, "expected an operator before the number, or a unit behind it"));
            }
            value = at(position, value.plus(&part, 1))?;
        }
        if matches!(self.kind(), Kind::Number(_) | Kind::Symbol('(')) {
            return Err(self.expected("an operator such as `*`"));
        }
        Ok(value)
    }

    /// A number with its separators of thousands.
    fn number(&mut self) -> Result<Number, Error> {
        let position = self.position();
        let Kind::Number(first) = self.kind() else { return Err(self.expected("a number")) };
        let mut text = first.clone();
        self.at += 1;
        let whole = first.len() <= 3 && first.bytes().all(|byte| byte.is_ascii_digit());
        while self.grouping && whole && *self.kind() == Kind::Symbol(',') && !self.token(0).spaced {
            let next = self.token(1);
            let Kind::Number(group) = &next.kind else { break };
            let digits = group.bytes().take_while(u8::is_ascii_digit).count();
            if next.spaced || digits != 3 {
                return Err(Error::at(next.position, "expected three digits behind a separator of thousands"));
            }
            text.push_str(group);
            self.at += 2;
            if !is_group(group) {
                break;
            }
        }
        Number::parse(&text).map_err(|_| Error::at(position, "the number is too large or too small"))
    }

    /// Units (or a constant) written behind a value multiply it.
    fn with_units(&mut self, mut value: Quantity) -> Parsed {
        let mut inch = false;
        while let Kind::Word(word) = self.kind() {
            let position = self.position();
            let lower = word.to_ascii_lowercase();
            if let Some(constant) = constant(&lower) {
                self.at += 1;
                value = at(position, value.scaled(Number::Approx(constant)))?;
                continue;
            }
            let is_conversion = lower == "in"
                && (!value.is_plain() || !self.number_stands_before() || self.token(1).kind == Kind::Symbol('%'));
            if is_conversion || is_keyword(&lower) || !self.is_unit(word) {
                break;
            }
            if inch {
                return Err(Error::at(position, "is `in` an inch here? write `inch`, or `to` to convert"));
            }
            inch = lower == "in";
            let unit = self.unit_power()?;
            value = at(position, value.times(&unit, 1))?;
        }
        Ok(value)
    }

    fn number_stands_before(&self) -> bool {
        self.at > 0 && matches!(self.tokens[self.at - 1].kind, Kind::Number(_))
    }

    fn is_unit(&self, word: &str) -> bool {
        functions::arity(&word.to_ascii_lowercase()).is_none() || self.token(1).kind != Kind::Symbol('(')
    }

    /// `unit ((* | / | per) unit)*`, the target of a conversion.
    fn unit_product(&mut self) -> Parsed {
        let mut product = self.unit_power()?;
        loop {
            let position = self.position();
            let exponent = match self.kind() {
                Kind::Symbol('*') => 1,
                Kind::Symbol('/') => -1,
                _ if self.is_word(0, "per") => -1,
                _ => return Ok(product),
            };
            self.at += 1;
            let unit = self.unit_power()?;
            product = at(position, product.times(&unit, exponent))?;
        }
    }

    /// One unit with an exponent: `m`, `m^2`, `m²`, `m2`, `square metres`.
    fn unit_power(&mut self) -> Parsed {
        let position = self.position();
        let Kind::Word(word) = self.kind() else { return Err(self.expected("a unit")) };
        self.at += 1;
        let mut power = match word.to_ascii_lowercase().as_str() {
            "square" | "sq" => 2,
            "cubic" | "cu" => 3,
            _ => 1,
        };
        let name = match self.kind() {
            Kind::Word(next) if power > 1 => {
                self.at += 1;
                next
            }
            _ => word,
        };
        let name = match self.kind() {
            Kind::Word(scale) if is_degree(name) && is_scale(scale) => {
                self.at += 1;
                scale
            }
            _ => name,
        };
        let (name, suffix) = match name.strip_suffix(['2', '3']) {
            Some(stem) if power == 1 => (stem, if name.ends_with('2') { 2 } else { 3 }),
            _ => (name.as_str(), 1),
        };
        power *= suffix;
        let unit = match units::lookup(name) {
            Lookup::Unit(unit) => unit,
            Lookup::Ambiguous(candidates) => {
                let message = format!("`{name}` may be {}: write which", candidates.join(" or "));
                return Err(Error::at(position, message));
            }
            Lookup::Unknown if *self.kind() == Kind::Symbol('(') => {
                let message = format!("there is no function `{word}`: there are {}", functions::names());
                return Err(Error::at(position, message));
            }
            Lookup::Unknown => {
                return Err(Error::at(position, format!("expected a unit, a function or a constant, found `{name}`")));
            }
        };
        if power > 1 || *self.kind() != Kind::Symbol('^') {
            return Ok(Quantity::of_unit(unit, power));
        }
        self.at += 1;
        let sign = if self.take_symbol('-') { -1 } else { 1 };
        let Kind::Number(text) = self.kind() else { return Err(self.expected("a whole exponent")) };
        let exponent = text.parse::<i8>().ok().filter(|exponent| *exponent <= 12);
        let exponent = exponent.ok_or_else(|| self.expected("a whole exponent up to 12"))?;
        self.at += 1;
        Ok(if exponent == 0 { Quantity::plain(Number::ONE) } else { Quantity::of_unit(unit, sign * exponent) })
    }
}

fn at<T>(position: usize, result: Result<T, Mismatch>) -> Result<T, Error> {
    result.map_err(|message| Error::at(position, message))
}

/// Whether a number token is just three digits, as between separators of thousands.
fn is_group(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_keyword(word: &str) -> bool {
    ["to", "into", "as", "of", "mod", "per", "divided", "multiplied"].contains(&word)
}

/// `degrees` before `Celsius` is part of the unit's name.
fn is_degree(word: &str) -> bool {
    ["degree", "degrees", "deg"].contains(&word.to_ascii_lowercase().as_str())
}

fn is_scale(word: &str) -> bool {
    ["c", "f", "celsius", "fahrenheit"].contains(&word.to_ascii_lowercase().as_str())
}

fn constant(name: &str) -> Option<f64> {
    match name {
        "pi" | "π" => Some(std::f64::consts::PI),
        "e" => Some(std::f64::consts::E),
        "tau" | "τ" => Some(std::f64::consts::TAU),
        _ => None,
    }
}
