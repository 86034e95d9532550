//! Rotation of the root key: a new key, everything sealed anew under it, and the old one
//! destroyed once nothing is left.
//!
//! ```text
//! 1. the new key is put into the file; from then on it seals, and both open
//! 2. row by row, what older keys sealed is sealed anew, beside whatever runs
//! 3. the old keys are retired: the database refuses rows that are sealed under them, so
//!    that nobody who has not looked at the file since adds one unseen
//! 4. what came in meanwhile is sealed anew, and a scan finds nothing more
//! 5. the old keys are taken out of the file
//! ```
//!
//! Each step can be done again: a rotation that died goes on with the next.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::id::TenantId;
use l9_core::time::{Clock, Timestamp};
use l9_core::vault::Vault as _;
use l9_core::{Error, ErrorKind, Result};
use serde::Serialize;
use zeroize::Zeroizing;

use super::columns::{COLUMNS, Column, Resealed, Row, mark};
use super::key_file;
use super::keyring::{self, KeyInfo, Keyring, Use, bare_token_key};
use super::root_file::{Contents, KeyId, RootKey};

/// How many rows are sealed anew in one transaction.
const BATCH: i64 = 64;

/// How often what came in during a pass is gone over. Once the old keys are retired none
/// comes.
const PASSES: usize = 3;

/// A root key that a database has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenKey {
    pub(crate) id: KeyId,
    pub(crate) retired: bool,
}

/// A database as a rotation sees it: sealed bytes in rows, nothing opened.
#[async_trait]
pub trait SealedRows: fmt::Debug + Send + Sync {
    /// The root keys that have sealed here.
    async fn root_keys(&self) -> Result<Vec<SeenKey>>;

    /// Notes that a key seals here.
    async fn note_key(&self, id: KeyId, at: Timestamp) -> Result<()>;

    /// Refuses from now on whatever is sealed under one of these keys, or one that was
    /// retired before. What others were writing when this began is there when it ends.
    async fn retire_keys(&self, ids: &[KeyId], at: Timestamp) -> Result<()>;

    /// The tenants that have memories.
    async fn remembering(&self) -> Result<Vec<TenantId>>;

