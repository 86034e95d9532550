//! The graph of memories in this process.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::memory::{Edge, Entity, FAR, FARTHEST, Graph, Query, Scope, Walk, When};
use uuid::Uuid;

use super::memory::Memory;
use super::tenant::Tenant;
use crate::entry;

#[async_trait]
impl Graph for Memory {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(&scope.tenant) else { return Ok(Vec::new()) };
        Ok(kept.index.entities(begins, limit, &kept.filter(scope, Some(&Query::at(when)))))
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        entry::check_hops(walk.hops, FAR)?;
        let tenants = self.tenants();
        let Some(kept) = tenants.get(&scope.tenant) else { return Ok(Vec::new()) };
        let filter = kept.filter(scope, Some(&Query::at(walk.when)));
        let mut found = kept.index.around(&walk.from, walk.hops, walk.predicate.as_deref(), &filter);
        found.truncate(walk.limit);
        Ok(edges(kept, found))
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        entry::check_hops(hops, FARTHEST)?;
        let tenants = self.tenants();
        let Some(kept) = tenants.get(&scope.tenant) else { return Ok(None) };
        let path = kept.index.path(from, to, hops, &kept.filter(scope, Some(&Query::at(when))));
        Ok(path.map(|path| edges(kept, path.into_iter().zip(1..).collect())))
    }
}

fn edges(kept: &Tenant, found: Vec<(Uuid, u8)>) -> Vec<Edge> {
    let edge = |(id, hops): (Uuid, u8)| Edge::of(kept.entries.get(&id)?.shown(), hops);
    found.into_iter().filter_map(edge).collect()
}
