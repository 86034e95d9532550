//! How well a unit answers a question: the share of the question's weight it covers, by itself
//! and a little by its surroundings, times what speaks for the kind of answer wanted.
//!
//! Terms weigh by their inverse document frequency over all units (as in BM25), with a floor:
//! among thousands of sentences that share most words, those words still decide between equals.

use crate::markdown::{Kind, Unit};
use crate::query::{Known, Match, Query, Wanted};
use crate::words::{is_calendar, is_number, is_stopword, lower_case, words};

/// Weight of the most common term, the rarest having 1.
const FLOOR: f64 = 0.3;
/// What a name weighs more than another word.
const NAME: f64 = 1.3;
const SYNONYM: f64 = 0.6;
/// What the surroundings of a unit lend it, per term.
const FROM_HEADING: f64 = 0.45;
const FROM_LEAD: f64 = 0.6;
const FROM_BEFORE: f64 = 0.3;
const FROM_BEFORE_PRONOUN: f64 = 0.6;
const FROM_QUESTION: f64 = 0.8;
const FROM_AFTER: f64 = 0.12;
const FROM_SOURCE: f64 = 0.25;
/// Words a sentence may have before its length counts against it.
const LONG: f64 = 32.0;
/// Full coverage with everything in favour comes to about this; scores are shares of it.
const FULL: f64 = 1.6;

/// What one unit contains, as far as the question is concerned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Bits of the terms it has, and of those it has a synonym of.
    exact: u32,
    similar: u32,
    words: u32,
    /// Neighbouring terms of the question that are neighbours here: directly, nearly.
    pairs: u32,
    near_pairs: u32,
    has_number: bool,
    counts_target: bool,
    has_time: bool,
    has_name: bool,
    has_place: bool,
    defines: bool,
    opens_with_pronoun: bool,
    asks: bool,
    introduces: bool,
    /// It repeats the question word for word, as an example or a heading would.
    echoes: bool,
    /// More signs than prose has: a list of commands, a path, a signature.
    is_terse: bool,
    /// A term of the question is among its first words.
    opens_with_term: bool,
}

impl Facts {
    /// Reads a unit's text once.
    pub(crate) fn read(known: &mut Known<'_>, text: &str) -> Self {
        let mut facts = Self { asks: text.ends_with('?'), introduces: text.ends_with(':'), ..Self::default() };
        let query = known.query();
        let mut lower = String::new();
        let mut last_term: Option<(usize, u32)> = None;
        let mut last_number: Option<u32> = None;
        let mut before = String::new();
        for word in words(text) {
            let at = facts.words;
            facts.words += 1;
            lower_case(word, &mut lower);
            let Match { term, alike } = known.find(&lower);
            if let Some(term) = term {
                facts.exact |= 1 << term;
                facts.opens_with_term |= at < 3;
                if let Some((_, position)) = last_term.filter(|(last, _)| last + 1 == term) {
                    facts.pairs += u32::from(at - position == 1);
                    facts.near_pairs += u32::from((2..=3).contains(&(at - position)));
                }
                last_term = Some((term, at));
            } else if let Some(alike) = alike {
                facts.similar |= 1 << alike;
            }
            if query.counted.is_some() && (term == query.counted || (term.is_none() && alike == query.counted)) {
                facts.counts_target |= last_number.is_some_and(|number| at - number <= 3);
            }
            if term.is_none() && is_number(&lower) {
                facts.has_number = true;
                last_number = Some(at);
            }
            let since_term = last_term.filter(|(_, position)| *position <= 4).map(|(_, position)| at - position);
            facts.read_kind(word, &lower, &before, at, since_term);
            std::mem::swap(&mut before, &mut lower);
        }
        facts.echoes = query.is_echoed_by(text, facts.exact);
        let signs = text.bytes().filter(|byte| b"|{}[]<>=/\\`_".contains(byte)).count();
        facts.is_terse = signs * 14 > text.len();
        facts
    }

