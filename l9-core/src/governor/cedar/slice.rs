//! The policies that may bear on a pair of principal and resource, parted by what they look at.
//! Most look only at the pair and at the few facts of [`Known`]: what these say is asked of
//! Cedar once and kept. Only those that look at what differs every time are asked every time.

use std::sync::Arc;

use cedar_policy::{PolicyId, PolicySet};

use super::built::Built;
use super::compile::Rule;
use super::entities::Pair;
use super::facts::Known;
use super::usage::Looks;
use crate::Result;
use crate::governor::policy::Decision;

/// The most answers that are kept of one pair and part.
const ANSWERS: usize = 64;

/// The policies that may bear on some pairs.
pub(super) struct Slice {
    /// Those that decide the same whether or not somebody has approved.
    pub(super) steady: Part,
    /// Those that look at it.
    pub(super) approving: Part,
}

/// Some policies.
pub(super) struct Part {
    /// Those whose answer follows from the pair and what is [`Known`].
    pub(super) settled: PolicySet,
    /// Those that look at what differs every time.
    pub(super) varying: PolicySet,
    /// What of the context the varying ones look at: nothing else is told them.
    pub(super) looks: Looks,
}

/// A pair, what bears on it, and what that said before.
pub(super) struct Case {
    pub(super) pair: Pair,
    pub(super) slice: Arc<Slice>,
    pub(super) steady: Answers,
    pub(super) approving: Answers,
}

/// What settled policies said of a pair.
pub(super) type Answers = Built<Known, Arc<Said>>;

/// What some policies say.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) permits: Vec<PolicyId>,
    pub(super) forbids: Vec<PolicyId>,
    /// A prohibition that cannot be evaluated stands.
    pub(super) broken: Vec<String>,
}

impl Slice {
    /// Some policies, those of a kind apart from the others.
    pub(super) fn of(rules: &[&Rule], apart: impl Fn(&Rule) -> bool) -> Result<Self> {
        let (approving, steady): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| apart(rule));
        Ok(Self { steady: Part::of(&steady)?, approving: Part::of(&approving)? })
    }
}

impl Part {
    /// Some policies.
    pub(super) fn of(rules: &[&Rule]) -> Result<Self> {
        let (varying, settled): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| rule.usage.varies());
        let mut looks = Looks::default();
        varying.iter().for_each(|rule| looks.extend(&rule.usage.context));
        Ok(Self { settled: set(&settled)?, varying: set(&varying)?, looks })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.varying.is_empty()
    }
}

impl Case {
    pub(super) fn new(pair: Pair, slice: Arc<Slice>) -> Self {
        Self { pair, slice, steady: Built::of_at_most(ANSWERS), approving: Built::of_at_most(ANSWERS) }
    }
}

impl Said {
    pub(super) fn denies(&self) -> bool {
        !self.forbids.is_empty() || !self.broken.is_empty()
    }

    /// What two parts decide together.
    pub(super) fn and(&self, other: &Self) -> Decision {
        if self.denies() || other.denies() || (self.permits.is_empty() && other.permits.is_empty()) {
            Decision::Deny
        } else {
            Decision::Allow
        }
    }

    /// What these and others say.
    pub(super) fn with(mut self, others: &Self) -> Self {
        self.permits.extend(others.permits.iter().cloned());
        self.forbids.extend(others.forbids.iter().cloned());
        self.broken.extend(others.broken.iter().cloned());
        self
    }
}

/// Policies as Cedar takes them.
pub(super) fn set(rules: &[&Rule]) -> Result<PolicySet> {
    PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone()))
        .map_err(|error| crate::Error::internal(error.to_string()))
}
