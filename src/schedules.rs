//! The schedules of a system: made and looked at for a principal, and the scheduler behind them.

use std::sync::Arc;

use l9_core::Result;
use l9_core::id::{ScheduleId, TenantId};
use l9_core::kernel::Engine;
use l9_core::principal::Principal;
use l9_plan::schedule::{Book, Definition, Schedule, Scheduler, Schedules as Store, Settings};

/// What starts runs by the clock.
#[derive(Debug, Clone)]
pub struct Schedules {
    scheduler: Scheduler,
}

impl Schedules {
    pub(crate) fn new(settings: &Settings, store: Arc<dyn Store>, engine: &Engine) -> Self {
        let parts = engine.parts();
        let book = Book {
            store,
            vault: Arc::clone(&parts.vault),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
        };
        let (runs, owner) = (Arc::new(engine.clone()), engine.owner().to_owned());
        Self { scheduler: Scheduler { settings: settings.clone(), book, runs, owner } }
    }

    /// Makes one, whose runs are those of whoever makes it.
    ///
    /// # Errors
    /// `Invalid` for a definition that is wrong, `NotFound` for an agent or a tool that there is
    /// not, `Conflict` when the tenant has one of that id.
    pub async fn add(&self, by: &Principal, id: &ScheduleId, definition: Definition) -> Result<Schedule> {
        self.scheduler.runs.check(by, &definition.starts)?;
        self.scheduler.book.add(by, id, definition).await
    }

    /// One of the tenant's.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn get(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Schedule> {
        self.scheduler.book.get(tenant, id).await
    }

    /// The tenant's, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// `Corrupt` for one that cannot be opened.
    pub async fn list(&self, tenant: &TenantId, after: Option<&ScheduleId>, limit: usize) -> Result<Vec<Schedule>> {
        self.scheduler.book.list(tenant, after, limit).await
    }

    /// Starts nothing more of it until it is resumed; what runs goes on.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn pause(&self, by: &Principal, id: &ScheduleId) -> Result<Schedule> {
        self.scheduler.book.pause(by, id).await
    }

    /// Lets it go on; of the ticks of the pause its catch-up rule says what becomes.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn resume(&self, by: &Principal, id: &ScheduleId) -> Result<Schedule> {
        self.scheduler.book.resume(by, id).await
    }

    /// Removes it; what runs goes on.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn remove(&self, tenant: &TenantId, id: &ScheduleId) -> Result<()> {
        self.scheduler.book.remove(tenant, id).await
    }

    /// What looks for those that are due; `None` if the settings leave it to other processes.
    pub(crate) fn scheduler(&self) -> Option<Scheduler> {
        self.scheduler.settings.enabled.then(|| self.scheduler.clone())
    }
}
