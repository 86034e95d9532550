//! Erasing all that is kept of a data subject: memories, the key that they are sealed under, and
//! what runs recorded of them. Chains and checkpoints stay, and say under the log's signature
//! what went.

use std::collections::BTreeMap;

use l9_core::digest::Digest;
use l9_core::evidence::{self, Order};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::RunRow;
use l9_core::memory::{Entry, Listing, Order as ListOrder, Scope, Shown};
use l9_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::Runtime;

/// How many entries are looked at at a time.
const PAGE: usize = 500;
/// The longest name of a subject, in bytes: that of an entry's `subject`.
const MAX_NAME: usize = 4096;

/// Whom to erase, who wants it, and why.
#[derive(Debug, Clone)]
pub struct Erasing {
    /// The data subject, as entries name it in `subject`.
    pub subject: String,
    /// Who orders it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Also the runs and entries that only mention the subject's name, word for word.
    pub mentions: bool,
    /// Only tell what would go.
    pub dry: bool,
}

/// What was erased, or would be, and what is left.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Erased {
    /// How many entries of memory went: those about the subject, and what derives from them.
    pub memories: u64,
    /// The runs whose records were emptied.
    #[schemars(with = "Vec<String>")]
    pub runs: Vec<RunId>,
    /// How many records of them.
    pub records: u64,
    /// The signed statements of it, each with the line that says who ordered it and why.
    pub statements: Vec<String>,
    /// What still mentions the subject's name: everything the tenant has was opened for it.
    pub residue: Residue,
}

/// Where a name still stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Residue {
    /// Runs in whose records or last state it stands.
    #[schemars(with = "Vec<String>")]
    pub runs: Vec<RunId>,
    /// Entries of memory in whose text or fields it stands.
    #[schemars(with = "Vec<String>")]
    pub memories: Vec<Uuid>,
}

impl Erased {
    /// Whether nothing was there, and nothing mentions the name.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.memories == 0 && self.runs.is_empty() && self.residue.is_clean()
    }
}

impl Residue {
    /// Whether the name stands nowhere.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.runs.is_empty() && self.memories.is_empty()
    }
}

impl Runtime {
    /// Erases a data subject of a tenant: every memory about it and what derives from one,
    /// whatever snapshots stand; the subject's key; and the bodies of every run that read or
    /// wrote one, with those forked from it. Then looks for the subject's name in all that is
    /// left. Each run, and the memories, are stated as erased before they are.
    ///
    /// # Errors
    /// `Invalid` without a name or reason; `Conflict`, naming them, for runs that have not ended:
    /// nothing is erased then. Asked for again, it goes on where it was broken off.
    pub async fn erase(&self, tenant: &TenantId, asked: &Erasing) -> Result<Erased> {
        let name = asked.subject.as_str();
        if name.trim().is_empty() || name.len() > MAX_NAME {
            return Err(Error::invalid(format!("the subject has {} bytes: name one of 1 to {MAX_NAME}", name.len())));
        }
        l9_core::stop::check_reason(&asked.reason)?;
        let subject = self.memory().subject(tenant, name);
        let mut rows = by_run(self.store().about(tenant, &subject).await?);
        if asked.mentions {
            rows.extend(by_run(self.engine().mentions(tenant, name).await?));
        }
        let rows: Vec<RunRow> = rows.into_values().collect();
        self.engine().check_ended(&rows)?;
        let memories = self.memory().erase(tenant, &subject, true).await?;
        let mut erased = Erased { memories, runs: rows.iter().map(|row| row.run).collect(), ..Erased::default() };
        if !asked.dry {
            self.carry_out((tenant, &subject), asked, &rows, &mut erased).await?;
        }
        let memories = self.mentioning(tenant, name).await?;
        let mut left = by_run(self.engine().mentions(tenant, name).await?);
        // What read of the subject while it was being erased.
        left.extend(by_run(self.store().about(tenant, &subject).await?));
        // What would go is not what would be left.
        left.retain(|run, _| !(asked.dry && erased.runs.contains(run)));
        erased.residue = Residue { runs: left.into_keys().collect(), memories };
        Ok(erased)
    }

