//! Vectors of layers that are declared unsealed: they lie open in the database, which searches
//! them itself. What is about a data subject is sealed whatever is declared.

use std::collections::HashSet;
use std::fmt;
use std::sync::PoisonError;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::id::TenantId;
use l9_core::memory::{Layer, Query, Scope};
use uuid::Uuid;

use super::connection::Value;
use super::indexed::{Indexed, Slot};
use super::memory::Memory;
use crate::retrieval::{self, Near, looked_at};
use crate::vectors::Code;

/// Up to how many entries every vector is compared: an index would find fewer of them.
const COMPARED: usize = 4096;

/// The most that are asked for at once.
const MOST: usize = i32::MAX as usize;

/// Open vectors of one embedder in a database.
#[async_trait]
pub trait Unsealed: fmt::Debug + Send + Sync {
    /// Whether vectors of this layer lie open.
    fn holds(&self, layer: Layer) -> bool;

    /// Those of some entries whose vectors are to lie open.
    async fn open_of(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<HashSet<Uuid>>;

    /// The statement that keeps the vector `$4` of the entry `$2` of the tenant `$1` by the
    /// embedder `$3`, if the entry is still there.
    fn insert(&self) -> &'static str;

    /// A vector in the form that the statement takes.
    fn form(&self, code: &Code) -> Value;

    /// The `k` nearest by the index, of the tenant, agent and session and as far as it goes of the
    /// times that a query asks about. It may overlook some where these leave few.
    async fn indexed(
        &self,
        tenant: &TenantId,
        tokens: (Option<Digest>, Option<Digest>),
        query: &Query,
        vector: &[f32],
        k: usize,
    ) -> Result<Vec<Near>>;

    /// The `k` nearest of these entries, each of which is compared.
    async fn compared(&self, tenant: &TenantId, ids: &[Uuid], vector: &[f32], k: usize) -> Result<Vec<Near>>;
}

impl Memory {
    /// The nearest of the entries whose vectors lie open, under exactly the filters of the query.
    ///
    /// The filters' set is counted first. A small one is compared whole. Of a large one the
    /// database's index is asked, and if it finds fewer than there are, all are compared.
    pub(super) async fn near_unsealed(
        &self,
        slot: &Slot,
        (scope, query): (&Scope, &Query),
        vector: &[f32],
    ) -> Result<Vec<Near>> {
        let Some(unsealed) = &self.unsealed else { return Ok(Vec::new()) };
        let k = retrieval::meant(looked_at(query)).min(MOST);
        let open = |indexed: &Indexed, most: usize| -> Vec<Uuid> {
            let filter = self.filter(&indexed.index, scope, query);
            indexed.index.without_vector(&filter, |layer| unsealed.holds(layer)).take(most).collect()
        };
        let few = open(&slot.indexed.read().unwrap_or_else(PoisonError::into_inner), COMPARED + 1);
        if few.is_empty() {
            return Ok(Vec::new());
        }
        if few.len() <= COMPARED {
            return unsealed.compared(&scope.tenant, &few, vector, k).await;
        }
        let mut found = unsealed.indexed(&scope.tenant, self.tokens(scope), query, vector, k).await?;
        {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            let filter = self.filter(&indexed.index, scope, query);
            found.retain(|near| indexed.index.passes(near.id, &filter));
        }
        if found.len() >= k {
            return Ok(found);
        }
        let all = open(&slot.indexed.read().unwrap_or_else(PoisonError::into_inner), usize::MAX);
        unsealed.compared(&scope.tenant, &all, vector, k).await
    }
}