    /// How many rows of a column begin with each mark.
    async fn count_marks(&self, column: &'static Column) -> Result<Vec<([u8; 5], u64)>>;

    /// Rows of a column that begin with another mark, after a row in the order of keys.
    async fn stale(&self, column: &'static Column, mark: [u8; 5], after: Option<&Row>, limit: i64) -> Result<Vec<Row>>;

    /// Puts new bytes in the place of those that were read; a row that was changed or
    /// removed meanwhile is left. Tells how many were put.
    async fn reseal(&self, column: &'static Column, rows: Vec<Resealed>) -> Result<u64>;

    /// Leaves no trace of replaced or removed bytes in the files, as far as it can be done beside
    /// running work; tells whether it was done.
    async fn scrub(&self) -> Result<bool>;
}

/// What is sealed outside of the database.
pub trait Beside: fmt::Debug + Send + Sync {
    /// Its name in lists.
    fn name(&self) -> &'static str;

    /// The bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    fn sealed(&self) -> Result<Vec<Vec<u8>>>;

    /// Seals them anew; tells how many there were.
    ///
    /// # Errors
    /// When one does not open, or they cannot be written.
    fn reseal(&self) -> Result<u64>;
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The table that is gone over.
    pub table: &'static str,
    /// How many rows were sealed anew so far.
    pub done: u64,
    /// How many were under older keys at the beginning.
    pub of: u64,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// The key that seals now.
    pub key: String,
    /// The keys that were destroyed.
    pub destroyed: Vec<String>,
    /// How many rows were sealed anew.
    pub resealed: u64,
    /// Whether the room of the old bytes was given back. Their ciphertext may stand in free
    /// pages and logs of the database for a while, and opens under no key any more.
    pub scrubbed: bool,
}

/// A root key and what is sealed under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// Its id.
    pub id: String,
    /// When it was made; absent for one of the first form of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// What it is for; absent for a key that the file does not hold.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub used: Option<Use>,
    /// How many rows are sealed under it.
    pub sealed: u64,
    /// By table.
    pub tables: BTreeMap<&'static str, u64>,
}

/// The root keys of a database.
#[derive(Debug, Clone)]
pub struct Keys {
    keyring: Arc<Keyring>,
    rows: Arc<dyn SealedRows>,
    beside: Vec<Arc<dyn Beside>>,
    clock: Arc<dyn Clock>,
}

impl Keys {
    /// Those of a keyring, in the use of a database.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, rows: Arc<dyn SealedRows>, clock: Arc<dyn Clock>) -> Self {
        Self { keyring, rows, beside: Vec::new(), clock }
    }

    /// With something that is sealed outside of the database.
    #[must_use]
    pub fn beside(mut self, beside: Arc<dyn Beside>) -> Self {
        self.beside.push(beside);
        self
    }

    /// Refuses a key file that is older than the database, and notes the key that seals.
    ///
    /// # Errors
    /// `Conflict` when the key that seals was retired, or one that the database needs is
    /// not in the file.
    pub async fn admit(&self) -> Result<()> {
        let seen = self.rows.root_keys().await?;
        let (held, sealing) = (self.keyring.keys(), self.keyring.sealing());
        let shown = self.keyring.path().unwrap_or(Path::new("the key file")).display().to_string();
        if seen.iter().any(|key| key.retired && key.id == sealing) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "{shown} is older than the database: root key {}, which it seals under, was retired: restore the newest backup of the file, or copy it from the node that rotated",
                    hex::encode(sealing)
                ),
            ));
        }
        let is_held = |id: KeyId| held.iter().any(|key| key.id == hex::encode(id));
        if let Some(missing) = seen.iter().find(|key| !key.retired && !is_held(key.id)) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "{shown} is older than the database, which is sealed under root key {} as well: restore the newest backup of the file, or copy it from the node that rotated",
                    hex::encode(missing.id)
                ),
            ));
        }
        if !seen.iter().any(|key| key.id == sealing) {
            self.rows.note_key(sealing, self.clock.now()).await?;
        }
        Ok(())
    }

    /// The keys and how much is under each, the one that seals last. Goes over all rows.
    ///
    /// # Errors
    /// When the database or what lies beside it cannot be read.
    pub async fn census(&self) -> Result<Vec<KeyUse>> {
        let mut found: BTreeMap<[u8; 5], BTreeMap<&'static str, u64>> = BTreeMap::new();
        for column in COLUMNS {
            for (mark, count) in self.rows.count_marks(column).await? {
                *found.entry(mark).or_default().entry(column.table).or_default() += count;
            }
        }
        for beside in &self.beside {
            for mark in beside.sealed()?.iter().filter_map(|bytes| bytes.first_chunk()) {
                *found.entry(*mark).or_default().entry(beside.name()).or_default() += 1;
            }
        }
        let id_of = |mark: &[u8; 5]| hex::encode(&mark[1..]);
        let held = self.keyring.keys();
        let lost = found.keys().map(id_of).filter(|id| held.iter().all(|key| key.id != *id));
        let lost: Vec<KeyUse> = lost.map(|id| KeyUse::new(id, None)).collect();
        let mut uses: Vec<KeyUse> =
            lost.into_iter().chain(held.into_iter().map(|key| KeyUse::new(key.id.clone(), Some(key)))).collect();
        for one in &mut uses {
            let tables = found.iter().filter(|(mark, _)| id_of(mark) == one.id);
            one.tables = tables.flat_map(|(_, tables)| tables.clone()).collect();
            one.sealed = one.tables.values().sum();
        }
        Ok(uses)
    }

    /// Why it is time to rotate, in words: the last rotation did not end, or the key that seals is
    /// older than an age, or has more than so many values under it; `None` if it is not. Without
    /// a number of values nothing is counted.
    ///
    /// # Errors
    /// When the database or what lies beside it cannot be read.
    pub async fn due(&self, age: Option<Duration>, sealed: Option<u64>) -> Result<Option<String>> {
        if !self.older().is_empty() {
            return Ok(Some("the last rotation did not end".to_owned()));
        }
        let Some(key) = self.keyring.keys().into_iter().find(|key| key.used == Use::Seals) else { return Ok(None) };
        let id = &key.id;
        match (age, key.made_at) {
            (Some(_), None) => return Ok(Some(format!("nobody knows when root key {id} was made"))),
            (Some(age), Some(at)) if self.clock.now().since(at) > age => {
                return Ok(Some(format!("root key {id} was made at {at}")));
            }
            _ => {}
        }
        let Some(most) = sealed else { return Ok(None) };
        let under = self.census().await?.into_iter().find(|one| one.id == *id).map_or(0, |one| one.sealed);
        Ok((under > most).then(|| format!("root key {id} seals {under} values")))
    }

    /// Puts the key that comes into the file, so that the file can be copied to other
    /// nodes before anything is sealed under it. Tells which it is.
    ///
    /// # Errors
    /// `Conflict` during a rotation; as [`Keyring::open`].
    pub fn prepare(&self) -> Result<String> {
        let _lock = self.lock()?;
        let next = RootKey { root: key_file::random()?, made_at: Some(self.clock.now()) };
        self.change(|contents| {
            if contents.keys.len() > 1 {
                return Err(Error::new(ErrorKind::Conflict, "a rotation did not end: rotate first, it goes on"));
            }
            // One that was prepared before may be on other nodes already.
            let next = contents.next.get_or_insert(next);
            Ok(hex::encode(next.id()))
        })
    }

    /// Makes a key, or takes the one that was prepared, seals everything under it and
    /// destroys the older ones. Goes on with a rotation that did not end.
    ///
    /// # Errors
    /// `Conflict` while another process rotates; `Corrupt` when a row does not open: the
    /// old keys stay then, and everything opens as before.
    pub async fn rotate(&self, progress: &(dyn Fn(&Step) + Sync)) -> Result<Rotated> {
        let _lock = self.lock()?;
        self.keyring.reload()?;
        self.admit().await?;
        let tenants = self.rows.remembering().await?;
        self.change(|contents| begin(contents, tenants, self.clock.now()))?;
        let sealing = self.keyring.sealing();
        self.rows.note_key(sealing, self.clock.now()).await?;
        let old: Vec<KeyId> = self.older();
        let mut tally = Tally { done: 0, of: self.under_others(sealing).await? };
        self.pass(sealing, &mut tally, progress).await?;
        // By then whoever uses the file has looked at it.
        self.clock.sleep(2 * keyring::LOOK).await;
        self.rows.retire_keys(&old, self.clock.now()).await?;
        for _ in 0..PASSES {
            self.pass(sealing, &mut tally, progress).await?;
            if self.under_others(sealing).await? == 0 {
                break;
            }
        }
        for beside in &self.beside {
            tally.done += beside.reseal()?;
        }
        let left: u64 =
            self.census().await?.iter().filter(|key| key.used != Some(Use::Seals)).map(|key| key.sealed).sum();
        if left > 0 {
            return Err(Error::internal(format!("{left} rows are still sealed under older keys, which stay")));
        }
        self.change(|contents| {
            contents.keys.drain(..contents.keys.len() - 1);
            contents.is_bare = false;
            Ok(())
        })?;
        // It is done by now: whether free pages were wiped changes nothing of it.
        let scrubbed = self.rows.scrub().await.unwrap_or(false);
        let destroyed = old.iter().map(hex::encode).collect();
        Ok(Rotated { key: hex::encode(sealing), destroyed, resealed: tally.done, scrubbed })
    }

    /// Seals anew what is under other keys than this, column by column.
    async fn pass(&self, sealing: KeyId, tally: &mut Tally, progress: &(dyn Fn(&Step) + Sync)) -> Result<()> {
        for column in COLUMNS {
            let mut after: Option<Row> = None;
            loop {
                let rows = self.rows.stale(column, mark(sealing), after.as_ref(), BATCH.min(column.batch())).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.clone());
                if column.is_of_memories() {
                    self.keep_tokens_of(&rows)?;
                }
                let keyring = Arc::clone(&self.keyring);
                let sealed = tokio::task::spawn_blocking(move || seal_anew(&keyring, column, rows)).await;
                let sealed = sealed.map_err(|error| Error::internal("sealing anew ended").caused_by(error))??;
                tally.done += self.rows.reseal(column, sealed).await?;
                progress(&Step { table: column.table, done: tally.done, of: tally.of.max(tally.done) });
            }
        }
        Ok(())
    }

    /// Writes out the token keys of tenants that somebody began to use since the rotation
    /// of a file of the first form did, and who had not looked at the file.
    fn keep_tokens_of(&self, rows: &[Row]) -> Result<()> {
        if !self.keyring.is_bare() {
            return Ok(());
        }
        let mut tenants = Vec::new();
        for row in rows {
            let tenant = TenantId::new(&row.tenant)?;
            if !tenants.contains(&tenant) && !self.keyring.has_token_key_of(&tenant) {
                tenants.push(tenant);
            }
        }
        if tenants.is_empty() { Ok(()) } else { self.change(|contents| give_tokens(contents, tenants)) }
    }

    async fn under_others(&self, sealing: KeyId) -> Result<u64> {
        let mut others = 0;
        for column in COLUMNS {
            let marks = self.rows.count_marks(column).await?;
            others += marks.iter().filter(|(found, _)| *found != mark(sealing)).map(|(_, count)| count).sum::<u64>();
        }
        Ok(others)
    }

    fn older(&self) -> Vec<KeyId> {
        let older = self.keyring.keys().into_iter().filter(|key| key.used == Use::Opens);
        older.filter_map(|key| hex::decode(key.id).ok()?.try_into().ok()).collect()
    }

    /// Replaces the file by what `change` makes of it, and takes it in.
    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T>) -> Result<T> {
        let path = self.path()?;
        let mut contents = Contents::read(path)?
            .ok_or_else(|| Error::not_found(format!("the root key file {} went away", path.display())))?;
        let before = contents.clone();
        let done = change(&mut contents)?;
        if !contents.is_same(&before) {
            contents.replace(path)?;
        }
        self.keyring.reload()?;
        Ok(done)
    }

    fn path(&self) -> Result<&Path> {
        self.keyring.path().ok_or_else(|| Error::invalid("the root key is in no file: there is nothing to rotate"))
    }

    /// What only one process has at a time, until it is dropped.
    fn lock(&self) -> Result<File> {
        let path = self.path()?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let failed = |error| Error::unavailable(format!("{} cannot be locked", path.display())).caused_by(error);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&beside).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorKind::Conflict,
                format!("another process rotates the keys of {}: wait for it", path.display()),
            )),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

