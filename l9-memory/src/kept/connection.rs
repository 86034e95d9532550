//! An open write transaction over a tenant's memories, whichever database it is.
//!
//! What is done with memories is written once, in SQL that both databases understand; a
//! backend only carries it. Numbers are 64 bits, ids and tokens are bytes, and no parameter
//! is NULL but in an insertion.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::id::TenantId;
use uuid::Uuid;

use super::sealing::{Kept, Marks, Prepared};

/// A value of a statement or of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number.
    Number(i64),
    /// What lies open: a tenant, an embedder or a reader, who works, why something failed, or a vector.
    Text(String),
    /// An id, a token, or what is sealed.
    Bytes(Vec<u8>),
}

/// A row of an answer.
#[derive(Debug)]
pub struct Row(pub(crate) Vec<Value>);

/// What a job in a transaction gives: a fault of the database's, or its answer.
pub(crate) type Answer<T> = Result<Result<T>, sqlx::Error>;

/// Work in a transaction. What it refuses it refuses before it writes anything.
pub(crate) type Job = Box<dyn for<'c> FnOnce(&'c mut dyn Connection) -> BoxFuture<'c, Answer<()>> + Send>;

/// A transaction that alone writes a tenant's memories.
#[async_trait]
pub trait Connection: Send {
    /// Entries that equal new ones.
    async fn find(&mut self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept, sqlx::Error>;

    /// Inserts entries, and nothing that goes with them.
    async fn insert(&mut self, tenant: &TenantId, entries: &[Prepared]) -> Result<(), sqlx::Error>;

    /// Changes rows; tells how many.
    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, sqlx::Error>;

    /// Reads rows.
    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error>;
}

impl Row {
    fn at(&self, at: usize) -> Result<&Value, sqlx::Error> {
        self.0.get(at).ok_or_else(|| sqlx::Error::ColumnIndexOutOfBounds { index: at, len: self.0.len() })
    }

    pub(crate) fn number(&self, at: usize) -> Result<i64, sqlx::Error> {
        match self.at(at)? {
            Value::Number(number) => Ok(*number),
            other => Err(wrong(at, other)),
        }
    }

    pub(crate) fn optional_number(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        if *self.at(at)? == Value::Null { Ok(None) } else { self.number(at).map(Some) }
    }

    pub(crate) fn text(&self, at: usize) -> Result<&str, sqlx::Error> {
        match self.at(at)? {
            Value::Text(text) => Ok(text),
            other => Err(wrong(at, other)),
        }
    }

    pub(crate) fn bytes(&self, at: usize) -> Result<&[u8], sqlx::Error> {
        match self.at(at)? {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(wrong(at, other)),
        }
    }

    pub(crate) fn optional_bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        if *self.at(at)? == Value::Null { Ok(None) } else { self.bytes(at).map(Some) }
    }

    pub(crate) fn id(&self, at: usize) -> Result<Uuid, sqlx::Error> {
        Uuid::from_slice(self.bytes(at)?).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    pub(crate) fn optional_id(&self, at: usize) -> Result<Option<Uuid>, sqlx::Error> {
        if *self.at(at)? == Value::Null { Ok(None) } else { self.id(at).map(Some) }
    }
}

fn wrong(at: usize, found: &Value) -> sqlx::Error {
    let kind = match found {
        Value::Null => "nothing",
        Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::Bytes(_) => "bytes",
    };
    sqlx::Error::Decode(format!("column {at} of a memory holds {kind}").into())
}

impl From<&TenantId> for Value {
    fn from(tenant: &TenantId) -> Self {
        Self::Text(tenant.as_str().to_owned())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Bytes(id.as_bytes().to_vec())
    }
}

impl From<&Digest> for Value {
    fn from(token: &Digest) -> Self {
        Self::Bytes(token.as_bytes().to_vec())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}
