//! The ranking of a search: BM25 over every document and what stands near it, a share for
//! the whole conversation, one for how near a document's meaning is, and one for who speaks.
//!
//! Filters come first: they give the set of documents, and every statistic of the ranking
//! is taken over that set alone, so that nothing outside of it shows in an answer. Words
//! count half for the document next to theirs and a quarter for the one after, as a
//! question is often answered in the next turn.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};

use l9_core::memory::Why;
use uuid::Uuid;

use super::gist::Gist;
use super::index::{Filter, Header, Index, Posting, stem_hash};
use super::terms::{Meant, Near, Query};

const K1: f64 = 1.2;
const B: f64 = 0.75;
/// What a stem that looks like one that was asked for counts, beside its likeness.
const ALIKE: f64 = 0.4;
/// The most stems that stand for one.
const MOST_ALIKE: usize = 8;
/// For how many stems of a query others that look alike are sought.
const SOUGHT: usize = 32;
/// What the best conversation adds, of what the best document has.
const CONVERSATION: f64 = 0.5;
/// By what share more counts what is said by somebody whom the query names.
const SPEAKER: f64 = 0.5;

/// What the nearest meaning adds, of what the best document has.
const MEANING: f64 = 0.75;
/// What stands this near to a document lends it its meaning, by that share: what comes next.
const BESIDE: f64 = 0.5;
/// How many documents are compared by meaning beside those that are wanted: of what lies further
/// the meaning is taken for nothing.
const MEANT: usize = 256;

/// How many documents are compared by meaning where so many are wanted.
pub(crate) fn meant(k: usize) -> usize {
    k.max(MEANT)
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: Uuid,
    pub(crate) score: f64,
    pub(crate) why: Option<Why>,
    pub(super) gist: Gist,
}

/// A document with what its score is made of.
struct Ranked<'a> {
    place: u32,
    header: &'a Header,
    text: f64,
    conversation: f64,
    meaning: Option<f64>,
    speaker: bool,
}

impl Ranked<'_> {
    fn score(&self) -> f64 {
        let meaning = self.meaning.unwrap_or(0.0);
        (self.text + CONVERSATION * self.conversation + MEANING * meaning)
            * if self.speaker { 1.0 + SPEAKER } else { 1.0 }
    }

    /// Best first; ties newest first, then by id.
    fn order(&self, other: &Self) -> Ordering {
        let tie = |one: &Self| (Reverse(one.header.document.at), one.header.document.id);
        other.score().total_cmp(&self.score()).then_with(|| tie(self).cmp(&tie(other)))
    }
}

/// A stem that is looked for.
struct Asked<'a> {
    postings: &'a [Posting],
    weight: f64,
}

impl Index {
    /// The best `k` documents, best first; ties newest first, then by id.
    pub(crate) fn search(&self, query: &Query, filter: &Filter, k: usize, explain: bool) -> Vec<Found> {
        if k == 0 || query.counts.is_empty() && !matches!(query.meant, Meant::Vector(_)) {
            return Vec::new();
        }
        let allowed = self.allowed(filter);
        if allowed.count == 0 {
            return Vec::new();
        }
        let mut documents = Tally::new(self.documents.len());
        let mut sessions = Tally::new(self.names.len());
        let mut norms = vec![0.0_f64; self.documents.len()];
        for Asked { postings, weight } in self.asked(query, &allowed) {
            let mut holders = 0_usize;
            for posting in postings.iter().filter(|posting| allowed.has(posting.place)) {
                holders += 1;
                let count = f64::from(posting.count);
                documents.count(posting.place, count);
                let Some(session) = self.session(posting.place) else { continue };
                sessions.count(session, count);
                for (near, share) in self.conversations.near(posting.place).filter(|(near, _)| allowed.has(*near)) {
                    documents.count(near, count * share);
                }
            }
            documents.score(weight * idf(allowed.count, holders), |place| {
                let norm = &mut norms[place as usize];
                if *norm == 0.0 {
                    *norm = self.norm(place, &allowed);
                }
                *norm
            });
            sessions
                .score(weight * idf(allowed.sessions, sessions.counted.len()), |session| allowed.session_norm(session));
        }
        let near = match &query.meant {
            Meant::Vector(vector) => self.near(vector, &query.near, &allowed, meant(k)),
            _ => HashMap::new(),
        };
        for place in near.keys() {
            documents.touch(*place);
        }
        self.best(&documents, &sessions, &near, query, (k, explain))
    }

