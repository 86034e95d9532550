//! The audit log of a running system: its key, its sequencer, and what is taken out of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use l9_core::digest::{Digest, sha256};
use l9_core::entropy::Entropy;
use l9_core::evidence::{
    self, AuditLog, Bundle, ConsistencyProof, Erasure, Horizon, InclusionProof, Order, Prover, Report, Sequencer,
    SignedCheckpoint, SignedHorizon, SigningKey, Standstill, ToolDecision, TreeReport, Turn, VerifyingKey, Witness,
};
use l9_core::id::{RunId, TenantId};
use l9_core::kernel::{Archive, Engine, Expired, Stopped};
use l9_core::stop::{Scope, Stop, check_reason};
use l9_core::time::Timestamp;
use l9_core::tool::ToolChange;
use l9_core::{Error, ErrorKind, Result};
use l9_memory::vault;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::tools::Tools;

/// How often to look whether a checkpoint covers a run that another process sequences.
const LOOK: Duration = Duration::from_millis(20);

/// How long witnesses may take for the last checkpoint.
const PARTING: Duration = Duration::from_secs(2);

/// How the audit log is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The longest that a record waits for its checkpoint while all is well, in
    /// milliseconds.
    pub interval_ms: u64,
    /// After about so many records there is a checkpoint.
    pub records: usize,
    /// The file of the key that signs, the same for all nodes of a database; `audit.key`
    /// in the data folder if absent.
    pub key: Option<PathBuf>,
    /// The log's name in its checkpoints; made of the key if absent. It cannot change later.
    pub origin: Option<String>,
    /// A file that checkpoints are added to, or a folder that has a file for each: a copy
    /// that whoever can write the database cannot change. Other witnesses come in through
    /// the builder.
    pub witness: Option<PathBuf>,
    /// The longest that a command waits for the checkpoint over its run, in milliseconds.
    pub receipt_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let sequencer = evidence::Settings::default();
        Self {
            interval_ms: sequencer.interval_ms,
            records: sequencer.records,
            key: None,
            origin: None,
            witness: None,
            receipt_ms: 3_000,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<()> {
        if !(10..=600_000).contains(&self.interval_ms) {
            return Err(Error::invalid(format!("audit.interval_ms is {}: use 10 to 600000", self.interval_ms)));
        }
        if !(1..=65_536).contains(&self.records) {
            return Err(Error::invalid(format!("audit.records is {}: use 1 to 65536", self.records)));
        }
        if self.witness.as_ref().is_some_and(|path| path.to_string_lossy().contains("://")) {
            return Err(Error::invalid("audit.witness is an address: use a path, or give the builder a witness"));
        }
        Ok(())
    }
}

/// Where the log's key is.
#[derive(Debug, Clone)]
pub(crate) enum KeyPlace {
    /// In a file.
    File(PathBuf),
    /// Nowhere: it is gone with this process.
    Nowhere,
}

/// A proof that a record is in the tree.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The record's hash.
    pub record: Digest,
    /// SHA-256 over a zero byte and the record's hash.
    pub leaf_hash: Digest,
    /// Its place in the tree.
    pub inclusion: InclusionProof,
    /// That the tree begins with an older one, if that was asked for.
    pub consistency: Option<ConsistencyProof>,
    /// The tree.
    pub checkpoint: SignedCheckpoint,
}

