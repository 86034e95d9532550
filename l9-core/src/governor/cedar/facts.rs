//! Facts become a context. All that a rule may ask of a call's arguments fits into a few
//! bits, so that a context is built once for each of the few that occur.

use cedar_policy::RestrictedExpression;

use super::entities::operation_uid;
use super::schema::ROLES;
use super::usage::Looks;
use crate::Result;
use crate::governor::{ArgumentFact, Facts, Operation, Standing};
use crate::label::Confidentiality;
use crate::tool::{ArgRole, Integrity};

/// What is known of a call, or of a decision upon one, apart from what differs every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Known {
    Call { approved: bool, bits: u64 },
    Question { own: bool, grounded: bool, untrusted: bool },
    Administration(Operation),
}

/// How many bits a role has, and what they say.
const WIDTH: usize = 5;
const PRESENT: u64 = 1;
const IDENTITY: u64 = 1 << 1;
const UNTRUSTED: u64 = 1 << 2;
const NAMED: u64 = 1 << 3;
const NOVEL: u64 = 1 << 4;

/// The bits above those of the roles.
const FLAGS: usize = WIDTH * ROLES.len();
const TIMED_OUT: u64 = 1 << FLAGS;
const GRANTED: u64 = 1 << (FLAGS + 1);
const GROUNDED: u64 = 1 << (FLAGS + 2);
const READ_UNTRUSTED: u64 = 1 << (FLAGS + 3);
const DEMANDS_TRUST: u64 = 1 << (FLAGS + 4);
const CONFIDENTIALITY: usize = FLAGS + 5;

/// Where a fact's role stands among [`ROLES`].
pub(super) fn role(fact: &ArgumentFact) -> usize {
    match fact.role {
        _ if fact.embedded => 2,
        ArgRole::Recipient => 0,
        ArgRole::Url => 1,
        ArgRole::Path => 3,
        ArgRole::Target => 4,
        ArgRole::Amount => 5,
        ArgRole::Time => 6,
        ArgRole::Secret => 7,
        ArgRole::Body => 8,
    }
}

/// 0 for public to 3 for secret.
pub(super) fn level(confidentiality: Confidentiality) -> u8 {
    match confidentiality {
        Confidentiality::Public => 0,
        Confidentiality::Tenant => 1,
        Confidentiality::Subject => 2,
        Confidentiality::Secret => 3,
    }
}

/// All that is known of a call in bits; `granted` is whether the agent's profile names it.
pub(super) fn bits(facts: &Facts, granted: bool, timed_out: bool) -> u64 {
    let flag = |holds: bool, bit: u64| if holds { bit } else { 0 };
    let mut bits = flag(timed_out, TIMED_OUT)
        | flag(granted, GRANTED)
        | flag(facts.grounded, GROUNDED)
        | flag(!facts.untrusted.is_empty(), READ_UNTRUSTED)
        | (u64::from(level(facts.confidentiality)) << CONFIDENTIALITY);
    for fact in &facts.arguments {
        let made_up = fact.standing == Standing::Untrusted;
        let mut of_role = PRESENT
            | flag(made_up, UNTRUSTED)
            | flag(fact.standing == Standing::Identity, IDENTITY)
            | flag(made_up && !fact.written, NAMED)
            | flag(made_up && !fact.shown, NOVEL);
        let shift = WIDTH * role(fact);
        if made_up || (bits >> shift) & UNTRUSTED != 0 {
            // The least that holds of any of them holds of the role.
            of_role &= !IDENTITY;
            bits &= !(IDENTITY << shift);
        }
        bits |= of_role << shift;
        let demanded = fact.required == Some(Integrity::Trusted) && fact.standing != Standing::Trusted;
        bits |= flag(demanded, DEMANDS_TRUST);
    }
    bits
}

/// What is known as attributes of a context, those that are looked at.
///
/// # Errors
/// `Internal` where Cedar does not take it.
pub(super) fn told(known: Known, looks: &Looks) -> Result<Vec<Told>> {
    Ok(match known {
        Known::Call { approved, bits } => call(approved, bits, looks),
        Known::Question { own, grounded, untrusted } => {
            vec![truth("own", own), truth("grounded", grounded), truth("untrusted", untrusted)]
        }
        Known::Administration(operation) => {
            let operation = RestrictedExpression::new_entity_uid(operation_uid(operation)?);
            vec![("operation".to_owned(), operation)]
        }
    })
}

/// An attribute of a context.
pub(super) type Told = (String, RestrictedExpression);

fn truth(name: &str, holds: bool) -> Told {
    (name.to_owned(), RestrictedExpression::new_bool(holds))
}

fn call(approved: bool, bits: u64, looks: &Looks) -> Vec<Told> {
    let holds = |bit: u64| bits & bit != 0;
    let confidentiality = i64::try_from((bits >> CONFIDENTIALITY) & 3).unwrap_or(3);
    let mut told = vec![
        truth("approved", approved),
        truth("timed_out", holds(TIMED_OUT)),
        truth("granted", holds(GRANTED)),
        truth("grounded", holds(GROUNDED)),
        truth("untrusted", holds(READ_UNTRUSTED)),
        truth("demands_trust", holds(DEMANDS_TRUST)),
        ("confidentiality".to_owned(), RestrictedExpression::new_long(confidentiality)),
    ];
    let roles = ROLES.iter().enumerate().filter(|(_, name)| looks.at(name));
    told.extend(roles.map(|(at, name)| ((*name).to_owned(), argument(bits >> (WIDTH * at)))));
    told.retain(|(name, _)| looks.at(name));
    told
}

fn argument(bits: u64) -> RestrictedExpression {
    let holds = |bit: u64| bits & bit != 0;
    let fields = [
        truth("present", holds(PRESENT)),
        truth("trusted", !holds(IDENTITY) && !holds(UNTRUSTED)),
        truth("identity", holds(IDENTITY)),
        truth("untrusted", holds(UNTRUSTED)),
        truth("named_by_untrusted", holds(NAMED)),
        truth("novel", holds(NOVEL)),
    ];
    // The names differ, so it is a record.
    RestrictedExpression::new_record(fields).unwrap_or_else(|_| RestrictedExpression::new_bool(false))
}
