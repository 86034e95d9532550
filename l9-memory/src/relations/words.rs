//! Words that the rules know.

/// Small words, between spaces.
#[derive(Clone, Copy)]
pub(super) struct Words(&'static str);

impl Words {
    pub(super) fn contain(self, word: &str) -> bool {
        self.0.split_ascii_whitespace().any(|one| one == word)
    }
}

/// Words after which a sentence states nothing.
pub(super) const DOUBT: Words = Words(
    "according aint alleged allegedly almost apparently aspiring assume assumes assuming barely believe \
    believed believes cannot claim claimed claims could deny denied denies doubt doubts dream dreams \
    ever except fake fictional former formerly future guess hardly hope hopes hypothetically if imagine \
    imagines instead kidding lest likely may maybe might must nearly neither never no nobody none nor \
    not nothing once ought perhaps plan plans possibly potential presumably pretend pretends probably \
    purportedly reportedly rumored rumour rumoured said say saying says seemingly seems shall should \
    so-called suppose supposed supposedly suspect suspects think thinks thought unless unlike until used \
    wants was were whether will wish wishes without would would-be wouldn wrongly",
);
/// Words that begin a sentence with a great letter and are no names.
pub(super) const NO_NAME: Words = Words(
    "a absolutely after all also although an and another any anybody anyone anything as at because before \
    both but by congrats dear dinner during each either even every everybody everyone everything few \
    finally first for friday from god great haha he hello her here hers hey hi hmm his home how however \
    i in indeed it its just last life like little lol love lunch many money monday more most much my \
    next nobody now of oh ok old okay on one only or other our people please poor saturday she since so \
    some somebody someone something sorry still such sunday sure thank thanks that the their then there \
    these they this those though thursday time to today tomorrow tonight tuesday two wednesday we well \
    what when where which while who whoever whose why with work wow yeah yep yes yesterday yet you young \
    your",
);
/// What may stand within a name, between two of its words.
pub(super) const WITHIN: Words = Words("da de del der di of the van von");
/// What may follow what a sentence says.
pub(super) const FOLLOWS: Words = Words(
    "after and as at because before but during every for from full-time in near now on part-time since \
    that these today together too where which while who with",
);
/// What may stand between a name and its verb.
pub(super) const ADVERBS: Words = Words("also currently now really still");
/// Nouns of no kind: `is a bit`, `is the end of`.
pub(super) const NO_NOUN: Words = Words(
    "bad beginning best better big bit busy case certain couple end few fine good great half hit joke \
    kind little lot mess middle most must name new nice number old one opposite pain pity point problem \
    real rest result shame sort thing total type very way while worst",
);