    async fn carry_out(
        &self,
        (tenant, subject): (&TenantId, &Digest),
        asked: &Erasing,
        rows: &[RunRow],
        erased: &mut Erased,
    ) -> Result<()> {
        let order = Order { by: asked.by.clone(), reason: asked.reason.clone(), within_ms: None };
        // What was forked is younger than what it left: after a crash it is still found by it.
        for row in rows.iter().rev() {
            let own = row.head.next - row.own();
            let what = evidence::Erased::Run(row.run);
            erased.statements.push(self.audit().state_erasure(tenant, (what, own), &order).await?);
            erased.records += self.engine().erase(tenant, row).await?;
        }
        let before = erased.memories;
        let what = |count| (evidence::Erased::Memory, count);
        if before > 0 {
            erased.statements.push(self.audit().state_erasure(tenant, what(before), &order).await?);
        }
        self.memory().erase(tenant, subject, false).await?;
        let mentioning = if asked.mentions { self.mentioning(tenant, &asked.subject).await? } else { Vec::new() };
        if !mentioning.is_empty() {
            let count = mentioning.len() as u64;
            erased.statements.push(self.audit().state_erasure(tenant, what(count), &order).await?);
            erased.memories += count;
        }
        for id in mentioning {
            self.memory().forget(tenant, id).await?;
        }
        tracing::warn!(%tenant, by = asked.by, runs = rows.len(), memories = erased.memories, "a data subject was erased");
        Ok(())
    }

    /// The entries in which a name stands.
    async fn mentioning(&self, tenant: &TenantId, name: &str) -> Result<Vec<Uuid>> {
        let (scope, mut found) = (Scope::tenant(tenant.clone()), Vec::new());
        let mut listing = Listing { shown: Shown::All, ..Listing::new(ListOrder::Oldest, PAGE) };
        loop {
            let page = self.memory().list(&scope, &listing).await?;
            for entry in &page.items {
                if mentions(entry, name) || self.is_behind_a_token(tenant, entry, name).await? {
                    found.push(entry.id);
                }
            }
            listing.after = match page.next {
                Some(next) => Some(next),
                None => return Ok(found),
            };
        }
    }

    /// Whether a name stands in what a token of an entry stands for.
    async fn is_behind_a_token(&self, tenant: &TenantId, entry: &Entry, name: &str) -> Result<bool> {
        if !mentions(entry, "[") {
            return Ok(false);
        }
        let said = self.memory().as_said(tenant, entry.id).await?;
        Ok(said.is_some_and(|said| mentions(&said, name)))
    }
}

/// Runs by their ids, the oldest first.
fn by_run(rows: Vec<RunRow>) -> BTreeMap<RunId, RunRow> {
    rows.into_iter().map(|row| (row.run, row)).collect()
}

/// Whether a name stands in an entry, whichever field it is.
fn mentions(entry: &Entry, name: &str) -> bool {
    let new = &entry.entry;
    let relation = new.relation.iter().flat_map(|stated| [&stated.subject, &stated.predicate, &stated.object]);
    let fields = [&new.subject, &new.key, &new.session, &new.source, &new.position].into_iter().flatten();
    new.text.contains(name)
        || fields.chain(relation).any(|field| field.contains(name))
        || new.metadata.iter().any(|(key, value)| key.contains(name) || says(value, name))
}

fn says(value: &serde_json::Value, name: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains(name),
        serde_json::Value::Array(items) => items.iter().any(|item| says(item, name)),
        serde_json::Value::Object(fields) => fields.iter().any(|(key, value)| key.contains(name) || says(value, name)),
        _ => false,
    }
}
