//! Erasing all that is kept of a data subject: memories, the key that they are sealed under, and
//! what runs recorded of them. Chains and checkpoints stay, and say under the log's signature
//! what went.

use std::collections::BTreeMap;

use l9_core::digest::Digest;
use l9_core::evidence::{self, Order};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::RunRow;
use l9_core::kernel::Mentions;
use l9_core::memory::Stored;
use l9_core::mention::Name;
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
    /// Also the runs and entries that only mention the subject's name, as whole words in any
    /// case.
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
    /// What still mentions the subject's name, also within a longer word: everything the tenant has
    /// was opened for it.
    pub residue: Residue,
}

/// Where a name still stands, and what could not be looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Residue {
    /// Runs in whose records, last state or mail it stands.
    #[schemars(with = "Vec<String>")]
    pub runs: Vec<RunId>,
    /// Entries of memory in whose text or fields it stands, forgotten ones in snapshots included.
    #[schemars(with = "Vec<String>")]
    pub memories: Vec<Uuid>,
    /// Quarantines in whose reason, source or people it stands.
    #[schemars(with = "Vec<String>")]
    pub quarantines: Vec<Uuid>,
    /// Snapshots of memory in whose name or people it stands.
    #[schemars(with = "Vec<String>")]
    pub snapshots: Vec<Uuid>,
    /// What could not be read, so that nobody knows: restore it from a backup, or erase it.
    pub unread: Vec<String>,
}

impl Erased {
    /// Whether nothing was there, and nothing mentions the name.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.memories == 0 && self.runs.is_empty() && self.residue.is_clean()
    }
}

impl Residue {
    /// Whether the name stands nowhere, as far as anybody can tell.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
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
        let named = asked.subject.as_str();
        if named.trim().is_empty() || named.len() > MAX_NAME {
            return Err(Error::invalid(format!("the subject has {} bytes: name one of 1 to {MAX_NAME}", named.len())));
        }
        l9_core::stop::check_reason(&asked.reason)?;
        let (subject, name) = (self.memory().subject(tenant, named), Name::new(named));
        let mut runs = by_run(self.store().about(tenant, &subject).await?);
        let mut also = Vec::new();
        if asked.mentions {
            let whole = Name::whole(named);
            runs.extend(by_run(self.engine().mentions(tenant, &whole).await?.runs));
            self.engine().add_forks(tenant, &mut runs).await?;
            also = self.mentioning(tenant, &whole).await?.found;
        }
        let rows: Vec<RunRow> = runs.into_values().collect();
        self.engine().check_ended(&rows)?;
        let gone = self.memory().erase(tenant, &subject, &also, true).await?;
        let runs = rows.iter().map(|row| row.run).collect();
        let mut erased = Erased { memories: gone.len() as u64, runs, ..Erased::default() };
        if !asked.dry {
            self.carry_out((tenant, &subject, &also), asked, &rows, &mut erased).await?;
        }
        erased.residue = self.residue(tenant, (&subject, &name)).await?;
        if asked.dry {
            // What would go is not what would be left.
            erased.residue.runs.retain(|run| !erased.runs.contains(run));
            erased.residue.memories.retain(|id| !gone.contains(id));
        }
        Ok(erased)
    }

    async fn carry_out(
        &self,
        (tenant, subject, also): (&TenantId, &Digest, &[Uuid]),
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
        if erased.memories > 0 {
            let what = (evidence::Erased::Memory, erased.memories);
            erased.statements.push(self.audit().state_erasure(tenant, what, &order).await?);
        }
        self.memory().erase(tenant, subject, also, false).await?;
        tracing::warn!(%tenant, by = asked.by, runs = rows.len(), memories = erased.memories, "a data subject was erased");
        Ok(())
    }

    /// Where a subject's name stands, and what is about it by now.
    async fn residue(&self, tenant: &TenantId, (subject, name): (&Digest, &Name)) -> Result<Residue> {
        let Mentions { runs, unread } = self.engine().mentions(tenant, name).await?;
        let mut runs = by_run(runs);
        // What read of the subject while it was being erased.
        runs.extend(by_run(self.store().about(tenant, subject).await?));
        let mut unread: Vec<String> = unread.iter().map(|run| format!("run {run}")).collect();
        let memories = self.mentioning(tenant, name).await?;
        unread.extend(memories.unread.iter().map(|id| format!("memory {id}")));
        let quarantines = told(self.memory().quarantines(tenant).await, "the quarantines", &mut unread)?;
        let snapshots = told(self.memory().snapshots(tenant).await, "the snapshots of memory", &mut unread)?;
        Ok(Residue {
            runs: runs.into_keys().collect(),
            memories: memories.found,
            quarantines: quarantines.iter().filter(|kept| is_in(name, kept)).map(|kept| kept.id).collect(),
            snapshots: snapshots.iter().filter(|kept| is_in(name, kept)).map(|kept| kept.id).collect(),
            unread,
        })
    }

    /// The entries in which a name stands, as they were said.
    async fn mentioning(&self, tenant: &TenantId, name: &Name) -> Result<Mentioning> {
        let mut looked = Mentioning::default();
        let mut after = None;
        loop {
            let page = self.memory().stored(tenant, after, PAGE).await?;
            after = page.last().map(|last| last.id);
            let is_full = page.len() == PAGE;
            for Stored { id, entry } in page {
                match entry {
                    Ok(Some(entry)) if is_in(name, &entry.entry) => looked.found.push(id),
                    Ok(_) => {}
                    Err(_) => looked.unread.push(id),
                }
            }
            if !is_full {
                return Ok(looked);
            }
        }
    }
}

/// Entries in which a name stands.
#[derive(Default)]
struct Mentioning {
    found: Vec<Uuid>,
    unread: Vec<Uuid>,
}

/// Runs by their ids, the oldest first.
fn by_run(rows: Vec<RunRow>) -> BTreeMap<RunId, RunRow> {
    rows.into_iter().map(|row| (row.run, row)).collect()
}

/// Whether a name stands in something, whichever field it is.
fn is_in(name: &Name, kept: &impl Serialize) -> bool {
    serde_json::to_value(kept).is_ok_and(|value| name.is_in_value(&value))
}

/// What was read; nothing, and a note of it, if it never will be.
fn told<T>(read: Result<Vec<T>>, what: &str, unread: &mut Vec<String>) -> Result<Vec<T>> {
    match read {
        Err(error) if !error.is_retryable() => {
            unread.push(what.to_owned());
            Ok(Vec::new())
        }
        read => read,
    }
}
