//! The schema: what a policy may speak of. It is written from L9's own types, so that a
//! policy that validates is about what the governor really tells.

use std::sync::LazyLock;

use cedar_policy::Schema;

use crate::governor::Operation;
use crate::principal::Role;
use crate::tool::EffectClass;

/// Everything but the enumerations, which are made from the types themselves.
const BODY: &str = include_str!("l9.cedarschema");

/// How a tool may run, as policies name it.
pub(super) const RUNTIMES: [&str; 4] = ["wasm", "native", "http", "mcp"];

/// What the roles of arguments are called in a call's context.
pub(super) const ROLES: [&str; 9] = ["recipient", "url", "link", "path", "target", "amount", "time", "secret", "body"];

static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
    Schema::from_cedarschema_str(&text()).map(|(schema, _)| schema).map_err(|error| error.to_string())
});

/// The schema in Cedar's own syntax, for people and their editors.
#[must_use]
pub fn text() -> String {
    let effects: Vec<&str> = EffectClass::ALL.into_iter().map(EffectClass::as_str).collect();
    let roles: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
    let operations: Vec<&str> = Operation::ALL.into_iter().map(Operation::as_str).collect();
    let quoted = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    format!(
        "namespace L9 {{\n  entity Role enum [{}];\n  entity Effect enum [{}];\n  entity Runtime enum [{}];\n  entity Operation enum [{}];\n\n{BODY}}}\n",
        quoted(&roles),
        quoted(&effects),
        quoted(&RUNTIMES),
        quoted(&operations),
    )
}

/// The schema, parsed once.
pub(super) fn schema() -> crate::Result<&'static Schema> {
    SCHEMA.as_ref().map_err(|why| crate::Error::internal(format!("the schema of policies is wrong: {why}")))
}
