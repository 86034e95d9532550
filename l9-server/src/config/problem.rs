//! What is wrong with a configuration, and the word that was probably meant.

use std::fmt;

/// One thing that is wrong, and its mend if it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong, and where.
    pub(crate) message: String,
    /// How to mend it.
    pub(crate) help: Option<String>,
}

impl Problem {
    /// A problem with its mend.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }

    /// A problem whose message says it all.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }
}

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|problem| problem.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

/// The candidate most like the word, if any is like it at all.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keys_finds_the_word_and_another_word_does_not() {
        assert_eq!(closest("prot", ["port", "host"]), Some("port"));
        assert_eq!(closest("OPENAI_APIKEY", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]), Some("OPENAI_API_KEY"));
        assert_eq!(closest("colour", ["port", "host"]), None);
    }
}