/// The audit log of a running system.
#[derive(Debug)]
pub struct Audit {
    log: Arc<dyn AuditLog>,
    engine: Engine,
    owner: String,
    settings: Settings,
    place: KeyPlace,
    witnesses: Vec<Arc<dyn Witness>>,
    sequencer: OnceCell<Arc<Sequencer>>,
    stop: CancellationToken,
    /// Fires when there will be no more checkpoints.
    last: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Audit {
    pub(crate) fn new(
        log: Arc<dyn AuditLog>,
        engine: Engine,
        owner: String,
        settings: Settings,
        place: KeyPlace,
        witnesses: Vec<Arc<dyn Witness>>,
    ) -> Self {
        let (stop, last) = (CancellationToken::new(), CancellationToken::new());
        let (sequencer, tasks) = (OnceCell::new(), Mutex::default());
        Self { log, engine, owner, settings, place, witnesses, sequencer, stop, last, tasks }
    }

    /// Begins to sequence in the background.
    pub(crate) async fn start(&self) {
        let sequencer = match self.sequencer().await {
            Ok(sequencer) => Arc::clone(sequencer),
            Err(error) => return tracing::warn!(%error, "the audit tree does not grow"),
        };
        let mut tasks = self.tasks.lock().await;
        for witness in self.witnesses.iter().cloned() {
            let clock = Arc::clone(&self.engine.parts().clock);
            tasks.push(tokio::spawn(evidence::inform(witness, Arc::clone(&sequencer), clock, self.last.clone())));
        }
        let stop = self.stop.clone();
        tasks.push(tokio::spawn(async move { sequencer.run(stop).await }));
    }

    /// Sequences what waits a last time, and ends.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks.lock().await);
        if let Some(sequencer) = tasks.pop()
            && let Err(error) = sequencer.await
        {
            tracing::error!(%error, "the sequencer ended badly");
        }
        // Witnesses get the last checkpoint, if they answer.
        self.last.cancel();
        let informed = async {
            for witness in &mut tasks {
                if let Err(error) = witness.await {
                    tracing::error!(%error, "what informs a witness ended badly");
                }
            }
        };
        tokio::select! {
            () = informed => {}
            () = self.engine.parts().clock.sleep(PARTING) => {}
        }
        tasks.iter().for_each(JoinHandle::abort);
    }

    async fn sequencer(&self) -> Result<&Arc<Sequencer>> {
        let make = async || {
            let parts = self.engine.parts();
            let settings = evidence::Settings {
                interval_ms: self.settings.interval_ms,
                records: self.settings.records,
                ..evidence::Settings::default()
            };
            let (log, clock) = (Arc::clone(&self.log), Arc::clone(&parts.clock));
            let key = self.signing_key(&*parts.entropy).await?;
            Ok(Arc::new(Sequencer::new(log, key, clock, self.owner.clone(), settings)))
        };
        self.sequencer.get_or_try_init(make).await
    }

    /// The key, made at its first use. A seed gives the key of a log that has none yet, so
    /// that seeded systems over the same inputs sign the same.
    async fn signing_key(&self, entropy: &dyn Entropy) -> Result<SigningKey> {
        let mut drawn = [0; 32];
        entropy.fill(format_args!("audit/key"), &mut drawn);
        let secret = match &self.place {
            KeyPlace::Nowhere => drawn,
            KeyPlace::File(path) => match vault::open_signing_key(path)? {
                Some(secret) => *secret,
                None if !self.log.newest(1).await?.is_empty() => {
                    return Err(Error::not_found(format!(
                        "the audit key file {} is missing and the log is signed with it: restore the file from its backup",
                        path.display()
                    )));
                }
                None => *vault::open_or_create_signing_key(path, entropy.seed().map(|_| drawn))?,
            },
        };
        match &self.settings.origin {
            Some(origin) => SigningKey::new(origin, &secret),
            None => SigningKey::unnamed(&secret),
        }
    }

