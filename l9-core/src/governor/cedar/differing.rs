//! Those attributes of a context that differ from call to call.

use std::collections::BTreeSet;

use cedar_policy::RestrictedExpression;

use super::facts::{Known, Told};
use super::usage::{DYNAMIC, Looks};
use crate::budget::Budget;
use crate::governor::policy::{Action, PolicyRequest};

/// The attributes that are looked at.
pub(super) fn told(request: &PolicyRequest<'_>, known: Known, looks: &Looks) -> Vec<Told> {
    let looked_at = DYNAMIC.into_iter().filter(|name| looks.at(name));
    looked_at.filter_map(|name| Some((name.to_owned(), tell(request, known, name)?))).collect()
}

fn tell(request: &PolicyRequest<'_>, known: Known, name: &str) -> Option<RestrictedExpression> {
    let call = matches!(known, Known::Call { .. });
    let words = |words: BTreeSet<&str>| {
        RestrictedExpression::new_set(words.into_iter().map(|word| RestrictedExpression::new_string(word.to_owned())))
    };
    Some(match (name, request.action) {
        ("now", _) => RestrictedExpression::new_datetime(request.now.to_string()),
        ("requester", Action::Approve { requester, .. }) => RestrictedExpression::new_string(requester.subject.clone()),
        ("sources", _) if call => words(request.label.untrusted.iter().map(String::as_str).collect()),
        ("values", Action::InvokeTool { manifest, arguments }) => {
            let of_roles = manifest.args.keys().filter_map(|pointer| arguments.pointer(pointer));
            let values = of_roles.flat_map(scalars).map(RestrictedExpression::new_string);
            RestrictedExpression::new_set(values)
        }
        ("values", _) if call => words(BTreeSet::new()),
        ("used", _) if call => amounts(&Budget::of(request.used)),
        ("left", _) if call => amounts(&request.budget.left(&request.used)),
        _ => return None,
    })
}

fn amounts(amounts: &Budget) -> RestrictedExpression {
    let long = |amount: u64| RestrictedExpression::new_long(i64::try_from(amount).unwrap_or(i64::MAX));
    let fields = amounts.amounts().into_iter().filter_map(|(name, amount)| Some((name.to_owned(), long(amount?))));
    // The names differ, so it is a record.
    RestrictedExpression::new_record(fields).unwrap_or_else(|_| RestrictedExpression::new_bool(false))
}

/// Every value within an argument, as text.
fn scalars(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(scalars).collect(),
        serde_json::Value::Object(fields) => fields.values().flat_map(scalars).collect(),
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}
