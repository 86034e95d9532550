//! What another policy would say of an effect that was decided upon. Nothing is performed and
//! nothing journaled.

use super::approval::Asking;
use super::path::{Governor, Work};
use super::policy::{Facts, Policy, Verdict};
use crate::flow::Flow;
use crate::run::{Call, RunState};
use crate::time::Timestamp;

impl Governor {
    /// What a policy says of a wanted effect, before anybody is asked; `None` where the tool or
    /// the model is not what it was, so that nobody can tell.
    pub(crate) fn suppose(
        &self,
        policy: &dyn Policy,
        (state, flow): (&RunState, &Flow),
        call: &Call,
        now: Timestamp,
    ) -> Option<Verdict> {
        let created = state.created.as_ref()?;
        let (work, contract) = self.resolve(created, &call.wanted).ok()?;
        let work = Self::bounds(work, &call.wanted, state.amended(call.id)).ok()?;
        let facts = match &work {
            Work::Model { .. } => Facts::default(),
            Work::Tool { tool, arguments } => flow.judge(&tool.manifest, arguments).facts,
        };
        let (label, within) = (&state.label, call.within);
        let asking = Asking { state, created, call: call.id, work: &work, contract, label, facts, within };
        Some(asking.put_to(policy, now, false, asking.is_late()))
    }
}