    /// Notes what speaks for an answer of some kind.
    fn read_kind(&mut self, word: &str, lower: &str, before: &str, at: u32, since_term: Option<u32>) {
        if at == 0 {
            self.opens_with_pronoun = matches!(
                lower,
                "it" | "its"
                    | "they"
                    | "their"
                    | "he"
                    | "his"
                    | "she"
                    | "her"
                    | "this"
                    | "these"
                    | "there"
                    | "that"
                    | "then"
            );
        }
        let verb_after_term = matches!(since_term, Some(1..=3)) && matches!(before, "is" | "are" | "was");
        self.defines |=
            verb_after_term && matches!(lower, "a" | "an" | "the" | "one" | "any" | "how" | "what" | "where");
        self.defines |= lower == "means" && since_term.is_some();
        let capital = word.starts_with(char::is_uppercase);
        let has_digit = word.as_bytes().first().is_some_and(u8::is_ascii_digit);
        if since_term == Some(0) || !(capital || has_digit || is_calendar(lower)) {
            return;
        }
        let is_year = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit()) && word.starts_with(['1', '2']);
        self.has_time |= is_year || word.contains(':') || (is_calendar(lower) && (capital || lower != "may"));
        let named = capital && at > 0 && !is_stopword(lower) && !is_calendar(lower);
        self.has_name |= named;
        self.has_place |= named && matches!(before, "in" | "at" | "near" | "on" | "from" | "of" | "outside" | "to");
    }

    /// What either of two texts contains.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        Self { exact: self.exact | other.exact, similar: self.similar | other.similar, ..Self::default() }
    }

    /// How much of term `term` this unit has.
    fn share(&self, term: usize) -> f64 {
        if self.exact & (1 << term) != 0 {
            1.0
        } else if self.similar & (1 << term) != 0 {
            SYNONYM
        } else {
            0.0
        }
    }
}

/// The question with the weights its terms have among these units.
#[derive(Debug)]
pub(crate) struct Scorer<'a> {
    query: &'a Query,
    weights: Vec<f64>,
    total: f64,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new<'b>(query: &'a Query, units: impl Iterator<Item = (&'b Unit, &'b Facts)>) -> Self {
        let mut count = 0.0;
        let mut exact = vec![0.0_f64; query.terms.len()];
        let mut similar = vec![0.0_f64; query.terms.len()];
        let mut anywhere = 0_u32;
        for (unit, facts) in units {
            anywhere |= facts.exact;
            if unit.kind == Kind::Heading {
                continue;
            }
            count += 1.0;
            for term in 0..query.terms.len() {
                exact[term] += f64::from(u8::from(facts.exact & (1 << term) != 0));
                similar[term] += f64::from(u8::from(facts.similar & (1 << term) != 0));
            }
        }
        let idf = |frequency: f64| (1.0 + (count - frequency + 0.5) / (frequency + 0.5)).ln();
        let rarest = idf(1.0_f64.min(count)).max(f64::MIN_POSITIVE);
        let is_fact = !matches!(query.wanted, Wanted::Anything | Wanted::Definition);
        let weights: Vec<f64> = (0..query.terms.len())
            .map(|term| {
                let name = query.terms[term].is_name;
                if exact[term] == 0.0 && similar[term] == 0.0 {
                    // Nobody uses the word. A missing name makes a fact doubtful; a missing
                    // word is most often the question's own way of putting it.
                    let heading = anywhere & (1 << term) != 0;
                    return if heading || (name && is_fact) { NAME } else { FLOOR };
                }
                let frequency = if exact[term] > 0.0 { exact[term] } else { similar[term] };
                let weight = FLOOR + (1.0 - FLOOR) * (idf(frequency) / rarest).min(1.0);
                if name { weight * NAME } else { weight }
            })
            .collect();
        let total = weights.iter().sum();
        Self { query, weights, total }
    }

    /// The score of `units[at]`, from 0 to about 1.
    pub(crate) fn score(&self, units: &[Unit], facts: &[Facts], at: usize, about: &Facts) -> f64 {
        let own = &facts[at];
        let around = Surroundings::of(units, facts, at, about);
        if own.exact | own.similar == 0 && !around.carries(own) {
            return 0.0;
        }
        let mut covered = 0.0;
        let mut names_missing = 0;
        for (term, weight) in self.weights.iter().enumerate() {
            let lent = around.lent(term);
            covered += weight * own.share(term).max(lent);
            let missing = own.share(term) < 0.5 && lent < FROM_SOURCE;
            names_missing += u32::from(missing && self.query.terms[term].is_name && *weight > FLOOR);
        }
        let coverage = covered / self.total;
        let names = if names_missing > 0 { 0.55 } else { 1.0 };
        // A question that is answered in the next breath gives way to its answer.
        let answered = own.asks && units.get(at + 1).is_some_and(|next| next.block == units[at].block);
        let gives_way = if answered { 0.5 } else { 1.0 };
        let pairs = 1.0 + (0.08 * f64::from(own.pairs) + 0.03 * f64::from(own.near_pairs)).min(0.2);
        coverage * names * gives_way * pairs * self.kind_of_answer(own) * form(units[at].kind, own) / FULL
    }

    /// What the presence or absence of the wanted kind of answer does to the score.
    fn kind_of_answer(&self, own: &Facts) -> f64 {
        let either = |present: bool| if present { 1.25 } else { 0.75 };
        match self.query.wanted {
            Wanted::Number if own.counts_target => 1.5,
            Wanted::Number if self.query.counted.is_some() => {
                if own.has_number {
                    1.05
                } else {
                    0.7
                }
            }
            Wanted::Number => either(own.has_number),
            Wanted::Time => either(own.has_time),
            Wanted::Person => either(own.has_name),
            Wanted::Place => {
                if own.has_place {
                    1.25
                } else if own.has_name {
                    1.0
                } else {
                    0.75
                }
            }
            Wanted::Definition => {
                if own.defines {
                    1.3
                } else {
                    1.0
                }
            }
            Wanted::Anything => 1.1,
        }
    }
}