struct Tally {
    done: u64,
    of: u64,
}

impl KeyUse {
    fn new(id: String, held: Option<KeyInfo>) -> Self {
        let (made_at, used) = held.map_or((None, None), |key| (key.made_at, Some(key.used)));
        Self { id, made_at, used, sealed: 0, tables: BTreeMap::new() }
    }
}

/// Adds the key that seals from now on, unless a rotation did so that did not end.
fn begin(contents: &mut Contents, tenants: Vec<TenantId>, now: Timestamp) -> Result<()> {
    if contents.keys.len() > 1 {
        return Ok(());
    }
    if contents.is_bare {
        // From now on tokens derive from no key that goes.
        contents.given.clear();
        give_tokens(contents, tenants.into_iter().chain([TenantId::default_tenant()]).collect())?;
        contents.tokens = key_file::random()?;
        contents.is_old = false;
    }
    let key = match contents.next.take() {
        Some(next) => next,
        None => RootKey { root: key_file::random()?, made_at: Some(now) },
    };
    contents.keys.push(key);
    Ok(())
}

fn give_tokens(contents: &mut Contents, tenants: Vec<TenantId>) -> Result<()> {
    let first = contents.keys.first().ok_or_else(|| Error::internal("a key file without a key"))?;
    for tenant in tenants {
        let key = bare_token_key(&first.root, &tenant);
        contents.given.entry(tenant).or_insert(key);
    }
    Ok(())
}

fn seal_anew(keyring: &Keyring, column: &'static Column, rows: Vec<Row>) -> Result<Vec<Resealed>> {
    rows.into_iter()
        .map(|row| {
            let (tenant, place) = column.place(&row)?;
            let named = |error: Error| {
                let message = format!(
                    "a row of {} of tenant {tenant} does not open: the older keys stay; `audit verify` names damaged records",
                    column.table
                );
                Error::new(error.kind(), message).caused_by(error)
            };
            let plain = Zeroizing::new(keyring.open(&tenant, &place.get(), &row.sealed).map_err(named)?);
            let now = keyring.seal(&tenant, &place.get(), &plain)?;
            Ok(Resealed { row, now })
        })
        .collect()
}
