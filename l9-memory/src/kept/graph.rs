//! The graph over rows: the index finds what states something, the rows say what.

use std::sync::PoisonError;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::memory::{Edge, Entity, FAR, FARTHEST, Graph, Query, Scope, Walk, When};
use uuid::Uuid;

use super::memory::Memory;
use crate::entry;
use crate::retrieval::{Filter, Index};

#[async_trait]
impl Graph for Memory {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        self.look(scope, when, |index, filter| index.entities(begins, limit, filter)).await
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        entry::check_hops(walk.hops, FAR)?;
        let around = |index: &Index, filter: &Filter| {
            let mut found = index.around(&walk.from, walk.hops, walk.predicate.as_deref(), filter);
            found.truncate(walk.limit);
            found
        };
        let found = self.look(scope, walk.when, around).await?;
        self.edges(scope, walk.when, found).await
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        entry::check_hops(hops, FARTHEST)?;
        match self.look(scope, when, |index, filter| index.path(from, to, hops, filter)).await? {
            Some(path) => Ok(Some(self.edges(scope, when, path.into_iter().zip(1..).collect()).await?)),
            None => Ok(None),
        }
    }
}

impl Memory {
    /// Asks the index of a scope's tenant, brought up with the rows.
    async fn look<T>(&self, scope: &Scope, when: When, ask: impl FnOnce(&Index, &Filter) -> T) -> Result<T> {
        let slot = self.synced(&scope.tenant).await?;
        let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
        Ok(ask(&indexed.index, &self.filter(&indexed.index, scope, &Query::at(when))))
    }

    /// What entries state, in the order they are given; one that was hidden meanwhile is left out.
    async fn edges(&self, scope: &Scope, when: When, found: Vec<(Uuid, u8)>) -> Result<Vec<Edge>> {
        let ids: Vec<Uuid> = found.iter().map(|(id, _)| *id).collect();
        let mut entries = self.shown(&scope.tenant, &Query::at(when), &ids).await?;
        Ok(found.into_iter().filter_map(|(id, hops)| Edge::of(entries.remove(&id)?, hops)).collect())
    }
}