/// What the form of a unit does to its score.
fn form(kind: Kind, own: &Facts) -> f64 {
    let kind = match kind {
        Kind::Heading | Kind::Code => 0.6,
        Kind::Row => 0.95,
        Kind::Sentence | Kind::Item => 1.0,
    };
    let words = f64::from(own.words);
    let length = if words < 3.0 { 0.75 } else { (LONG / words).min(1.0).sqrt() };
    let asks = if own.asks { 0.4 } else { 1.0 };
    let introduces = if own.introduces { 0.8 } else { 1.0 };
    let terse = if own.is_terse { 0.8 } else { 1.0 };
    let echoes = if own.echoes { 0.3 } else { 1.0 };
    let opens = if own.opens_with_term { 1.05 } else { 1.0 };
    kind * length * asks * introduces * terse * echoes * opens
}

/// The units around one, with what each lends.
struct Surroundings<'a> {
    lenders: Vec<(&'a Facts, f64)>,
}

impl<'a> Surroundings<'a> {
    fn of(units: &[Unit], facts: &'a [Facts], at: usize, about: &'a Facts) -> Self {
        let unit = &units[at];
        let mut lenders = vec![(about, FROM_SOURCE)];
        let mut heading = unit.heading;
        let mut strength = FROM_HEADING;
        while let Some(above) = heading {
            lenders.push((&facts[above], strength));
            strength *= 0.8;
            heading = units[above].heading;
        }
        lenders.extend(unit.lead.map(|lead| (&facts[lead], FROM_LEAD)));
        let neighbour = |other: usize| units.get(other).filter(|near| near.block == unit.block).map(|_| &facts[other]);
        if let Some(before) = at.checked_sub(1).and_then(neighbour) {
            let strength = match (before.asks, facts[at].opens_with_pronoun) {
                (true, _) => FROM_QUESTION,
                (_, true) => FROM_BEFORE_PRONOUN,
                _ => FROM_BEFORE,
            };
            lenders.push((before, strength));
        }
        lenders.extend(neighbour(at + 1).map(|after| (after, FROM_AFTER)));
        Self { lenders }
    }

    fn lent(&self, term: usize) -> f64 {
        self.lenders.iter().map(|(lender, strength)| lender.share(term) * strength).fold(0.0, f64::max)
    }

    /// Whether a unit without any term of its own may still be the answer: under a heading or
    /// behind a sentence that speaks of the matter.
    fn carries(&self, own: &Facts) -> bool {
        own.words >= 3 && self.lenders.iter().any(|(lender, strength)| *strength >= FROM_HEADING && lender.exact != 0)
    }
}
