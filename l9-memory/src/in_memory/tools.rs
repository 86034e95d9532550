//! The changes of tools in this process.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::tool::{StoredToolChange, ToolLedger};

use super::store::Store;
use crate::check;

#[async_trait]
impl ToolLedger for Store {
    async fn record(&self, changes: Vec<StoredToolChange>, statements: Vec<String>) -> Result<()> {
        let mut state = self.state();
        check::follows(&changes, state.tools.len() as u64)?;
        state.tools.extend(changes);
        statements.iter().for_each(|note| state.tree.keep(note));
        Ok(())
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<StoredToolChange>> {
        let state = self.state();
        Ok(state.tools.iter().filter(|change| change.position > after).take(limit).cloned().collect())
    }
}
