//! The graph of what is in Redis, and of both memories: what lasts.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::memory::{Edge, Entity, Graph, Scope, Walk, When};

use super::layers::Layers;
use super::memory::Memory;

#[async_trait]
impl Graph for Memory {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        let _seen = self.synced(&scope.tenant).await?;
        self.mirror.entities(scope, begins, when, limit).await
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        let _seen = self.synced(&scope.tenant).await?;
        self.mirror.walk(scope, walk).await
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        let _seen = self.synced(&scope.tenant).await?;
        self.mirror.path(scope, from, to, when, hops).await
    }
}

#[async_trait]
impl Graph for Layers {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        self.long.entities(scope, begins, when, limit).await
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        self.long.walk(scope, walk).await
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        self.long.path(scope, from, to, when, hops).await
    }
}
