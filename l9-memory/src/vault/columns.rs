//! Every column of a database that holds sealed bytes, and at which place each row's are
//! sealed: what a rotation goes over, and what a scan looks at.
//!
//! A row is read as tenant, two blobs, a number and a text, of which each column uses what
//! its place is made of. The statements are of SQL that SQLite and PostgreSQL share, but
//! for what stands in braces.

use l9_core::digest::Digest;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::Head;
use l9_core::vault::{OwnedPlace, Place};
use l9_core::{Error, Result};

use super::root_file::KeyId;
use super::sealed;

/// A column of sealed bytes.
#[derive(Debug)]
pub struct Column {
    pub(crate) table: &'static str,
    pub(crate) sealed: &'static str,
    /// The columns that find a row, with the part of it that each is.
    pub(crate) key: &'static [(&'static str, Part)],
    /// The parts: tenant, blob, other blob, number, text.
    parts: [&'static str; 5],
    place: fn(&Row) -> Result<OwnedPlace>,
}

/// A part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Tenant,
    Blob,
    Number,
    Text,
}

/// A row of sealed bytes.
#[derive(Debug, Clone)]
pub struct Row {
    pub(crate) tenant: String,
    pub(crate) blob: Vec<u8>,
    pub(crate) other: Vec<u8>,
    pub(crate) number: i64,
    pub(crate) text: String,
    pub(crate) sealed: Vec<u8>,
}

/// Sealed bytes, and what is to stand in their place.
#[derive(Debug)]
pub struct Resealed {
    pub(crate) row: Row,
    pub(crate) now: Vec<u8>,
}

const NONE: [&str; 5] = ["{tenant}", "{empty}", "{empty}", "CAST(0 AS bigint)", "''"];
const TENANT: (&str, Part) = ("tenant", Part::Tenant);

/// Every one.
pub(crate) const COLUMNS: &[Column] = &[
    Column {
        table: "records",
        sealed: "body",
        key: &[TENANT, ("run", Part::Blob), ("seq", Part::Number)],
        parts: ["tenant", "run", NONE[2], "seq", NONE[4]],
        place: |row| Ok(OwnedPlace::record(row.run()?, row.count(row.number)?)),
    },
    Column {
        table: "artifacts",
        sealed: "sealed",
        key: &[TENANT, ("id", Part::Blob)],
        parts: ["tenant", "id", NONE[2], NONE[3], NONE[4]],
        place: |row| Ok(OwnedPlace::artifact(&Digest::from_slice(&row.blob)?)),
    },
    Column {
        table: "snapshots",
        sealed: "sealed",
        key: &[TENANT, ("run", Part::Blob)],
        parts: ["tenant", "run", "hash", "next", NONE[4]],
        place: |row| {
            let head = Head { next: row.count(row.number)?, hash: Digest::from_slice(&row.other)? };
            Ok(OwnedPlace::snapshot(row.run()?, &head))
        },
    },
    Column {
        table: "inbox",
        sealed: "sealed",
        key: &[TENANT, ("run", Part::Blob), ("id", Part::Text)],
        parts: ["tenant", "run", NONE[2], NONE[3], "id"],
        place: |row| Ok(OwnedPlace::command(row.run()?, &row.text)),
    },
    Column {
        table: "runs",
        sealed: "dead_reason",
        key: &[TENANT, ("run", Part::Blob)],
        parts: ["tenant", "run", NONE[2], NONE[3], NONE[4]],
        place: |row| Ok(OwnedPlace::dead(row.run()?)),
    },
    Column {
        table: "stops",
        sealed: "sealed",
        key: &[("scope", Part::Text)],
        parts: [NONE[0], NONE[1], NONE[2], NONE[3], "scope"],
        place: |row| Ok(OwnedPlace::stop(&row.text)),
    },
    Column {
        table: "tool_changes",
        sealed: "sealed",
        key: &[("position", Part::Number)],
        parts: [NONE[0], NONE[1], NONE[2], "position", "{tool_change}"],
        place: |row| Ok(OwnedPlace::tool_change(&row.text)),
    },
    Column {
        table: "schedules",
        sealed: "definition",
        key: &[TENANT, ("id", Part::Text)],
        parts: ["tenant", "series", NONE[2], NONE[3], "id"],
        place: |row| Ok(OwnedPlace::schedule(&row.blob, "definition")),
    },
    Column {
        table: "schedules",
        sealed: "state",
        key: &[TENANT, ("id", Part::Text)],
        parts: ["tenant", "series", NONE[2], NONE[3], "id"],
        place: |row| Ok(OwnedPlace::schedule(&row.blob, "state")),
    },
    Column {
        table: "entries",
        sealed: "terms",
        key: &[TENANT, ("id", Part::Blob)],
        parts: ["tenant", "id", NONE[2], NONE[3], NONE[4]],
        place: |row| row.memory("terms"),
    },
    Column {
        table: "entries",
        sealed: "entry",
        key: &[TENANT, ("id", Part::Blob)],
        parts: ["tenant", "id", NONE[2], NONE[3], NONE[4]],
        place: |row| row.memory("entry"),
    },
    Column {
        table: "vectors",
        sealed: "sealed",
        key: &[TENANT, ("id", Part::Blob), ("embedder", Part::Text)],
        parts: ["tenant", "id", NONE[2], NONE[3], "embedder"],
        place: |row| Ok(vector_place(&row.blob, &row.text)),
    },
    Column {
        table: "quarantines",
        sealed: "sealed",
        key: &[TENANT, ("id", Part::Blob)],
        parts: ["tenant", "id", NONE[2], NONE[3], NONE[4]],
        place: |row| Ok(Place { table: "quarantine", row: &row.blob, column: "detail" }.to_owned()),
    },
    Column {
        table: "memory_snapshots",
        sealed: "sealed",
        key: &[TENANT, ("id", Part::Blob)],
        parts: ["tenant", "id", NONE[2], NONE[3], NONE[4]],
        place: |row| Ok(Place { table: "memory_snapshot", row: &row.blob, column: "detail" }.to_owned()),
    },
    Column {
        table: "subject_keys",
        sealed: "sealed",
        key: &[TENANT, ("subject", Part::Blob)],
        parts: ["tenant", "subject", "id", NONE[3], NONE[4]],
        place: |row| Ok(Place { table: "subject_key", row: &row.other, column: "key" }.to_owned()),
    },
];

