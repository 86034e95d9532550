//! One intake at work: files one after another, what is new before what is old goes.
//!
//! New pieces of many files are kept together. A file's old pieces go only once its new ones
//! are kept, so that it is in answers all the while; whatever breaks this off, the same
//! intake again goes on from there.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use l9_core::memory::{Entry, NewEntry, Source};
use l9_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::differ::Difference;
use super::files::{Files, Found};
use super::intake::{Ingest, Looked};
use super::pieces::{Mark, Pieces};
use super::report::{Change, FileChange, Progress, Report, Skipped, Status};

/// How many pieces are kept per call, and how many bytes of text.
const PART: usize = 1_000;
const PART_BYTES: usize = 8 << 20;
/// How many calls are under way at once: one seals while another writes. What stands for a
/// file may so be kept before the last of its pieces; its number of pieces tells that.
const CALLS: usize = 3;
/// How many pieces wait before they are kept, and how many bytes of text.
const BATCH: usize = 4 * PART;
const BATCH_BYTES: usize = 2 * PART_BYTES;
/// How many files are read ahead.
const AHEAD: usize = 3;
/// How many removals are under way at once.
const REMOVALS: usize = 64;

pub(super) struct Work<'a> {
    ingest: &'a Ingest,
    progress: &'a dyn Progress,
    /// The path that was named.
    root: PathBuf,
    files: Files,
    /// The sources that are kept, of the files that are looked at.
    known: HashMap<String, Source>,
    batch: Batch,
    report: Report,
    status: Status,
    /// Where the report has the new file of a hash.
    new: HashMap<String, usize>,
}

/// What waits to be written.
#[derive(Default)]
struct Batch {
    fresh: Vec<NewEntry>,
    bytes: usize,
    before: Vec<Uuid>,
    stale: Vec<Uuid>,
}

impl<'a> Work<'a> {
    /// Looks at what is known of the files of a path.
    pub(super) async fn begin(
        ingest: &'a Ingest,
        path: &Path,
        files: Files,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let sources = if files.folder.is_some() {
            ingest.store.sources(&ingest.tenant).await?
        } else {
            let kept = ingest.store.of_source(&ingest.tenant, &path.to_string_lossy()).await?;
            let entries = kept.len() as u64;
            kept.into_iter().next_back().map(|newest| Source { entries, newest }).into_iter().collect()
        };
        let known = sources
            .into_iter()
            .filter_map(|source| Some((source.newest.entry.source.clone()?, source)))
            .filter(|(name, _)| Path::new(name).starts_with(path))
            .collect();
        let status = Status {
            files: files.found.len(),
            total_bytes: files.found.iter().map(|file| file.size).sum(),
            ..Status::default()
        };
        let report = Report { dry_run: ingest.options().dry_run, ignored: files.ignored.len(), ..Report::default() };
        Ok(Self {
            ingest,
            progress,
            root: path.to_owned(),
            files,
            known,
            batch: Batch::default(),
            report,
            status,
            new: HashMap::new(),
        })
    }

    pub(super) async fn run(mut self) -> Result<Report> {
        self.report.skipped = std::mem::take(&mut self.files.skipped);
        let found = std::mem::take(&mut self.files.found);
        let names: HashSet<PathBuf> = found.iter().map(|file| file.path.clone()).collect();
        let ingest = self.ingest;
        let looks: Vec<(Found, Option<String>)> =
            found.into_iter().map(|file| (self.complete(&file.path), file)).map(|(hash, file)| (file, hash)).collect();
        let mut looked = stream::iter(looks)
            .map(|(file, hash)| async move { (file.clone(), ingest.look(file, hash).await) })
            .buffered(AHEAD);
        while let Some((file, looked)) = looked.next().await {
            self.status.current.clone_from(&file.path);
            self.progress.advanced(&self.status);
            match looked {
                Ok(looked) => self.take(&file, looked).await?,
                Err(error) if self.files.folder.is_none() => return Err(error),
                Err(error) => self.skip(file.path.clone(), error.to_string()),
            }
            self.status.done += 1;
            self.status.bytes += file.size;
            self.progress.advanced(&self.status);
        }
        self.flush().await?;
        if let Some(folder) = self.files.folder.take()
            && !self.ingest.options().keep_missing
        {
            self.remove_missing(&folder, &names).await?;
        }
        Ok(self.report)
    }

    /// The hash of a file of which every piece is kept, as far as one look tells.
    fn complete(&self, path: &Path) -> Option<String> {
        let source = self.known.get(path.to_string_lossy().as_ref())?;
        let mark = Mark::of(&source.newest.entry)?;
        (mark.pieces == source.entries && source.newest.entry.agent == self.ingest.agent).then_some(mark.sha256)
    }

