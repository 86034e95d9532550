//! Erasing all that is kept of a data subject.

use axum::Json as Reply;
use axum::extract::State;
use l9::Error;
use l9::erasure::{Erased, Erasing};
use l9::governor;
use l9::principal::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Access;
use super::app::App;
use super::body::{Json, Segment};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use super::runs::words;
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    let routes = routes.add(
        Operation::post(
            "/memory/subjects/{id}/erase",
            Access::Needs(Role::Admin),
            "Erases a data subject: memories, their key, and what runs recorded of them",
        )
        .body::<Order>()
        .answers::<Erased>(200, "What went, and where the name still stands"),
        erase,
    );
    routes.add(
        Operation::post(
            "/memory/subjects/erase",
            Access::Needs(Role::Admin),
            "Erases a data subject whom the body names, so that no address and no log of one does",
        )
        .body::<NamedOrder>()
        .answers::<Erased>(200, "What went, and where the name still stands"),
        erase_named,
    )
}

/// A path as logs may show it: without the name of a data subject.
pub(super) fn logged(path: &str) -> String {
    const SUBJECTS: &str = "/memory/subjects/";
    match path.strip_prefix(SUBJECTS) {
        Some(rest) if rest != "erase" => format!("{SUBJECTS}{{id}}"),
        _ => path.to_owned(),
    }
}

/// Why, and how far.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Why, in words; the signed statements commit to it.
    reason: String,
    /// Also the runs and entries that only mention the name, as whole words in any case.
    #[serde(default)]
    mentions: bool,
    /// Only tell what would go.
    #[serde(default)]
    dry_run: bool,
}

/// Whom, why, and how far.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedOrder {
    /// The data subject, as entries name it in `subject`.
    subject: String,
    /// Why, in words; the signed statements commit to it.
    reason: String,
    /// Also the runs and entries that only mention the name, as whole words in any case.
    #[serde(default)]
    mentions: bool,
    /// Only tell what would go.
    #[serde(default)]
    dry_run: bool,
}

async fn erase(
    State(app): State<App>,
    caller: Caller,
    Segment(subject): Segment,
    Json(order): Json<Order>,
) -> Result<Reply<Erased>, Problem> {
    carry_out(&app, &caller, subject, order).await
}

async fn erase_named(
    State(app): State<App>,
    caller: Caller,
    Json(NamedOrder { subject, reason, mentions, dry_run }): Json<NamedOrder>,
) -> Result<Reply<Erased>, Problem> {
    carry_out(&app, &caller, subject, Order { reason, mentions, dry_run }).await
}

async fn carry_out(app: &App, caller: &Caller, subject: String, order: Order) -> Result<Reply<Erased>, Problem> {
    let Order { reason, mentions, dry_run } = order;
    let reason = words("reason", reason)?;
    app.engine().parts().governor.may_administer(&caller.principal, governor::Operation::Erase)?;
    let by = caller.principal.subject.clone();
    let asked = Erasing { subject, by, reason, mentions, dry: dry_run };
    let erased = app.runtime().erase(&caller.principal.tenant, &asked).await?;
    if erased.is_nothing() {
        return Err(Error::not_found("nothing is kept of that subject, and nothing mentions it").into());
    }
    Ok(Reply(erased))
}

#[cfg(test)]
mod tests {
    use super::logged;

    #[test]
    fn no_log_has_the_name_of_a_subject() {
        for path in ["/memory/subjects/ada%40example.org/erase", "/memory/subjects/ada", "/memory/subjects/a/b/erase"] {
            assert_eq!(logged(path), "/memory/subjects/{id}");
        }
        for path in ["/memory/subjects/erase", "/memory", "/runs/ada", "/"] {
            assert_eq!(logged(path), path);
        }
    }
}
