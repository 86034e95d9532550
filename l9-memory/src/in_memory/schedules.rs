//! The schedules in this process.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{ScheduleId, TenantId};
use l9_core::schedule::{Moved, Schedules, StoredSchedule};
use l9_core::time::Timestamp;

use super::store::Store;
use crate::check;

#[async_trait]
impl Schedules for Store {
    async fn create_schedule(&self, new: StoredSchedule) -> Result<()> {
        let mut state = self.state();
        let key = (new.tenant.clone(), new.id.clone());
        if state.schedules.contains_key(&key) {
            return Err(check::schedule_is_taken(&new.id));
        }
        state.schedules.insert(key, new);
        Ok(())
    }

    async fn schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Option<StoredSchedule>> {
        Ok(self.state().schedules.get(&(tenant.clone(), id.clone())).cloned())
    }

    async fn schedules(
        &self,
        tenant: &TenantId,
        after: Option<&ScheduleId>,
        limit: usize,
    ) -> Result<Vec<StoredSchedule>> {
        let state = self.state();
        let mine = state.schedules.values().filter(|schedule| schedule.tenant == *tenant);
        let rest = mine.filter(|schedule| after.is_none_or(|after| schedule.id > *after));
        Ok(rest.take(limit).cloned().collect())
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredSchedule>> {
        let state = self.state();
        let mut due: Vec<&StoredSchedule> =
            state.schedules.values().filter(|schedule| schedule.due_at.is_some_and(|due| due <= now)).collect();
        due.sort_by_key(|schedule| schedule.due_at);
        Ok(due.into_iter().take(limit).cloned().collect())
    }

    async fn move_schedule(&self, seen: &StoredSchedule, moved: Moved) -> Result<bool> {
        let mut state = self.state();
        let key = (seen.tenant.clone(), seen.id.clone());
        let stands = state
            .schedules
            .get_mut(&key)
            .filter(|stands| stands.series == seen.series && stands.version == seen.version);
        let Some(stands) = stands else { return Ok(false) };
        *stands =
            StoredSchedule { version: seen.version + 1, due_at: moved.due_at, state: moved.state, ..stands.clone() };
        Ok(true)
    }

    async fn remove_schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<bool> {
        Ok(self.state().schedules.remove(&(tenant.clone(), id.clone())).is_some())
    }
}
