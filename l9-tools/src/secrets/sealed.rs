//! Secrets in a file of their own, each sealed under the vault's key to its handle.
//!
//! Whoever has the file without the key learns the handles, and that is all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use l9_core::id::TenantId;
use l9_core::vault::{Place, Vault};
use l9_core::{Error, Result};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use super::folder::owners_alone;
use super::provider::{Provider, is_handle};

/// The version of the file that this build reads and writes.
const VERSION: u32 = 1;

/// The file's form: version 1 has the sealed bytes in hexadecimal.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    secrets: BTreeMap<String, String>,
}

/// A file of sealed secrets.
#[derive(Debug, Clone)]
pub struct Sealed {
    path: PathBuf,
    vault: Arc<dyn Vault>,
}

impl Sealed {
    /// The secrets in that file, which need not be there.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>, vault: Arc<dyn Vault>) -> Self {
        Self { path: path.into(), vault }
    }

    /// The handles that have a value, in order.
    ///
    /// # Errors
    /// As reading the file.
    pub fn handles(&self) -> Result<Vec<String>> {
        Ok(self.read()?.secrets.into_keys().collect())
    }

    /// Gives a handle its value, in place of an older one.
    ///
    /// # Errors
    /// `Invalid` for a text that is no handle, or when the file cannot be written.
    pub fn set(&self, handle: &str, value: &SecretString) -> Result<()> {
        if !is_handle(handle) {
            return Err(Error::invalid(format!("{handle:?} is no handle: use 1 to 64 of a-z, 0-9, - and _")));
        }
        let _lock = self.lock()?;
        let mut stored = self.read()?;
        let sealed = self.vault.seal(&tenant(), &place(handle), value.expose_secret().as_bytes())?;
        stored.secrets.insert(handle.to_owned(), hex::encode(&sealed));
        self.write(&stored)
    }

    /// Takes a handle's value away; tells whether it had one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remove(&self, handle: &str) -> Result<bool> {
        let _lock = self.lock()?;
        let mut stored = self.read()?;
        let there = stored.secrets.remove(handle).is_some();
        if there {
            self.write(&stored)?;
        }
        Ok(there)
    }

    /// The values as they are sealed.
    ///
    /// # Errors
    /// As reading the file, and `Corrupt` for a value that is no hexadecimal.
    pub fn sealed(&self) -> Result<Vec<Vec<u8>>> {
        let stored = self.read()?;
        stored.secrets.iter().map(|(handle, text)| hex::decode(text).map_err(|_| self.damaged(handle))).collect()
    }

    /// Seals every value anew, under the vault's newest key; tells how many there are.
    ///
    /// # Errors
    /// When a value does not open, or the file cannot be read or written.
    pub fn reseal(&self) -> Result<u64> {
        if !self.path.exists() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        let mut stored = self.read()?;
        for (handle, text) in &mut stored.secrets {
            let sealed = hex::decode(&*text).map_err(|_| self.damaged(handle))?;
            let plain = SecretSlice::from(self.vault.open(&tenant(), &place(handle), &sealed)?);
            *text = hex::encode(self.vault.seal(&tenant(), &place(handle), plain.expose_secret())?);
        }
        if !stored.secrets.is_empty() {
            self.write(&stored)?;
        }
        Ok(stored.secrets.len() as u64)
    }

    /// Nobody else changes the file while it is held: what was read is what is written over.
    fn lock(&self) -> Result<File> {
        let path = self.path.with_extension("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let locked = options.open(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| self.fault("cannot be locked", error))
    }

    fn damaged(&self, handle: &str) -> Error {
        let shown = self.path.display();
        Error::new(l9_core::ErrorKind::Corrupt, format!("the secret {handle} in {shown} is damaged: set it again"))
    }

    fn read(&self) -> Result<Stored> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Stored { version: VERSION, ..Stored::default() });
            }
            opened => opened.map_err(|error| self.fault("cannot be read", error))?,
        };
        owners_alone(&self.path, &file)?;
        let stored: Stored =
            serde_json::from_reader(file).map_err(|error| self.fault("is no file of secrets", error))?;
        if stored.version > VERSION {
            let message = format!(
                "{} has version {}, this build reads {VERSION}: upgrade L9",
                self.path.display(),
                stored.version
            );
            return Err(Error::new(l9_core::ErrorKind::Newer, message));
        }
        Ok(stored)
    }

    /// Writes the whole file beside the old one, then puts it in its place.
    fn write(&self, stored: &Stored) -> Result<()> {
        let fault = |error: std::io::Error| self.fault("cannot be written", error);
        let beside = self.path.with_extension("new");
        let text = serde_json::to_vec_pretty(stored).map_err(|error| self.fault("cannot be written", error))?;
        let _ = fs::remove_file(&beside);
        let mut file = create(&beside).map_err(fault)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(fault)?;
        fs::rename(&beside, &self.path).map_err(fault)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
    }

    fn fault(&self, what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::invalid(format!("{} {what}: restore it, or remove it and set the secrets again", self.path.display()))
            .caused_by(error)
    }
}

