//! Pairs of sentences that say the same with small differences, and of such that differ in the
//! one thing that matters; made from a seed, so that everybody counts the same.

use std::collections::BTreeMap;

use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{MemoryStore, NewEntry, Query, Scope};

/// Two sentences.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) one: String,
    pub(crate) other: String,
    /// Whether they say the same.
    pub(crate) same: bool,
    /// What they differ in.
    pub(crate) kind: &'static str,
}

/// How many of each kind were linked, and of how many.
#[derive(Debug, Default)]
pub(crate) struct Linked(BTreeMap<(bool, &'static str), (usize, usize)>);

impl Linked {
    /// Which of some pairs are linked, each kept as memories of an agent of its own.
    pub(crate) async fn of(memory: &dyn MemoryStore, tenant: &TenantId, pairs: &[Pair]) -> l9_core::Result<Self> {
        let agents: Vec<AgentId> =
            (0..pairs.len()).map(|at| AgentId::new(format!("pair-{at}"))).collect::<l9_core::Result<_>>()?;
        let entry = |at: usize, text: &str| NewEntry {
            text: text.into(),
            agent: Some(agents[at].clone()),
            ..NewEntry::default()
        };
        let entries = pairs.iter().enumerate().flat_map(|(at, pair)| [entry(at, &pair.one), entry(at, &pair.other)]);
        memory.remember(tenant, entries.collect()).await?;
        let mut linked = Self::default();
        for (at, pair) in pairs.iter().enumerate() {
            let scope = Scope { agent: Some(agents[at].clone()), ..Scope::tenant(tenant.clone()) };
            let hits = memory.search(&scope, &Query::new(&pair.one, 10)).await?;
            assert_eq!(hits.iter().map(|hit| 1 + hit.duplicates.len()).sum::<usize>(), 2, "{pair:?}");
            linked.count(pair, hits.len() == 1);
        }
        Ok(linked)
    }

    fn count(&mut self, pair: &Pair, linked: bool) {
        let (yes, all) = self.0.entry((pair.same, pair.kind)).or_default();
        (*yes, *all) = (*yes + usize::from(linked), *all + 1);
    }

    fn sum(&self, same: bool) -> (usize, usize) {
        let of = self.0.iter().filter(|((is_same, _), _)| *is_same == same);
        of.fold((0, 0), |sum, (_, (yes, all))| (sum.0 + yes, sum.1 + all))
    }

    pub(crate) fn precision(&self) -> f64 {
        let right = self.sum(true).0;
        right as f64 / (right + self.sum(false).0).max(1) as f64
    }

    pub(crate) fn recall(&self) -> f64 {
        let (right, all) = self.sum(true);
        right as f64 / all.max(1) as f64
    }
}

const NAMES: &[&str] = &["Ada", "Bob", "Carol", "Dmitri", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas"];
const PLACES: &[&str] = &["Lisbon", "Oslo", "Ulm", "Prague", "Kyoto", "Lima", "Tunis", "Perth", "Riga", "Quito"];
const DAYS: &[&str] = &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
const THINGS: &[&str] = &["report", "budget", "contract", "schedule", "invoice", "inventory", "proposal", "archive"];
const NUMBERS: &[&str] = &["three", "four", "five", "six", "seven", "eight", "nine", "ten"];
/// Words that are often misspelt, in a sentence of theirs.
const SLIPS: &[(&str, &str)] = &[
    ("accommodation", "accomodation"),
    ("committee", "comittee"),
    ("received", "recieved"),
    ("address", "adress"),
    ("occurred", "occured"),
    ("weird results", "wierd results"),
    ("necessary", "neccessary"),
    ("environment", "enviroment"),
];
const OPPOSITES: &[(&str, &str)] = &[
    ("rose", "fell"),
    ("opened", "closed"),
    ("accepted", "rejected"),
    ("encrypted", "decrypted"),
    ("imported", "exported"),
    ("legal", "illegal"),
    ("minimum", "maximum"),
    ("enabled", "disabled"),
];

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }

    /// Two different ones.
    fn two<'a>(&mut self, all: &[&'a str]) -> (&'a str, &'a str) {
        let first = self.roll(all.len());
        let second = (first + 1 + self.roll(all.len() - 1)) % all.len();
        (all[first], all[second])
    }
}

/// So many rounds of every kind.
pub(crate) fn pairs(seed: u64, rounds: usize) -> Vec<Pair> {
    let mut dice = Dice(seed);
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        same(&mut dice, &mut pairs);
        different(&mut dice, &mut pairs);
    }
    pairs
}

