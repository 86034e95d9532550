//! What a policy would say of an effect: another one of an effect that was decided upon, or the
//! node's own of one that nobody wants yet. Nothing is performed and nothing journaled.

use super::approval::Asking;
use super::path::{Governor, Refusal, Work};
use super::policy::{Decision, Facts, Policy, Verdict};
use super::withheld::judge;
use crate::flow::Flow;
use crate::run::{Call, RunState, Stage};
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
        self.supposed(policy, (state, flow), call, now).ok()
    }

    /// What decides about a run says of an effect that the run might want; what is refused before
    /// policy is asked is denied.
    pub(crate) fn foresee(&self, (state, flow): (&RunState, &Flow), call: &Call, now: Timestamp) -> Verdict {
        let verdict = self.supposed(&*self.policy_of(state), (state, flow), call, now);
        let Verdict { decision, reasons } =
            verdict.unwrap_or_else(|refusal| Verdict { decision: Decision::Deny, reasons: refusal.reasons().to_vec() });
        Verdict { decision, reasons: reasons.iter().map(|reason| self.shown(reason)).collect() }
    }

    fn supposed(
        &self,
        policy: &dyn Policy,
        (state, flow): (&RunState, &Flow),
        call: &Call,
        now: Timestamp,
    ) -> Result<Verdict, Refusal> {
        let never = || Refusal::new(Stage::Authenticate, "unknown_run", "the run was never accepted");
        let created = state.created.as_ref().ok_or_else(never)?;
        let (work, contract) = self.resolve(created, &call.wanted)?;
        let work = Self::bounds(work, &call.wanted, state.amended(call.id))?;
        let facts = match &work {
            Work::Model { .. } => Facts::default(),
            Work::Tool { tool, arguments } => judge(flow, &tool.manifest, arguments).facts,
        };
        let (label, within) = (&state.label, call.within);
        let asking = Asking { state, created, call: call.id, work: &work, contract, label, facts, within };
        Ok(asking.put_to(policy, now, false, asking.is_late()))
    }
}