    /// The stored tree.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn AuditLog> {
        &self.log
    }

    /// What verifies the log's notes.
    ///
    /// # Errors
    /// `NotFound` when the key of a log that has checkpoints is missing.
    pub async fn key(&self) -> Result<&VerifyingKey> {
        Ok(self.sequencer().await?.key().public())
    }

    /// The newest checkpoint, after what waits has been taken up; `None` before the first
    /// record.
    ///
    /// # Errors
    /// As those of [`AuditLog`], and of [`Audit::key`].
    pub async fn checkpoint(&self) -> Result<Option<SignedCheckpoint>> {
        self.sequencer().await?.advance().await?;
        Ok(self.log.newest(1).await?.pop())
    }

    /// The first checkpoint that covers a run's first `records` records. If another process
    /// sequences, it is waited for; `None` if it does not come in time.
    ///
    /// # Errors
    /// As [`Audit::checkpoint`].
    pub async fn receipt(&self, tenant: &TenantId, run: RunId, records: u64) -> Result<Option<SignedCheckpoint>> {
        let clock = &self.engine.parts().clock;
        let until = clock.monotonic() + Duration::from_millis(self.settings.receipt_ms);
        let last = records.saturating_sub(1);
        loop {
            self.sequencer().await?.advance().await?;
            if let Some(leaf) = self.log.leaves_of(tenant, run, last, 1).await?.first() {
                return self.log.covering(leaf + 1).await;
            }
            if clock.monotonic() >= until {
                return Ok(None);
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Proves that a record is in the tree of the newest checkpoint, and that this tree
    /// begins with the one of an older size.
    ///
    /// # Errors
    /// `NotFound` for an unknown run or record, `Conflict` when no checkpoint covers it
    /// yet, `Invalid` for a size beyond the tree.
    pub async fn proof(&self, tenant: &TenantId, run: RunId, seq: u64, from: Option<u64>) -> Result<Proof> {
        let store = &self.engine.parts().store;
        let row = store.run(tenant, run).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("run {run} does not exist")))?;
        let records = l9_core::run::read_records(&**store, tenant, (run, row.fork), seq, 1).await?;
        let record = records.first().filter(|record| record.seq == seq);
        let record = record.ok_or_else(|| Error::not_found(format!("run {run} has no record {seq}")))?;
        let uncovered = || {
            let message = format!("no checkpoint covers record {seq} of run {run} yet: try again in a moment");
            Error::new(ErrorKind::Conflict, message)
        };
        self.receipt(tenant, record.run, seq + 1).await?.ok_or_else(uncovered)?;
        let leaf = self.log.leaves_of(tenant, record.run, seq, 1).await?.first().copied().ok_or_else(uncovered)?;
        let newest = self.log.newest(1).await?.pop().ok_or_else(uncovered)?;
        let mut prover = Prover::new(Arc::clone(&self.log), newest);
        let consistency = match from {
            Some(from) => Some(prover.consistency(from).await?),
            None => None,
        };
        Ok(Proof {
            record: record.hash,
            leaf_hash: evidence::leaf_hash(&record.hash),
            inclusion: prover.inclusion(leaf).await?,
            consistency,
            checkpoint: prover.checkpoint().clone(),
        })
    }

    /// The evidence of one run against the newest checkpoint, with proofs from these older
    /// sizes; from the newest checkpoints before it if none is given.
    ///
    /// # Errors
    /// As [`evidence::export`].
    pub async fn export(&self, tenant: &TenantId, run: RunId, from: &[u64]) -> Result<Bundle> {
        let parts = self.engine.parts();
        if let Some(row) = parts.store.run(tenant, run).await? {
            self.receipt(tenant, run, row.head.next).await?;
        }
        evidence::export(&*parts.store, &self.log, &*parts.vault, (tenant, run), from).await
    }

    /// Publishes that bodies of the tenant's runs that ended longer ago than `age` may be
    /// gone, and empties them. With `dry`, only tells which; with an archive, keeps them there
    /// first.
    ///
    /// # Errors
    /// As [`Engine::expire`]; nothing is emptied that was not published.
    pub async fn expire(
        &self,
        tenant: &TenantId,
        age: Duration,
        dry: bool,
        archive: Option<&dyn Archive>,
    ) -> Result<Expired> {
        let at = self.engine.parts().clock.now();
        let before = at.before(age);
        if !dry {
            let newest = self.checkpoint().await?;
            let (size, root) =
                newest.map_or((0, Digest::ZERO), |newest| (newest.checkpoint.size, newest.checkpoint.root));
            let horizon = Horizon { tenant: tenant.clone(), before, at, size, root };
            let note = horizon.sign(self.sequencer().await?.key());
            self.log.publish(SignedHorizon { tenant: tenant.clone(), before, note }).await?;
        }
        self.engine.expire_before(tenant, before, dry, archive).await
    }

    /// Stops a tenant, or all, and states under the log's signature when all was quiet; no
    /// statement if it did not become quiet within that time.
    ///
    /// # Errors
    /// As [`Engine::stop`] and [`Audit::checkpoint`]; the stop stands if only the statement
    /// failed.
    pub async fn stop(
        &self,
        scope: Scope,
        by: &str,
        reason: &str,
        within: Duration,
    ) -> Result<(Stopped, Option<String>)> {
        let stopped = self.engine.stop(scope, by, reason, within).await?;
        let Some(quiet_at) = stopped.quiet_at else { return Ok((stopped, None)) };
        let Stop { scope, at, by, reason } = &stopped.stop;
        let within_ms = u64::try_from(within.as_millis()).ok();
        let order = Order { by: by.clone(), reason: reason.clone(), within_ms };
        let statement = self.state(Turn::Quiet, scope, (*at, quiet_at), &order).await?;
        Ok((stopped, Some(statement)))
    }

    /// Lifts a stop, and states so first.
    ///
    /// # Errors
    /// As [`Engine::unstop`].
    pub async fn unstop(&self, scope: &Scope, by: &str, reason: &str) -> Result<(Stop, String)> {
        let stands = self.engine.stops().await?.into_iter().find(|stop| stop.scope == *scope);
        let Some(stop) = stands else {
            // Which also takes back what only this process was told.
            return Err(match self.engine.unstop(scope, by, reason).await {
                Ok(_) => Error::new(ErrorKind::Conflict, format!("the stop of {scope} was lifted meanwhile")),
                Err(error) => error,
            });
        };
        // Nothing is stated of what will be refused.
        check_reason(reason)?;
        let at = self.engine.parts().clock.now();
        let order = Order { by: by.to_owned(), reason: reason.to_owned(), within_ms: None };
        let statement = self.state(Turn::Lifted, scope, (stop.at, at), &order).await?;
        Ok((self.engine.unstop(scope, by, reason).await?, statement))
    }

    /// Signs what somebody decided about a tool; to be kept with the decision.
    pub(crate) async fn state_tool(&self, change: &ToolChange) -> Result<String> {
        let decision = ToolDecision::of(change, self.newest().await?)?;
        Ok(decision.sign(self.sequencer().await?.key()))
    }

    /// States that something is erased, durable when it returns; gives the statement with its
    /// order. What is stated is erased next.
    pub(crate) async fn state_erasure(
        &self,
        tenant: &TenantId,
        (what, count): (evidence::Erased, u64),
        order: &Order,
    ) -> Result<String> {
        let (size, root) = self.newest().await?;
        let (tenant, at) = (tenant.clone(), self.engine.parts().clock.now());
        let erasure = Erasure { tenant, what, count, at, size, root, order: order.digest()? };
        let note = erasure.sign(self.sequencer().await?.key());
        self.log.attest(&note).await?;
        order.state(&note)
    }

    /// The size and the root of the newest checkpoint, or of the empty tree.
    async fn newest(&self) -> Result<(u64, Digest)> {
        let newest = self.checkpoint().await?;
        Ok(newest.map_or((0, sha256(&[])), |newest| (newest.checkpoint.size, newest.checkpoint.root)))
    }

    /// Signs a statement, keeps its note, and gives it with its order.
    async fn state(
        &self,
        turn: Turn,
        scope: &Scope,
        (since, at): (Timestamp, Timestamp),
        order: &Order,
    ) -> Result<String> {
        // Whatever is in the store now has its leaf below the size that is stated.
        let last = self.log.pending(usize::MAX).await?.pop();
        if let Some(last) = last
            && self.receipt(&last.tenant, last.run, last.seq + 1).await?.is_none()
        {
            let message = "the audit tree does not cover the newest records yet: ask again".to_owned();
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let (size, root) = self.newest().await?;
        // The order may be another node's, whose clock is ahead of this one's.
        let at = at.max(since);
        let standstill = Standstill { turn, scope: scope.clone(), since, at, size, root, order: order.digest()? };
        let note = standstill.sign(self.sequencer().await?.key());
        self.log.attest(&note).await?;
        order.state(&note)
    }

    /// What the key signed: the tree, and what was stated about stops, tools and erasures.
    async fn verify_under(&self, key: &VerifyingKey, tools: &Tools, report: &mut Report) -> Result<()> {
        evidence::verify_tree(&self.log, Some(key), report).await?;
        let mut faults = evidence::verify_standstills(&self.log, &*self.engine.parts().store, key).await?;
        faults.extend(tools.unstated(key, &*self.log).await?);
        report.tree.get_or_insert_default().faults.extend(faults);
        Ok(())
    }

    /// Rebuilds the tree from the records; adds what it finds to the report. A log that
    /// cannot be read is a finding too.
    pub(crate) async fn verify(&self, tools: &Tools, report: &mut Report) {
        let key = match &self.place {
            KeyPlace::File(path) if !path.exists() => None,
            _ => Some(self.key().await),
        };
        let verified = match key {
            None => evidence::verify_tree(&self.log, None, report).await,
            Some(Ok(key)) => self.verify_under(key, tools, report).await,
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = verified {
            let faults = vec![format!("the audit tree cannot be verified: {error}")];
            report.tree = Some(TreeReport { faults, ..TreeReport::default() });
        }
    }
}