impl Provider for Sealed {
    fn get(&self, handle: &str) -> Result<Option<SecretString>> {
        let stored = self.read()?;
        let Some(text) = stored.secrets.get(handle) else { return Ok(None) };
        let sealed = hex::decode(text).map_err(|_| self.damaged(handle))?;
        let plain = self.vault.open(&tenant(), &place(handle), &sealed)?;
        String::from_utf8(plain).map(SecretString::from).map(Some).map_err(|_| self.damaged(handle))
    }
}

/// Secrets are the node's own, so they are sealed for the tenant that it has by itself.
fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn place(handle: &str) -> Place<'_> {
    Place { table: "secrets", row: handle.as_bytes(), column: "value" }
}

#[cfg(unix)]
fn create(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_memory::vault::Keyring;

    #[test]
    fn a_secret_opens_under_its_own_key_and_handle_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let vault: Arc<dyn Vault> = Arc::new(Keyring::open_or_create(folder.path().join("root.key")).unwrap());
        let sealed = Sealed::at(&path, Arc::clone(&vault));
        assert!(sealed.get("key").unwrap().is_none() && sealed.handles().unwrap().is_empty());
        sealed.set("key", &SecretString::from("hunter2-hunter2".to_owned())).unwrap();
        sealed.set("other", &SecretString::from("something-else".to_owned())).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(&hex::encode("hunter2")), "{text}");
        let again = Sealed::at(&path, Arc::clone(&vault));
        assert_eq!(again.get("key").unwrap().unwrap().expose_secret(), "hunter2-hunter2");
        // One that was moved under another handle does not open.
        let mut stored: Stored = serde_json::from_str(&text).unwrap();
        let moved = stored.secrets["key"].clone();
        stored.secrets.insert("other".into(), moved);
        sealed.write(&stored).unwrap();
        assert!(again.get("other").is_err());
        let stranger = Sealed::at(&path, Arc::new(Keyring::ephemeral()));
        assert!(stranger.get("key").is_err());
        assert!(again.reseal().is_err(), "what was moved keeps its key");
        assert!(again.remove("other").unwrap());
        let before = again.sealed().unwrap();
        assert_eq!(again.reseal().unwrap(), 1);
        assert_ne!(again.sealed().unwrap(), before);
        assert_eq!(again.get("key").unwrap().unwrap().expose_secret(), "hunter2-hunter2");
        again.set("other", &SecretString::from("once-more".to_owned())).unwrap();
        assert!(again.remove("key").unwrap() && !again.remove("key").unwrap());
        assert_eq!(again.handles().unwrap(), ["other"]);
        assert!(again.set("No Handle", &SecretString::from("x".to_owned())).is_err());
    }

    #[test]
    fn the_first_version_of_the_file_stays_readable_and_a_later_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let sealed = Sealed::at(&path, Arc::new(Keyring::ephemeral()));
        let store = |text: &str| {
            let _ = fs::remove_file(&path);
            create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        store(r#"{"version": 1, "secrets": {"notes-key": "00ff"}}"#);
        assert_eq!(sealed.handles().unwrap(), ["notes-key"]);
        store(r#"{"version": 2, "secrets": {}}"#);
        assert_eq!(sealed.handles().unwrap_err().kind(), l9_core::ErrorKind::Newer);
    }
}
