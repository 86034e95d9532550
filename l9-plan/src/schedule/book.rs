//! The book of schedules: they are made, looked at, paused and removed here, and opened from
//! what the store has.

use std::sync::Arc;

use l9_core::entropy::Entropy;
use l9_core::id::{ScheduleId, TenantId};
use l9_core::principal::Principal;
use l9_core::schedule::{Moved, Schedules, SeriesId, StoredSchedule};
use l9_core::time::{Clock, Timestamp};
use l9_core::vault::{OwnedPlace, Vault};
use l9_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::state::{Paused, State};
use super::ticks::Ticks;

/// The form of what is sealed.
const VERSION: u16 = 1;

/// How often a change is tried anew when others change the same schedule.
const TRIES: usize = 32;

/// A schedule with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name there.
    pub id: ScheduleId,
    /// Which making of it.
    pub series: SeriesId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it: its runs are theirs.
    pub by: Principal,
    /// What it is.
    pub definition: Definition,
    /// How far it came.
    pub state: State,
}

/// What is sealed of a schedule for good.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    id: ScheduleId,
    by: Principal,
    definition: Definition,
}

/// Sealed bytes begin with the version of their form.
#[derive(Debug, Serialize, Deserialize)]
struct Versioned<T> {
    v: u16,
    value: T,
}

/// Schedules over a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Book {
    /// Where they are stored.
    pub store: Arc<dyn Schedules>,
    /// What seals them.
    pub vault: Arc<dyn Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Schedule {
    /// Its ticks.
    pub(super) fn ticks(&self) -> Result<Ticks> {
        Ticks::of(&self.definition, self.created_at, self.series)
    }

    /// The next ticks that are not decided, each with the time that it comes at.
    ///
    /// # Errors
    /// `Invalid` for a time zone that this system does not know any more.
    pub fn preview(&self, count: usize) -> Result<Vec<(Timestamp, Timestamp)>> {
        Ok(self.ticks()?.preview(self.state.decided, count))
    }

    /// When somebody looks at it next; `None` if it is paused or over.
    ///
    /// # Errors
    /// As [`Schedule::preview`].
    pub fn next(&self) -> Result<Option<Timestamp>> {
        if self.state.paused.is_some() {
            return Ok(None);
        }
        Ok(self.preview(1)?.first().map(|(_, comes)| *comes))
    }
}

impl Book {
    /// Makes a schedule, whose runs are those of whoever makes it.
    ///
    /// # Errors
    /// `Invalid` for a definition that is wrong, `Conflict` when the tenant has one of that id.
    pub async fn add(&self, by: &Principal, id: &ScheduleId, definition: Definition) -> Result<Schedule> {
        let now = self.clock.now();
        definition.check(now)?;
        let series = SeriesId::generate(now, &*self.entropy, &format!("schedule/{}/{id}", by.tenant));
        let made = Schedule {
            tenant: by.tenant.clone(),
            id: id.clone(),
            series,
            created_at: now,
            by: by.clone(),
            definition,
            state: State::new(now),
        };
        let value = Made { id: made.id.clone(), by: made.by.clone(), definition: made.definition.clone() };
        let new = StoredSchedule {
            tenant: made.tenant.clone(),
            id: made.id.clone(),
            series,
            version: 0,
            due_at: made.state.due_at(&made.ticks()?),
            created_at: now,
            definition: self.seal(&made.tenant, series, "definition", value)?,
            state: self.seal(&made.tenant, series, "state", &made.state)?,
        };
        self.store.create_schedule(new).await?;
        Ok(made)
    }