    async fn take(&mut self, file: &Found, looked: Looked) -> Result<()> {
        self.report.bytes += file.size;
        let is_known = self.known.contains_key(file.path.to_string_lossy().as_ref());
        match looked {
            Looked::Unchanged => {
                self.report.files += 1;
                self.unchanged(self.known.get(file.path.to_string_lossy().as_ref()).map_or(0, |kept| kept.entries));
            }
            Looked::Other { sha256 } => {
                self.report.files += 1;
                self.changed(&file.path, &sha256, if is_known { Change::Changed } else { Change::New });
            }
            Looked::Cut(pieces) => self.keep(pieces, is_known).await?,
        }
        Ok(())
    }

    async fn keep(&mut self, pieces: Pieces, is_known: bool) -> Result<()> {
        let kept = if is_known { self.kept(&pieces).await? } else { Vec::new() };
        let Pieces { path, source: _, sha256, entries, agents: _, keyed } = pieces;
        let change = if kept.is_empty() { Change::New } else { Change::Changed };
        if entries.is_empty() {
            if !kept.is_empty() {
                self.changed(&path, &sha256, change);
            }
            self.report.replaced += kept.len() as u64;
            self.batch.stale.extend(kept.iter().map(|entry| entry.id));
            self.skip(path, "it has no words".into());
            return Ok(());
        }
        // What would be refused must not take other files' pieces along.
        if let Err(error) = crate::entry::check(&entries) {
            if self.files.folder.is_none() {
                return Err(Error::invalid(format!("{}: {}", path.display(), error.message())));
            }
            self.skip(path, error.to_string());
            return Ok(());
        }
        self.report.files += 1;
        let difference = Difference::between(kept, entries);
        if difference.is_empty() {
            self.unchanged(difference.known as u64);
            return Ok(());
        }
        self.status.chunks += difference.known;
        self.report.duplicates += difference.known;
        self.report.replaced += (difference.before.len() + difference.stale.len()) as u64;
        self.changed(&path, &sha256, change);
        if self.ingest.options().dry_run {
            self.report.stored += difference.fresh.len();
            return Ok(());
        }
        if keyed {
            // What it brings may be refused; then no other file is.
            self.flush().await?;
        }
        self.batch.add(difference);
        if !keyed && !self.batch.is_full() {
            return Ok(());
        }
        match self.flush().await {
            Err(error) if keyed && error.kind() == ErrorKind::Conflict && self.files.folder.is_some() => {
                self.batch = Batch::default();
                self.report.files -= 1;
                // It was the last that was told of.
                self.report.changes.pop();
                self.new.retain(|_, at| *at < self.report.changes.len());
                self.skip(path, error.to_string());
                Ok(())
            }
            flushed => flushed,
        }
    }

    /// What this intake kept of a file.
    async fn kept(&self, pieces: &Pieces) -> Result<Vec<Entry>> {
        let mut kept = self.ingest.store.of_source(&self.ingest.tenant, &pieces.source).await?;
        let mut agents = pieces.agents.clone();
        agents.extend(self.marks(&kept).flat_map(|mark| mark.agents));
        self.keep_own(&mut kept, |agent| agents.contains(agent));
        Ok(kept)
    }

    fn marks<'e>(&'e self, kept: &'e [Entry]) -> impl Iterator<Item = Mark> + 'e {
        kept.iter().filter(|entry| entry.entry.agent == self.ingest.agent).filter_map(|entry| Mark::of(&entry.entry))
    }

    fn keep_own(&self, kept: &mut Vec<Entry>, named: impl Fn(&l9_core::id::AgentId) -> bool) {
        kept.retain(|entry| entry.entry.agent == self.ingest.agent || entry.entry.agent.as_ref().is_some_and(&named));
    }

    fn unchanged(&mut self, pieces: u64) {
        let pieces = usize::try_from(pieces).unwrap_or(usize::MAX);
        self.report.unchanged += 1;
        self.report.duplicates += pieces;
        self.status.chunks += pieces;
    }

    fn changed(&mut self, path: &Path, sha256: &str, change: Change) {
        if change == Change::New {
            self.new.entry(sha256.to_owned()).or_insert(self.report.changes.len());
        }
        self.report.changes.push(FileChange { path: path.to_owned(), change, from: None });
    }

    fn skip(&mut self, path: PathBuf, reason: String) {
        self.report.skipped.push(Skipped { path, reason });
    }

