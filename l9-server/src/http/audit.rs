//! The audit layer of memory: the newest records of all runs, opened.

use axum::Json as Reply;
use axum::extract::State;
use l9::digest::Digest;
use l9::id::RunId;
use l9::principal::Role;
use l9::run::{EventView, Record};
use l9::time::Timestamp;
use l9::vault::Vault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::app::App;
use super::body::{Params, size};
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

/// The most records of one page.
const PAGE: usize = 500;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(
        Operation::get("/memory/audit", Access::Needs(Role::Viewer), "What happened, newest first")
            .query::<Audit>()
            .answers::<AuditPage>(200, "A page of records"),
        audit,
    )
}

/// Which records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Audit {
    /// The most records; 50 if absent, at most 500.
    limit: Option<usize>,
    /// The `next` of the page before.
    from: Option<u64>,
}

/// A page of records.
#[derive(Debug, Serialize, JsonSchema)]
struct AuditPage {
    /// Newest first.
    records: Vec<AuditRecord>,
    /// Where the next page begins; null on the last.
    next: Option<u64>,
}

/// One record of one run.
#[derive(Debug, Serialize, JsonSchema)]
struct AuditRecord {
    /// The run.
    run_id: RunId,
    /// Its place in the run.
    seq: u64,
    /// The event's kind.
    kind: String,
    /// When it was written.
    at: Timestamp,
    /// The record's hash.
    hash: Digest,
    /// The event's payload; null if it does not open.
    data: Value,
    /// Why the payload does not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl AuditRecord {
    /// One record that does not open must not hide the others.
    fn of(record: &Record, vault: &dyn Vault) -> Self {
        let (data, fault) = match EventView::of(record, vault) {
            Ok((view, _)) => (view.data, None),
            Err(error) => (Value::Null, Some(error.message().to_owned())),
        };
        Self {
            run_id: record.run,
            seq: record.seq,
            kind: record.kind.clone(),
            at: record.at,
            hash: record.hash,
            data,
            fault,
        }
    }
}

async fn audit(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<Audit>,
) -> Result<Reply<AuditPage>, Problem> {
    let limit = size(query.limit, 50, PAGE)?;
    let runtime = app.runtime();
    let mut rows = runtime.store().recent(&caller.principal.tenant, query.from, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|(position, _)| *position) } else { None };
    let records = rows.iter().map(|(_, record)| AuditRecord::of(record, &**runtime.vault())).collect();
    Ok(Reply(AuditPage { records, next }))
}