    /// One of the tenant's.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn get(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Schedule> {
        self.open(&self.stored(tenant, id).await?)
    }

    /// The tenant's, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// `Corrupt` for one that cannot be opened.
    pub async fn list(&self, tenant: &TenantId, after: Option<&ScheduleId>, limit: usize) -> Result<Vec<Schedule>> {
        let found = self.store.schedules(tenant, after, limit).await?;
        found.iter().map(|stored| self.open(stored)).collect()
    }

    /// Starts nothing more of it until it is resumed; what runs goes on.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn pause(&self, by: &Principal, id: &ScheduleId) -> Result<Schedule> {
        let paused = Paused { by: by.subject.clone(), at: self.clock.now() };
        let pause = |state: &mut State| match state.paused {
            Some(_) => false,
            None => {
                state.paused = Some(paused.clone());
                true
            }
        };
        self.change(&by.tenant, id, pause).await
    }

    /// Lets it go on. Ticks of the pause are missed ones, of which its catch-up rule says what
    /// becomes.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn resume(&self, by: &Principal, id: &ScheduleId) -> Result<Schedule> {
        self.change(&by.tenant, id, |state| state.paused.take().is_some()).await
    }

    /// Removes it; what runs goes on.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub async fn remove(&self, tenant: &TenantId, id: &ScheduleId) -> Result<()> {
        if self.store.remove_schedule(tenant, id).await? { Ok(()) } else { Err(unknown(id)) }
    }

    /// Changes how far one came, against whatever others make of it; nothing is written if
    /// there is nothing to change.
    async fn change(
        &self,
        tenant: &TenantId,
        id: &ScheduleId,
        mut change: impl FnMut(&mut State) -> bool,
    ) -> Result<Schedule> {
        for _ in 0..TRIES {
            let stored = self.stored(tenant, id).await?;
            let mut schedule = self.open(&stored)?;
            if !change(&mut schedule.state) || self.write(&stored, &schedule).await? {
                return Ok(schedule);
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("schedule {id} is changed by others all the time: try again")))
    }

    /// Writes how far one came, if nobody else did since it was read.
    pub(super) async fn write(&self, seen: &StoredSchedule, schedule: &Schedule) -> Result<bool> {
        let state = self.seal(&seen.tenant, seen.series, "state", &schedule.state)?;
        let due_at = schedule.state.due_at(&schedule.ticks()?);
        self.store.move_schedule(seen, Moved { due_at, state }).await
    }

    async fn stored(&self, tenant: &TenantId, id: &ScheduleId) -> Result<StoredSchedule> {
        self.store.schedule(tenant, id).await?.ok_or_else(|| unknown(id))
    }

    /// Opens what is stored.
    pub(super) fn open(&self, stored: &StoredSchedule) -> Result<Schedule> {
        let Made { id, by, definition } = self.unseal(stored, "definition", &stored.definition)?;
        if id != stored.id || by.tenant != stored.tenant {
            return Err(Error::corrupt(format!("schedule {} holds another one, {id}", stored.id)));
        }
        let state = self.unseal(stored, "state", &stored.state)?;
        let (tenant, series, created_at) = (stored.tenant.clone(), stored.series, stored.created_at);
        Ok(Schedule { tenant, id, series, created_at, by, definition, state })
    }

    fn seal<T: Serialize>(
        &self,
        tenant: &TenantId,
        series: SeriesId,
        column: &'static str,
        value: T,
    ) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(&Versioned { v: VERSION, value })
            .map_err(|error| Error::internal(format!("a schedule cannot be written: {error}")))?;
        self.vault.seal(tenant, &OwnedPlace::schedule(series.as_bytes(), column).get(), &plain)
    }

    fn unseal<T: DeserializeOwned>(&self, stored: &StoredSchedule, column: &'static str, sealed: &[u8]) -> Result<T> {
        #[derive(Deserialize)]
        struct Form {
            v: u16,
        }
        let place = OwnedPlace::schedule(stored.series.as_bytes(), column);
        let plain = self.vault.open(&stored.tenant, &place.get(), sealed)?;
        let corrupt =
            |error: serde_json::Error| Error::corrupt(format!("schedule {} does not parse: {error}", stored.id));
        let Form { v } = serde_json::from_slice(&plain).map_err(corrupt)?;
        if v > VERSION {
            let message = format!("schedule {} was written by a newer version of L9: upgrade", stored.id);
            return Err(Error::new(ErrorKind::Newer, message));
        }
        serde_json::from_slice::<Versioned<T>>(&plain).map(|read| read.value).map_err(corrupt)
    }
}

fn unknown(id: &ScheduleId) -> Error {
    Error::not_found(format!("there is no schedule {id}: `schedules list` shows those there are"))
}