    /// Writes what waits: what is in the way goes, what is new is kept, what is old goes.
    async fn flush(&mut self) -> Result<()> {
        let Batch { fresh, before, stale, .. } = std::mem::take(&mut self.batch);
        if self.ingest.options().dry_run {
            return Ok(());
        }
        self.forget(before).await?;
        let (store, tenant) = (&self.ingest.store, &self.ingest.tenant);
        // What stands for whole files comes when all else is there.
        let (standing, fresh): (Vec<_>, Vec<_>) = fresh.into_iter().partition(|entry| Mark::of(entry).is_some());
        for wave in [fresh, standing] {
            let mut kept = stream::iter(parts(wave)).map(|part| store.remember(tenant, part)).buffered(CALLS);
            while let Some(part) = kept.next().await {
                let part = part?;
                let duplicates = part.iter().filter(|one| one.duplicate).count();
                self.report.duplicates += duplicates;
                self.report.stored += part.len() - duplicates;
                self.status.chunks += part.len();
                self.progress.advanced(&self.status);
            }
        }
        self.forget(stale).await.map(drop)
    }

    async fn forget(&self, ids: Vec<Uuid>) -> Result<u64> {
        let (store, tenant) = (&self.ingest.store, &self.ingest.tenant);
        stream::iter(ids)
            .map(|id| store.forget(tenant, id))
            .buffer_unordered(REMOVALS)
            .try_fold(0, |removed, was_there| async move { Ok(removed + u64::from(was_there)) })
            .await
    }

    /// Removes what came from files that the folder has no more.
    async fn remove_missing(&mut self, folder: &Path, names: &HashSet<PathBuf>) -> Result<()> {
        let skipped: HashSet<PathBuf> = self.report.skipped.iter().map(|one| one.path.clone()).collect();
        let ignored: HashSet<PathBuf> = std::mem::take(&mut self.files.ignored).into_iter().collect();
        let mut known: Vec<String> = std::mem::take(&mut self.known).into_keys().collect();
        known.sort_unstable();
        for name in known {
            let path = Path::new(&name);
            let below = |these: &HashSet<PathBuf>| path.ancestors().any(|above| these.contains(above));
            let there = !below(&ignored) && path.symlink_metadata().is_ok();
            if there || names.contains(path) || below(&skipped) {
                continue;
            }
            self.remove(folder, path).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, folder: &Path, path: &Path) -> Result<()> {
        let mut kept = self.ingest.store.of_source(&self.ingest.tenant, &path.to_string_lossy()).await?;
        let Some(mark) = self.marks(&kept).last() else {
            if kept.iter().any(|entry| entry.entry.agent == self.ingest.agent) {
                self.skip(path.to_owned(), UNMARKED.into());
            }
            return Ok(());
        };
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        if Mark::place(&folder.join(below)) != mark.place {
            self.skip(path.to_owned(), "it is in memory from another folder of this name: that stays".into());
            return Ok(());
        }
        self.keep_own(&mut kept, |agent| mark.agents.contains(agent));
        match self.new.remove(&mark.sha256).and_then(|at| self.report.changes.get_mut(at)) {
            Some(new) => (new.change, new.from) = (Change::Renamed, Some(path.to_owned())),
            None => self.changed(path, &mark.sha256, Change::Removed),
        }
        if self.ingest.options().dry_run {
            self.report.removed += kept.len() as u64;
            return Ok(());
        }
        // Last goes what stands for the file, so that a removal that is broken off is gone on with.
        let (standing, others): (Vec<Entry>, Vec<Entry>) =
            kept.into_iter().partition(|entry| Mark::of(&entry.entry).is_some());
        for part in [others, standing] {
            self.report.removed += self.forget(part.into_iter().map(|entry| entry.id).collect()).await?;
        }
        Ok(())
    }
}

const UNMARKED: &str =
    "it is gone, and what memory has of it was taken in by an older version or broken off: that stays";

/// What is kept by one call each.
fn parts(fresh: Vec<NewEntry>) -> Vec<Vec<NewEntry>> {
    let mut parts: Vec<Vec<NewEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in fresh {
        bytes += entry.text.len();
        match parts.last_mut() {
            Some(part) if part.len() < PART && bytes <= PART_BYTES => part.push(entry),
            _ => {
                bytes = entry.text.len();
                parts.push(vec![entry]);
            }
        }
    }
    parts
}

impl Batch {
    fn add(&mut self, difference: Difference) {
        self.bytes += difference.fresh.iter().map(|entry| entry.text.len()).sum::<usize>();
        self.fresh.extend(difference.fresh);
        self.before.extend(difference.before);
        self.stale.extend(difference.stale);
    }

    fn is_full(&self) -> bool {
        self.fresh.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}
