//! Near duplicates among what a search found: the best of each group is a hit, and names the
//! others.
//!
//! Nothing is stored of it and nothing is built for it: the index tells by gists which of the
//! candidates may say the same, those are opened with the hits, and their words decide.

use std::collections::HashMap;

use l9_core::memory::{Entry, Hit, Query};
use uuid::Uuid;

use super::gist::Gist;
use super::rank::Found;
use super::terms::SPEAKER_FIELD;
use super::wording::Wording;
use crate::entry;

/// How far beyond the hits duplicates are looked for.
const BEYOND: usize = 64;
/// The most hits that others are compared with.
const COMPARED: usize = 256;
const DAY_MS: i64 = 86_400_000;

/// How many of the best a search looks at.
pub(crate) fn looked_at(query: &Query) -> usize {
    if query.duplicates || query.k == 0 { query.k } else { query.k.saturating_add(BEYOND) }
}

/// What may be in an answer: hits and what may be a duplicate of one.
pub(crate) struct Candidates {
    found: Vec<Found>,
    k: usize,
    fold: bool,
}

impl Candidates {
    /// Of the best that were looked at: the first `k` that resemble none before them, and all
    /// that do.
    pub(crate) fn of(found: Vec<Found>, query: &Query) -> Self {
        let (k, fold) = (query.k, !query.duplicates);
        if !fold {
            return Self { found, k, fold };
        }
        let mut gists: Vec<Gist> = Vec::with_capacity(found.len());
        let (mut kept, mut alone) = (Vec::new(), 0);
        for found in found {
            let resembles = gists.iter().any(|gist| gist.is_near(found.gist));
            if !resembles && alone == k {
                continue;
            }
            alone += usize::from(!resembles);
            if gists.len() < COMPARED {
                gists.push(found.gist);
            }
            kept.push(found);
        }
        Self { found: kept, k, fold }
    }

    /// Whose entries decide.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.found.iter().map(|found| found.id).collect()
    }

    /// The answer, of those that are there.
    pub(crate) fn answer(self, mut entries: HashMap<Uuid, Entry>) -> Vec<Hit> {
        let Self { found, k, fold } = self;
        let mut shown: Vec<Shown> = Vec::new();
        for found in found {
            let Some(entry) = entries.remove(&found.id) else { continue };
            let mut next = Shown {
                hit: Hit { entry, score: found.score, duplicates: Vec::new(), why: found.why },
                gist: found.gist,
                wording: None,
            };
            let compared = if fold { COMPARED.min(shown.len()) } else { 0 };
            let best = shown[..compared].iter_mut().position(|shown| shown.says_the_same_as(&mut next));
            match best {
                Some(best) => shown[best].hit.duplicates.push(next.hit.entry.id),
                None if shown.len() < k => shown.push(next),
                None => {}
            }
        }
        shown.into_iter().map(|shown| shown.hit).collect()
    }
}

struct Shown {
    hit: Hit,
    gist: Gist,
    /// Taken apart once it is compared.
    wording: Option<Wording>,
}

impl Shown {
    fn says_the_same_as(&mut self, other: &mut Self) -> bool {
        if !self.gist.is_near(other.gist) || !is_same_place(&self.hit.entry, &other.hit.entry) {
            return false;
        }
        let one = self.wording.get_or_insert_with(|| Wording::of(&self.hit.entry.entry.text));
        let two = other.wording.get_or_insert_with(|| Wording::of(&other.hit.entry.entry.text));
        one.is_same(two) && (!one.points() || is_same_moment(&self.hit.entry, &other.hit.entry))
    }
}

/// Whether the same words of two entries can mean the same: of one agent and layer, about the
/// same person, true at the same times, stating the same, and believed as little.
fn is_same_place(one: &Entry, other: &Entry) -> bool {
    let (one, other) = (&one.entry, &other.entry);
    one.agent == other.agent
        && one.layer == other.layer
        && one.subject == other.subject
        && (one.valid_from, one.valid_to) == (other.valid_from, other.valid_to)
        && one.relation == other.relation
        && one.metadata.get(SPEAKER_FIELD) == other.metadata.get(SPEAKER_FIELD)
        && one.label.confidentiality == other.label.confidentiality
        && one.label.subjects == other.label.subjects
        && one.label.is_trusted() == other.label.is_trusted()
        && entry::label_sources(one).eq(entry::label_sources(other))
}

/// Whether words such as `this` and `today` point to the same: in one conversation or document,
/// on one day.
fn is_same_moment(one: &Entry, other: &Entry) -> bool {
    let day = |entry: &Entry| entry.entry.at.unwrap_or(entry.recorded_at).as_millis().div_euclid(DAY_MS);
    let (session, source) = (&one.entry.session, &one.entry.source);
    let together = session.is_some() || source.is_some() && *source == other.entry.source;
    together && *session == other.entry.session && day(one) == day(other)
}
