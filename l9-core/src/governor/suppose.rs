//! What another policy would say of an effect that was decided upon. Nothing is performed and
//! nothing journaled.

use super::path::{Governor, Work};
use super::policy::{Action, Facts, Policy, PolicyRequest, Verdict};
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
        let (work, _) = self.resolve(created, &call.wanted).ok()?;
        let work = Self::bounds(work, &call.wanted, state.amended(call.id)).ok()?;
        let facts = match &work {
            Work::Model { .. } => Facts::default(),
            Work::Tool { tool, arguments } => flow.judge(&tool.manifest, arguments).facts,
        };
        let action = match &work {
            Work::Model { name, .. } => Action::CallModel { model: name },
            Work::Tool { tool, arguments } => Action::InvokeTool { manifest: &tool.manifest, arguments },
        };
        let late = state.approvals.get(&call.id).is_some_and(|approval| approval.until.is_none());
        Some(policy.decide(&PolicyRequest {
            principal: &created.principal,
            agent: super::path::agent(created),
            action,
            label: &state.label,
            facts: &facts,
            budget: &created.budget,
            used: state.spent.plus(state.reserved),
            now,
            approved: false,
            timed_out: late,
        }))
    }
}