    /// How near to a vector the meaning of documents is, together with what stands beside them:
    /// the best has 1. Some were found by their vectors elsewhere.
    fn near(&self, vector: &[f32], elsewhere: &[Near], allowed: &Allowed, k: usize) -> HashMap<u32, f64> {
        let mut near = self.dense.near(vector, |place| allowed.has(place), k);
        if !elsewhere.is_empty() {
            let found = elsewhere.iter().filter_map(|near| Some((self.place(near.id)?, near.similarity)));
            near.extend(
                found.filter(|(place, similarity)| *similarity > 0.0 && allowed.has(*place) && !self.dense.has(*place)),
            );
            near.sort_by(|one, other| other.1.total_cmp(&one.1));
            near.truncate(k);
        }
        let mut meanings: HashMap<u32, f64> = HashMap::new();
        for (place, similarity) in near {
            let similarity = f64::from(similarity);
            *meanings.entry(place).or_default() += similarity;
            let beside = self.conversations.near(place).filter(|(_, share)| *share >= BESIDE);
            for (near, share) in beside.filter(|(near, _)| allowed.has(*near)) {
                *meanings.entry(near).or_default() += share * similarity;
            }
        }
        let best = meanings.values().copied().fold(0.0, f64::max);
        meanings.values_mut().for_each(|meaning| *meaning /= best);
        meanings
    }

    /// The stems that are asked for, and those alike that stand in the set.
    fn asked(&self, query: &Query, allowed: &Allowed) -> Vec<Asked<'_>> {
        let mut weights: Vec<(u64, f64)> = Vec::with_capacity(query.counts.len());
        for (stem, count) in &query.counts {
            weights.push((stem_hash(stem), f64::from(*count)));
        }
        let mut known: HashSet<u64> = weights.iter().map(|(hash, _)| *hash).collect();
        let stands = |hash: &u64| {
            let postings = self.postings.get(hash).map(Vec::as_slice).unwrap_or_default();
            postings.iter().any(|posting| allowed.has(posting.place))
        };
        for (stem, _) in query.counts.iter().take(SOUGHT) {
            let alike = self.vocabulary.alike(stem).into_iter().map(|(alike, likeness)| (stem_hash(alike), likeness));
            for (hash, likeness) in alike.filter(|(hash, _)| stands(hash)).take(MOST_ALIKE) {
                if known.insert(hash) {
                    weights.push((hash, ALIKE * likeness));
                }
            }
        }
        let asked = |(hash, weight)| Some(Asked { postings: self.postings.get(&hash)?, weight });
        weights.into_iter().filter_map(asked).collect()
    }

    fn session(&self, place: u32) -> Option<u32> {
        self.documents.get(place as usize)?.as_ref()?.document.session
    }

    /// How long a document and what stands near it are, against the average.
    fn norm(&self, place: u32, allowed: &Allowed) -> f64 {
        let (mut length, mut shares) = (f64::from(allowed.lengths[place as usize]), 1.0);
        for (near, share) in self.conversations.near(place).filter(|(near, _)| allowed.has(*near)) {
            length += share * f64::from(allowed.lengths[near as usize]);
            shares += share;
        }
        norm(length / shares / allowed.average)
    }

    fn allowed(&self, filter: &Filter) -> Allowed {
        let mut lengths = vec![u32::MAX; self.documents.len()];
        let mut of_session = vec![0_u64; self.names.len()];
        let (mut count, mut total, mut in_sessions) = (0_usize, 0_u64, 0_u64);
        for (header, slot) in self.documents.iter().zip(&mut lengths) {
            if let Some(header) = header.as_ref().filter(|header| !header.wordless && filter.passes(header)) {
                *slot = header.length;
                count += 1;
                total += u64::from(header.length);
                if let Some(session) = header.document.session {
                    // One more than its words, so that a session without any is seen.
                    of_session[session as usize] += u64::from(header.length) + 1;
                    in_sessions += u64::from(header.length) + 1;
                }
            }
        }
        let average = |total: u64, count: usize| if count == 0 { 1.0 } else { (total as f64 / count as f64).max(1.0) };
        let sessions = of_session.iter().filter(|length| **length > 0).count();
        Allowed {
            lengths,
            count,
            average: average(total, count),
            of_session,
            sessions,
            session_average: average(in_sessions, sessions),
        }
    }

    fn best(
        &self,
        documents: &Tally,
        sessions: &Tally,
        near: &HashMap<u32, f64>,
        query: &Query,
        (k, explain): (usize, bool),
    ) -> Vec<Found> {
        let (best, best_session) = (documents.best(), sessions.best());
        let named = self.named(query);
        let rank = |place: &u32| {
            let header = self.documents.get(*place as usize)?.as_ref()?;
            let text = documents.scores[*place as usize] / best;
            // What stands alone is its own conversation.
            let conversation = match header.document.session {
                Some(session) => sessions.scores[session as usize] / best_session,
                None => text,
            };
            let speaker = header.speaker.is_some_and(|speaker| named.contains(&speaker));
            let meaning = near.get(place).copied();
            Some(Ranked { place: *place, header, text, conversation, meaning, speaker })
        };
        let mut ranked: Vec<Ranked<'_>> = documents.touched.iter().filter_map(rank).collect();
        if ranked.len() > k {
            ranked.select_nth_unstable_by(k, Ranked::order);
            ranked.truncate(k);
        }
        ranked.sort_unstable_by(Ranked::order);
        let found = |ranked: &Ranked<'_>| Found {
            id: ranked.header.document.id,
            score: ranked.score(),
            gist: ranked.header.gist,
            why: explain.then(|| Why {
                words: self.matched(query, ranked.place),
                text: ranked.text,
                conversation: ranked.conversation,
                speaker: ranked.speaker,
                meaning: ranked.meaning,
                meaning_failed: match &query.meant {
                    Meant::Failed(why) => Some(why.clone()),
                    _ => None,
                },
            }),
        };
        ranked.iter().map(found).collect()
    }

    /// The speakers with a name that the query has.
    fn named(&self, query: &Query) -> Vec<u32> {
        let stems: HashSet<&str> = query.counts.iter().map(|(stem, _)| stem.as_str()).collect();
        let asked = |name: &str| name.split(' ').any(|part| stems.contains(part));
        self.speakers.iter().filter(|(name, _)| asked(name)).map(|(_, number)| *number).collect()
    }

    /// Which stems of the query stand in a document itself.
    fn matched(&self, query: &Query, place: u32) -> Vec<String> {
        let holds = |stem: &str| {
            let postings = self.postings.get(&stem_hash(stem));
            postings.is_some_and(|postings| postings.binary_search_by_key(&place, |one| one.place).is_ok())
        };
        query.counts.iter().map(|(stem, _)| stem).filter(|stem| holds(stem)).cloned().collect()
    }
}

