//! The interface as a guest calls it: counted, granted, and never on a thread that others
//! wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use l9_core::id::TenantId;
use l9_core::tool::FsGrant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::changing::Changing;
use super::folder::{Folder, ReadBytes};
use super::mounts::Mount;
use super::path::shown;
use crate::wasm::host::State;
use crate::wasm::host::bindings::l9::tool::files::{Entry, Error, Host};

/// What one call may do with files.
#[derive(Debug)]
pub(in crate::wasm) struct Files {
    reach: Arc<Reach>,
    /// Fires when the call ends, so that what waits for a lock by then changes nothing.
    _ended: DropGuard,
}

#[derive(Debug)]
struct Reach {
    mounts: BTreeMap<String, Mount>,
    grants: Vec<FsGrant>,
    tenant: TenantId,
    ended: CancellationToken,
}

impl Files {
    pub(in crate::wasm) fn new(mounts: &BTreeMap<String, Mount>, grants: &[FsGrant], tenant: &TenantId) -> Self {
        let ended = CancellationToken::new();
        let granted = |name: &String| grants.iter().any(|grant| grant.mount == *name);
        let mounts = mounts.iter().filter(|(name, _)| granted(name)).map(|(name, mount)| (name.clone(), mount.clone()));
        let (mounts, grants, tenant) = (mounts.collect(), grants.to_vec(), tenant.clone());
        let reach = Arc::new(Reach { mounts, grants, tenant, ended: ended.clone() });
        Self { reach, _ended: ended.drop_guard() }
    }
}

impl Reach {
    fn folder(&self, name: &str) -> Result<Folder, Error> {
        let grant = self.grants.iter().find(|grant| grant.mount == name);
        let Some((grant, mount)) = grant.zip(self.mounts.get(name)) else {
            return Err(Error::Denied(format!("the manifest grants no mount {}: add it to fs", shown(name))));
        };
        Folder::open(mount, &self.tenant, grant)
    }

    fn changing(&self, name: &str) -> Result<Changing, Error> {
        Changing::begin(self.folder(name)?, &self.ended)
    }
}

/// What a host call gives: an answer, an error that the guest sees, or the call's end.
type Told<T> = wasmtime::Result<Result<T, Error>>;

impl State {
    /// Does what may block beside the threads that drive calls.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reach) -> Result<T, Error> + Send + 'static,
    ) -> Told<T> {
        let Some(files) = &self.files else { return Ok(Err(Error::Denied("the manifest grants no mount".into()))) };
        let reach = Arc::clone(&files.reach);
        Ok(tokio::task::spawn_blocking(move || work(&reach)).await?)
    }

    async fn change(
        &mut self,
        passed: usize,
        mount: String,
        work: impl FnOnce(&Changing) -> Result<(), Error> + Send + 'static,
    ) -> Told<()> {
        self.charge(mount.len() + passed)?;
        let done = self.beside(move |reach| work(&reach.changing(&mount)?)).await?;
        // Any other error says that nothing was done.
        self.changed |= matches!(done, Ok(()) | Err(Error::Failed(_)));
        Ok(done)
    }
}

impl Host for State {
    async fn stat(&mut self, mount: String, path: String) -> Told<Entry> {
        self.charge(mount.len() + path.len())?;
        self.beside(move |reach| reach.folder(&mount)?.stat(&path)).await
    }

    async fn list(&mut self, mount: String, path: String) -> Told<Vec<Entry>> {
        self.charge(mount.len() + path.len())?;
        let listed = self.beside(move |reach| reach.folder(&mount)?.list(&path)).await?;
        if let Ok(entries) = &listed {
            self.pass(entries.iter().map(|entry| entry.name.len() as u64 + 16).sum())?;
        }
        Ok(listed)
    }

    async fn read(&mut self, mount: String, path: String, offset: u64, len: u32) -> Told<Vec<u8>> {
        self.charge(mount.len() + path.len())?;
        let most = self.bytes_left();
        match self.beside(move |reach| reach.folder(&mount)?.read(&path, offset, len, most)).await? {
            Ok(ReadBytes::Read(bytes)) => {
                self.pass(bytes.len() as u64)?;
                Ok(Ok(bytes))
            }
            Ok(ReadBytes::TooMany) => Err(self.too_many_bytes()),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn write(&mut self, mount: String, path: String, contents: Vec<u8>) -> Told<()> {
        self.change(path.len() + contents.len(), mount, move |folder| folder.write(&path, &contents)).await
    }

    async fn append(&mut self, mount: String, path: String, contents: Vec<u8>) -> Told<()> {
        self.change(path.len() + contents.len(), mount, move |folder| folder.append(&path, &contents)).await
    }

    async fn make_folder(&mut self, mount: String, path: String) -> Told<()> {
        self.change(path.len(), mount, move |folder| folder.make_folder(&path)).await
    }

    async fn rename(&mut self, mount: String, path: String, to: String) -> Told<()> {
        self.change(path.len() + to.len(), mount, move |folder| folder.rename(&path, &to)).await
    }

    async fn remove(&mut self, mount: String, path: String) -> Told<()> {
        self.change(path.len(), mount, move |folder| folder.remove(&path)).await
    }
}
