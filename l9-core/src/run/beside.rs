//! What a run's state has beside it while it is in memory. It is neither stored nor compared.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::flow::FieldLabels;
use crate::id::CallId;

/// An order that is not part of the state: two states that differ in it only are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Settled(pub(super) Vec<CallId>);

impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What is kept for speed alone, and is no part of the state either.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(VecDeque<Arc<FieldLabels>>);

impl Recent {
    /// As many tools as a run calls in turn.
    const MOST: usize = 8;

    /// The labels, shared with others that are equal to them.
    pub(super) fn shared(&mut self, labels: FieldLabels) -> Arc<FieldLabels> {
        if let Some(known) = self.0.iter().find(|known| ***known == labels) {
            return Arc::clone(known);
        }
        self.0.truncate(Self::MOST - 1);
        let labels = Arc::new(labels);
        self.0.push_front(Arc::clone(&labels));
        labels
    }
}

impl PartialEq for Recent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