/// Counts and scores by number, with which of them are there.
struct Tally {
    counts: Vec<f64>,
    counted: Vec<u32>,
    scores: Vec<f64>,
    touched: Vec<u32>,
}

impl Tally {
    fn new(size: usize) -> Self {
        Self { counts: vec![0.0; size], counted: Vec::new(), scores: vec![0.0; size], touched: Vec::new() }
    }

    fn count(&mut self, at: u32, count: f64) {
        let slot = &mut self.counts[at as usize];
        if *slot == 0.0 {
            self.counted.push(at);
        }
        *slot += count;
    }

    /// Has a number among those that are there, whatever its score.
    fn touch(&mut self, at: u32) {
        if self.scores[at as usize] == 0.0 {
            self.touched.push(at);
        }
    }

    /// Scores what was counted of one stem, and begins anew.
    fn score(&mut self, weight: f64, mut norm: impl FnMut(u32) -> f64) {
        for at in self.counted.drain(..) {
            let count = std::mem::take(&mut self.counts[at as usize]);
            let score = &mut self.scores[at as usize];
            if *score == 0.0 {
                self.touched.push(at);
            }
            *score += weight * count * (K1 + 1.0) / (count + norm(at));
        }
    }

    /// The best score; never zero, since it divides.
    fn best(&self) -> f64 {
        let best = self.touched.iter().map(|at| self.scores[*at as usize]).fold(0.0, f64::max);
        if best > 0.0 { best } else { 1.0 }
    }
}

/// The set a filter gives: the length of every document in it, `u32::MAX` for others.
struct Allowed {
    lengths: Vec<u32>,
    count: usize,
    average: f64,
    /// Words and documents of every session, together; zero for one that has none in the set.
    of_session: Vec<u64>,
    sessions: usize,
    session_average: f64,
}

impl Allowed {
    fn has(&self, place: u32) -> bool {
        self.lengths[place as usize] != u32::MAX
    }

    fn session_norm(&self, session: u32) -> f64 {
        norm(self.of_session[session as usize] as f64 / self.session_average)
    }
}

/// What a length, against the average, adds to a count in BM25.
fn norm(length: f64) -> f64 {
    K1 * (1.0 - B + B * length)
}

/// Inverse document frequency, kept positive as in Lucene.
fn idf(documents: usize, frequency: usize) -> f64 {
    let (documents, frequency) = (documents as f64, frequency as f64);
    (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln()
}
