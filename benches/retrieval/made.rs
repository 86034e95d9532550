//! Conversations made from a seed: two people, sessions of small talk in which facts are asked
//! for and told, and questions that use other words than the answers.

use l9::memory::NewEntry;

use crate::locomo::{Conversation, Question};

const CONVERSATIONS: usize = 4;
const SESSIONS: usize = 30;
const PEOPLE: [(&str, &str); CONVERSATIONS] = [("Ada", "Mel"), ("Ines", "Tom"), ("Ruth", "Omar"), ("Kai", "Lena")];
/// A topic: what one asks, what the other tells (with a value), what is asked of memory later.
const TOPICS: [(&str, &str, &str); 10] = [
    ("Have you been away lately?", "Yes, a week in {}, with the children.", "Where did {who} travel with the family?"),
    (
        "What are you reading?",
        "A novel set in {}, hard to put down.",
        "Which place is the book about that {who} reads?",
    ),
    ("Did you get that job?", "I did! I start at the {} office.", "At which office does {who} begin to work?"),
    ("How is the garden?", "The seeds from {} came up at last.", "From where are the seeds in {who}'s garden?"),
    ("Are you still painting?", "I finished a picture of {} harbour.", "What harbour did {who} paint?"),
    ("Any concerts?", "I saw the quartet from {}, wonderful.", "Which city's musicians did {who} hear in concert?"),
    (
        "How was the wedding?",
        "My cousin married somebody from {}.",
        "Where is the person from that {who}'s cousin married?",
    ),
    ("Do you cook at all?", "I learnt a soup they make in {}.", "What soup can {who} cook?"),
    ("Did the parcel come?", "It was stuck in {} for a month.", "Where was {who}'s parcel delayed?"),
    ("Still learning languages?", "My teacher grew up in {}.", "Where did the teacher of {who} grow up?"),
];
const PLACES: [&str; 30] = [
    "Lisbon", "Oslo", "Quito", "Nairobi", "Kyoto", "Hanoi", "Lima", "Cairo", "Riga", "Porto", "Tunis", "Accra",
    "Delhi", "Perth", "Boston", "Havana", "Dakar", "Izmir", "Turin", "Ghent", "Bergen", "Malmo", "Gdansk", "Split",
    "Bari", "Lagos", "Osaka", "Busan", "Cusco", "Leeds",
];
const TALK: [&str; 8] = [
    "How lovely, tell me more some day.",
    "Work was long this week, I could sleep for days.",
    "The weather turned, did you see the rain?",
    "I must call my sister back tonight.",
    "That made me laugh, thank you.",
    "We should have lunch again soon.",
    "The neighbours are building something again.",
    "I forgot my keys, can you imagine?",
];

/// The conversations of a seed.
pub(crate) fn conversations(seed: u64) -> Vec<Conversation> {
    let mut draw = Draw(seed);
    PEOPLE.iter().map(|people| conversation(&mut draw, *people)).collect()
}

fn conversation(draw: &mut Draw, (one, other): (&str, &str)) -> Conversation {
    let (mut turns, mut questions) = (Vec::new(), Vec::new());
    for session in 1..=SESSIONS {
        let mut said = Vec::new();
        let topic = TOPICS[session % TOPICS.len()];
        let (asks, tells) = if draw.below(2) == 0 { (one, other) } else { (other, one) };
        let place = PLACES[session - 1];
        for _ in 0..4 + draw.below(6) {
            let who = if draw.below(2) == 0 { one } else { other };
            said.push((who, TALK[draw.below(TALK.len())].to_owned()));
        }
        let at = draw.below(said.len() + 1);
        said.insert(at, (asks, topic.0.to_owned()));
        said.insert(at + 1, (tells, topic.1.replace("{}", place)));
        let key = |turn: usize| format!("D{session}:{}", turn + 1);
        // Told by both in several sessions: whoever tells it in this one alone is asked about.
        if questions.iter().all(|(asked, _): &(String, _)| *asked != topic.2.replace("{who}", tells)) {
            questions.push((topic.2.replace("{who}", tells), key(at + 1)));
        } else {
            questions.retain(|(asked, _)| *asked != topic.2.replace("{who}", tells));
        }
        turns.extend(said.into_iter().enumerate().map(|(turn, (who, text))| NewEntry {
            text: format!("{who}: {text}"),
            key: Some(key(turn)),
            session: Some(format!("session_{session}")),
            ..NewEntry::default()
        }));
    }
    let questions = questions.into_iter().map(|(text, key)| Question { text, evidence: vec![key] }).collect();
    Conversation { turns, questions }
}

/// Numbers of a seed (xorshift64*, Vigna 2016).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