fn same(dice: &mut Dice, pairs: &mut Vec<Pair>) {
    let ((ada, bob), (oslo, _)) = (dice.two(NAMES), dice.two(PLACES));
    let (day, thing, hour) = (dice.of(DAYS), dice.of(THINGS), 2 + dice.roll(9));
    let number = dice.roll(NUMBERS.len());
    let (right, slip) = dice.of(SLIPS);
    let mut add = |kind, one: String, other: String| pairs.push(Pair { one, other, same: true, kind });
    add(
        "case and marks",
        format!("{ada} sent the {thing} to {bob} in {oslo}."),
        format!("{ada} sent the \u{201c}{thing}\u{201d} to {bob} in {oslo}!"),
    );
    add("case and marks", format!("THE {thing} IS IN {oslo}"), format!("The {thing} is in {oslo}."));
    add("articles", format!("The {thing} for {oslo} is ready"), format!("{thing} for {oslo} is ready"));
    add("contractions", format!("{ada} doesn't work with {bob}."), format!("{ada} does not work with {bob}."));
    add(
        "fillers",
        format!("{ada} really likes the office in {oslo}."),
        format!("Actually, {ada} likes the office in {oslo}."),
    );
    add("please", format!("Please send the {thing} to {bob}."), format!("Send the {thing} to {bob}, please."));
    add(
        "numbers in words",
        format!("{ada} has {} copies of the {thing}.", NUMBERS[number]),
        format!("{ada} has {} copies of the {thing}", number + 3),
    );
    add(
        "forms of a time",
        format!("The {thing} is due on {day} at {hour} p.m."),
        format!("The {thing} is due on {day} at {hour}pm"),
    );
    add("spelling", format!("{ada} organised the {thing}."), format!("{ada} organized the {thing}."));
    add(
        "a slip",
        format!("{ada} told {bob} in {oslo} about the {right}."),
        format!("{ada} told {bob} in {oslo} about the {slip}."),
    );
    add(
        "a phrase that moved",
        format!("On {day} {ada} meets {bob} in {oslo}."),
        format!("{ada} meets {bob} in {oslo} on {day}."),
    );
    add(
        "a condition that moved",
        format!("If the {thing} is late, {ada} calls {bob}."),
        format!("{ada} calls {bob} if the {thing} is late."),
    );
    add("hyphens", format!("{ada} wrote a follow-up {thing}."), format!("{ada} wrote a follow up {thing}."));
    add(
        "other words",
        format!("{ada} bought the {thing} in {oslo}."),
        format!("{ada} purchased the {thing} in {oslo}."),
    );
    add("the passive", format!("{ada} wrote the {thing}."), format!("The {thing} was written by {ada}."));
}

fn different(dice: &mut Dice, pairs: &mut Vec<Pair>) {
    let ((ada, bob), (oslo, riga)) = (dice.two(NAMES), dice.two(PLACES));
    let ((monday, friday), thing) = (dice.two(DAYS), dice.of(THINGS));
    let (low, high) = (2 + dice.roll(40), 50 + dice.roll(40));
    let (three, four) = dice.two(NUMBERS);
    let (rose, fell) = dice.of(OPPOSITES);
    let long = format!(
        "{ada} and {bob} went through the {thing} of the office in {oslo} page by page, wrote down what was missing, and \
         agreed on what to do about every point of it before the visit"
    );
    let mut add = |kind, one: String, other: String| pairs.push(Pair { one, other, same: false, kind });
    add("a number", format!("The meeting is at {low}."), format!("The meeting is at {high}."));
    add("a number", format!("{long} of {low} guests."), format!("{long} of {high} guests."));
    add("a number in words", format!("{ada} has {three} copies."), format!("{ada} has {four} copies."));
    add("a decimal point", format!("The {thing} is 1.{low} MB."), format!("The {thing} is 1{low} MB."));
    add("a sign", format!("It is -{low} degrees in {oslo}."), format!("It is {low} degrees in {oslo}."));
    add("a unit", format!("The {thing} has {low} kg."), format!("The {thing} has {low} g."));
    add("a negation", format!("{ada} is allowed in."), format!("{ada} is not allowed in."));
    add("a negation", format!("{ada} can read the {thing}."), format!("{ada} can't read the {thing}."));
    add("a negation", format!("{long} in May."), format!("{} in May.", long.replacen("agreed", "never agreed", 1)));
    add("a negation", format!("{ada} left with {bob}."), format!("{ada} left without {bob}."));
    add("a name", format!("{ada} has the {thing}."), format!("{bob} has the {thing}."));
    add("a name", format!("{long}."), format!("{}.", long.replacen(oslo, riga, 1)));
    add("a day", format!("The {thing} is due on {monday}."), format!("The {thing} is due on {friday}."));
    add("a date", format!("{ada} was born on 2001-03-{low:02}."), format!("{ada} was born on 2001-03-{high:02}."));
    add("roles", format!("{ada} pays {bob} for the {thing}."), format!("{bob} pays {ada} for the {thing}."));
    add("roles", format!("{ada} reports to {bob}."), format!("{bob} reports to {ada}."));
    add("roles", format!("{ada} was called by {bob}."), format!("{bob} was called by {ada}."));
    add("directions", format!("Fly from {oslo} to {riga}."), format!("Fly from {riga} to {oslo}."));
    add("causes", format!("Because {ada} left, {bob} stayed."), format!("Because {bob} stayed, {ada} left."));
    add("an order", format!("{ada} came before {bob}."), format!("{bob} came before {ada}."));
    add(
        "an added condition",
        format!("{ada} may sign the {thing}."),
        format!("{ada} may sign the {thing} if {bob} agrees."),
    );
    add("an added condition", format!("{long}."), format!("{long}, unless {bob} is away."));
    add("an exception", format!("All offices have the {thing}."), format!("All offices but {oslo} have the {thing}."));
    add("an opposite", format!("The {thing} was {rose} in {oslo}."), format!("The {thing} was {fell} in {oslo}."));
    add("a tense", format!("{ada} works in {oslo}."), format!("{ada} worked in {oslo}."));
    add("a question", format!("{ada} is in {oslo}."), format!("Is {ada} in {oslo}?"));
    add("a quantity", format!("Some of the {thing} is lost."), format!("All of the {thing} is lost."));
    add("a possibility", format!("{ada} will sign the {thing}."), format!("{ada} may sign the {thing}."));
    add("only", format!("Only {ada} calls {bob}."), format!("{ada} calls only {bob}."));
}