/// Where the vector of an entry by an embedder is sealed.
pub(crate) fn vector_place(id: &[u8], embedder: &str) -> OwnedPlace {
    Place { table: "vector", row: &[id, embedder.as_bytes()].concat(), column: "code" }.to_owned()
}

impl Column {
    /// The most rows of which it is well to have the bytes in memory at once.
    pub(crate) fn batch(&self) -> i64 {
        if matches!(self.table, "artifacts" | "snapshots") { 8 } else { i64::MAX }
    }

    /// Whether its rows are of memories, which are found by tokens: an entry about a data subject
    /// is under a key of its own, and that is a row too.
    pub(crate) fn is_of_memories(&self) -> bool {
        matches!(self.table, "entries" | "subject_keys")
    }

    /// Where a row's bytes are sealed.
    pub(crate) fn place(&self, row: &Row) -> Result<(TenantId, OwnedPlace)> {
        Ok((TenantId::new(&row.tenant)?, (self.place)(row)?))
    }

    /// Rows that are sealed under another root key than the one whose mark is `$1`, in the
    /// order of their keys, `$2` of them; after the key in `$3` and on.
    pub(crate) fn select_stale(&self, dialect: &Dialect, is_first: bool) -> String {
        let Self { table, sealed, .. } = self;
        let (parts, key) = (self.parts.join(", "), self.key_columns().join(", "));
        let after = if is_first {
            String::new()
        } else {
            let values: Vec<String> = (0..self.key.len()).map(|at| format!("${}", at + 3)).collect();
            format!(" AND ({key}) > ({})", values.join(", "))
        };
        dialect.fill(&format!(
            "SELECT {parts}, {sealed} FROM {table} WHERE substr({sealed}, 1, 1) = {{version}} \
             AND substr({sealed}, 1, 5) <> $1{after} ORDER BY {key} LIMIT $2"
        ))
    }

    /// Puts `$1` in the place of `$2` in the row of the key in `$3` and on.
    pub(crate) fn update(&self) -> String {
        let Self { table, sealed, .. } = self;
        let key: Vec<String> =
            self.key_columns().iter().enumerate().map(|(at, name)| format!("{name} = ${}", at + 3)).collect();
        format!("UPDATE {table} SET {sealed} = $1 WHERE {} AND {sealed} = $2", key.join(" AND "))
    }

    /// How many rows there are under each mark.
    pub(crate) fn count(&self, dialect: &Dialect) -> String {
        let Self { table, sealed, .. } = self;
        dialect.fill(&format!(
            "SELECT substr({sealed}, 1, 5), count(*) FROM {table} WHERE substr({sealed}, 1, 1) = {{version}} GROUP BY 1"
        ))
    }

    fn key_columns(&self) -> Vec<&'static str> {
        self.key.iter().map(|(name, _)| *name).collect()
    }
}

impl Row {
    fn run(&self) -> Result<RunId> {
        RunId::from_slice(&self.blob)
    }

    fn count(&self, number: i64) -> Result<u64> {
        u64::try_from(number).map_err(|_| Error::corrupt(format!("a row's number is {number}")))
    }

    fn memory(&self, column: &'static str) -> Result<OwnedPlace> {
        Ok(Place { table: "memory", row: &self.blob, column }.to_owned())
    }
}

/// How sealed bytes begin that are sealed under a root key.
pub(crate) fn mark(id: KeyId) -> [u8; 5] {
    let [a, b, c, d] = id;
    [sealed::VERSION, a, b, c, d]
}

/// What the two kinds of database write differently.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) empty: &'static str,
    pub(crate) version: &'static str,
    pub(crate) tool_change: &'static str,
}

impl Dialect {
    fn fill(&self, sql: &str) -> String {
        sql.replace("{tenant}", &format!("'{}'", TenantId::default_tenant()))
            .replace("{empty}", self.empty)
            .replace("{version}", self.version)
            .replace("{tool_change}", self.tool_change)
    }
}
