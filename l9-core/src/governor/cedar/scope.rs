//! The scope of a policy, taken apart, so that only policies that may bear on a request are
//! looked at. A policy whose scope does not fit never holds, and so changes no decision.

use cedar_policy::{ActionConstraint, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

/// The actions, as the schema names them.
pub(super) const ACTIONS: [&str; 7] =
    ["InvokeTool", "CallModel", "ReadMemory", "WriteMemory", "Delegate", "Approve", "Administer"];

/// What a policy's scope lets in.
#[derive(Debug)]
pub(super) struct Scope {
    /// One bit for each action.
    actions: u8,
    principal: Part,
    resource: Part,
}

/// What one part of a scope lets in.
#[derive(Debug)]
enum Part {
    Any,
    Exactly(EntityUid),
    Kind(String),
}

impl Part {
    fn lets_in(&self, uid: &EntityUid) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(only) => only == uid,
            Self::Kind(kind) => *kind == uid.type_name().to_string(),
        }
    }
}

impl Scope {
    pub(super) fn of(policy: &Policy) -> Self {
        let bits = |actions: &[EntityUid]| {
            let bit = |action: &EntityUid| ACTIONS.iter().position(|known| *known == action.id().unescaped());
            actions.iter().filter_map(bit).fold(0, |bits, at| bits | 1 << at)
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => u8::MAX,
            ActionConstraint::Eq(action) => bits(&[action]),
            ActionConstraint::In(actions) => bits(&actions),
        };
        // Who is in what is for Cedar to say.
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Eq(uid) => Part::Exactly(uid),
            PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => Part::Kind(kind.to_string()),
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => Part::Any,
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Eq(uid) => Part::Exactly(uid),
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => Part::Kind(kind.to_string()),
            ResourceConstraint::Any | ResourceConstraint::In(_) => Part::Any,
        };
        Self { actions, principal, resource }
    }

    /// Whether it says which actions it is for.
    pub(super) fn names_actions(&self) -> bool {
        self.actions != u8::MAX
    }

    /// Whether a request of this action, principal and resource may fit.
    pub(super) fn may_fit(&self, action: usize, principal: &EntityUid, resource: &EntityUid) -> bool {
        self.actions & (1 << action) != 0 && self.principal.lets_in(principal) && self.resource.lets_in(resource)
    }
}
