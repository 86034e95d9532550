//! The vault over the root keys in a file. Every tenant has keys of its own, derived from
//! a root key and never stored.
//!
//! ```text
//! key id        = HMAC-SHA-256(root, "l9.key-id.1")[..4]
//! tenant key    = HKDF-Expand(root, "l9.vault.1" ‖ 0 ‖ purpose ‖ 0 ‖ tenant, 32)
//! ```
//!
//! (RFC 5869 section 2.3; its extraction is for keys that are not uniform, and a root
//! key is.) What is sealed names its root key, the newest of which seals; tokens derive
//! from a secret of their own that stays, so that what is stored under them is found.
//!
//! The file may be replaced by another process at any time. It is looked at again every
//! moment, and at once when something was sealed under a key that is not known here. A key
//! that went away is kept in memory for a while, for what was read before it did.
//!
//! Nothing here draws from a seeded entropy: keys and nonces are the system's own.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use l9_core::digest::{Digest, HmacKey, hmac};
use l9_core::id::TenantId;
use l9_core::time::{Clock as _, SystemClock, Timestamp};
use l9_core::vault::{Place, Vault};
use l9_core::{Error, Result};
use zeroize::Zeroizing;

use super::root_file::{Contents, KeyId, RootKey};
use super::sealed;

/// Bytes of every key.
pub(super) const KEY_BYTES: usize = 32;
/// A key in memory, wiped when it is dropped.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// How often the file is looked at while keys are used.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// How long a key that went away is kept in memory.
const LINGER: Duration = Duration::from_secs(60);

/// Seals, opens and tokenises under keys that are derived from the root keys of a file.
pub struct Keyring {
    path: Option<PathBuf>,
    clock: SystemClock,
    loaded: RwLock<Arc<Loaded>>,
    /// When the file was last looked at, in milliseconds of the monotonic clock.
    looked: AtomicU64,
}

/// What a file held when it was read.
struct Loaded {
    stamp: Option<Stamp>,
    file: KeyId,
    is_bare: bool,
    tokens: TokenKeys,
    keys: Vec<Arc<Generation>>,
    next: Option<Arc<Generation>>,
    /// Keys that are in the file no more, and until when each is kept.
    lingering: Vec<(Duration, Arc<Generation>)>,
}

/// One root key.
struct Generation {
    id: KeyId,
    root: Key,
    made_at: Option<Timestamp>,
    seals: Cache,
}

struct TokenKeys {
    root: Key,
    given: BTreeMap<TenantId, Key>,
    cached: Cache,
}

/// Keys of tenants, made ready.
type Cache = RwLock<HashMap<TenantId, Arc<HmacKey>>>;

/// What a root key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Use {
    /// It seals what is written.
    Seals,
    /// It only opens what was sealed under it.
    Opens,
    /// It will seal after the next rotation.
    Next,
}

/// What may be told of a root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id.
    pub id: String,
    /// When it was made; unknown for one of the first form of the file.
    pub made_at: Option<Timestamp>,
    /// What it is for.
    pub used: Use,
}

impl Keyring {
    /// Reads the root keys; the first use makes one.
    ///
    /// # Errors
    /// `Denied` for a file that others may read, `Corrupt` for one that holds no key,
    /// `Unavailable` when it can be neither read nor made.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let clock = SystemClock::default();
        // The stamp first: a file that is replaced in between is read once more.
        let stamp = Stamp::of(path);
        let contents = match Contents::read(path)? {
            Some(contents) => contents,
            None => Contents::new(clock.now())?.create(path)?,
        };
        Ok(Self::new(Some((path, stamp)), clock, contents))
    }

    /// Reads the root keys of a database that was sealed with them.
    ///
    /// # Errors
    /// As [`Keyring::open_or_create`], and `NotFound` when the file is missing: a new
    /// key could not open what the lost one sealed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let stamp = Stamp::of(path);
        let contents = Contents::read(path)?.ok_or_else(|| {
            Error::not_found(format!(
                "the root key file {} is missing and the database is sealed with it: restore the file from its backup",
                path.display()
            ))
        })?;
        Ok(Self::new(Some((path, stamp)), SystemClock::default(), contents))
    }

    /// A new root key that is in no file: what it seals is gone with it.
    #[must_use]
    pub fn ephemeral() -> Self {
        let random = || {
            let mut key = Key::default();
            rand::fill(&mut *key);
            key
        };
        let key = RootKey { root: random(), made_at: None };
        let (file, tokens) = (key.id(), random());
        let contents = Contents {
            file,
            tokens,
            given: BTreeMap::new(),
            keys: vec![key],
            next: None,
            is_bare: false,
            is_old: false,
        };
        Self::new(None, SystemClock::default(), contents)
    }

    /// Which root key file this is, whatever keys come and go: 8 hex digits, the id of the
    /// first key it held.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.current().file)
    }

    /// What may be told of the keys, the one that seals last but for the one that comes.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        let loaded = self.current();
        let sealing = loaded.sealing().id;
        let info = |key: &Arc<Generation>, used| KeyInfo { id: hex::encode(key.id), made_at: key.made_at, used };
        let kept = loaded.keys.iter().map(|key| info(key, if key.id == sealing { Use::Seals } else { Use::Opens }));
        kept.chain(loaded.next.iter().map(|key| info(key, Use::Next))).collect()
    }

    /// The key that seals.
    pub(super) fn sealing(&self) -> KeyId {
        self.current().sealing().id
    }

    /// Where the keys are, if they are in a file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether a tenant's token key may derive from a root key.
    pub(super) fn is_bare(&self) -> bool {
        self.current().is_bare
    }

    /// Whether the tenant's token key derives from nothing that is kept.
    pub(super) fn has_token_key_of(&self, tenant: &TenantId) -> bool {
        self.current().tokens.given.contains_key(tenant)
    }

    /// Takes what the file holds by now.
    ///
    /// # Errors
    /// As [`Keyring::open`]; what was there before stays then.
    pub(super) fn reload(&self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        // The stamp first: a file that is replaced in between is read once more.
        let stamp = Stamp::of(path);
        if stamp.is_some() && stamp == loaded.stamp {
            return Ok(());
        }
        let contents = Contents::read(path)?
            .ok_or_else(|| Error::not_found(format!("the root key file {} went away", path.display())))?;
        if contents.file != loaded.file {
            return Err(Error::corrupt(format!(
                "the root key file {} was replaced by that of another database: restore it from its backup",
                path.display()
            )));
        }
        *loaded = Arc::new(Loaded::new(stamp, contents, Some((&**loaded, self.clock.monotonic()))));
        Ok(())
    }

    fn new(file: Option<(&Path, Option<Stamp>)>, clock: SystemClock, contents: Contents) -> Self {
        let (path, stamp) = file.map_or((None, None), |(path, stamp)| (Some(path), stamp));
        let looked = AtomicU64::new(millis(clock.monotonic()));
        let loaded = RwLock::new(Arc::new(Loaded::new(stamp, contents, None)));
        Self { path: path.map(Path::to_owned), clock, loaded, looked }
    }

    /// The keys; the file is looked at if that was not done just now.
    fn current(&self) -> Arc<Loaded> {
        let now = millis(self.clock.monotonic());
        let looked = self.looked.load(Ordering::Relaxed);
        if now.saturating_sub(looked) >= millis(LOOK)
            && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // What is here goes on: whoever meets a key that is not hears why.
            let _ = self.reload();
        }
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key of that id, if it is in the file, or was a moment ago.
    fn find(&self, id: KeyId) -> Option<Arc<Generation>> {
        if let Some(found) = self.current().find(id) {
            return Some(found);
        }
        let _ = self.reload();
        self.current().find(id)
    }
}

impl Loaded {
    fn new(stamp: Option<Stamp>, contents: Contents, before: Option<(&Self, Duration)>) -> Self {
        // Those that stay keep the keys that were derived.
        let known = |key: RootKey| match before.and_then(|(before, _)| before.find(key.id())) {
            Some(known) => known,
            None => Arc::new(Generation::of(key)),
        };
        let keys: Vec<_> = contents.keys.into_iter().map(known).collect();
        let next = contents.next.map(known);
        let mut lingering = Vec::new();
        if let Some((before, now)) = before {
            let stays = |id| keys.iter().chain(&next).any(|key| key.id == id);
            let gone = before.keys.iter().filter(|key| !stays(key.id)).map(|key| (now + LINGER, Arc::clone(key)));
            lingering.extend(before.lingering.iter().filter(|(until, key)| *until > now && !stays(key.id)).cloned());
            lingering.extend(gone);
        }
        let tokens = TokenKeys { root: contents.tokens, given: contents.given, cached: RwLock::default() };
        Self { stamp, file: contents.file, is_bare: contents.is_bare, tokens, keys, next, lingering }
    }

    fn sealing(&self) -> &Arc<Generation> {
        // A file has a key at least, or it is not read.
        &self.keys[self.keys.len() - 1]
    }

    fn find(&self, id: KeyId) -> Option<Arc<Generation>> {
        let lingering = self.lingering.iter().map(|(_, key)| key);
        self.keys.iter().rev().chain(&self.next).chain(lingering).find(|key| key.id == id).cloned()
    }
}

impl Generation {
    fn of(key: RootKey) -> Self {
        Self { id: key.id(), root: key.root, made_at: key.made_at, seals: RwLock::default() }
    }

    fn seal(&self, tenant: &TenantId) -> Arc<HmacKey> {
        cached(&self.seals, tenant, || HmacKey::new(&*derive(&self.root, "seal", tenant)))
    }
}

impl TokenKeys {
    fn of(&self, tenant: &TenantId) -> Arc<HmacKey> {
        cached(&self.cached, tenant, || match self.given.get(tenant) {
            Some(given) => HmacKey::new(&**given),
            None => HmacKey::new(&*derive(&self.root, "token", tenant)),
        })
    }
}

/// The token key that a tenant has under a root key of the first form of the file.
pub(super) fn bare_token_key(root: &Key, tenant: &TenantId) -> Key {
    derive(root, "token", tenant)
}

fn cached(cache: &Cache, tenant: &TenantId, make: impl FnOnce() -> HmacKey) -> Arc<HmacKey> {
    if let Some(key) = cache.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
        return Arc::clone(key);
    }
    let key = Arc::new(make());
    Arc::clone(cache.write().unwrap_or_else(PoisonError::into_inner).entry(tenant.clone()).or_insert(key))
}

fn derive(root: &Key, purpose: &str, tenant: &TenantId) -> Key {
    let info: [&[u8]; 6] = [b"l9.vault.1", b"\0", purpose.as_bytes(), b"\0", tenant.as_str().as_bytes(), b"\x01"];
    Zeroizing::new(*hmac(&**root, &info).as_bytes())
}

impl Vault for Keyring {
    fn seal(&self, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        let loaded = self.current();
        let key = loaded.sealing();
        sealed::seal(key.id, &key.seal(tenant), tenant, place, plain)
    }

    fn open(&self, tenant: &TenantId, place: &Place<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
        // What is of no form that has a key is refused under any.
        let id = sealed::key_id(bytes).unwrap_or_else(|| self.sealing());
        let Some(key) = self.find(id) else {
            let held: Vec<String> = self.keys().into_iter().map(|key| key.id).collect();
            return Err(Error::corrupt(format!(
                "a {} {} was sealed under root key {}, but {} holds root key {}: restore the root key file from its backup",
                place.table,
                place.column,
                hex::encode(id),
                self.path.as_deref().unwrap_or(Path::new("no file")).display(),
                held.join(", ")
            )));
        };
        sealed::open(&key.seal(tenant), tenant, place, bytes)
    }

    fn token(&self, tenant: &TenantId, purpose: &str, data: &[u8]) -> Digest {
        let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX).to_be_bytes();
        self.current().tokens.of(tenant).sign(&[b"l9.token.1", &length, purpose.as_bytes(), data])
    }
}

/// What tells whether a file was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: std::time::SystemTime,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { inode, modified: metadata.modified().ok()?, bytes: metadata.len() })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("path", &self.path).field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::ErrorKind;

    const PLACE: Place<'static> = Place { table: "journal", row: b"row", column: "body" };

    fn keyring() -> (tempfile::TempDir, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open_or_create(folder.path().join("keys/root.key")).unwrap();
        (folder, keyring)
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_never_looks_the_same() {
        let (folder, keyring) = keyring();
        let one = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        let two = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        assert_ne!(one, two);
        let again = Keyring::open(folder.path().join("keys/root.key")).unwrap();
        assert_eq!(again.key_id(), keyring.key_id());
        assert_eq!(again.open(&tenant("a"), &PLACE, &one).unwrap(), b"words");
        assert_eq!(again.token(&tenant("a"), "p", b"x"), keyring.token(&tenant("a"), "p", b"x"));
    }

    #[test]
    fn moved_ciphertext_does_not_open() {
        let (_folder, keyring) = keyring();
        let bytes = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        for (who, place) in [
            ("b", PLACE),
            ("a", Place { table: "memory", ..PLACE }),
            ("a", Place { row: b"other", ..PLACE }),
            ("a", Place { column: "text", ..PLACE }),
        ] {
            let error = keyring.open(&tenant(who), &place, &bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{who} {place:?}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_folder, keyring) = keyring();
        let bytes = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(keyring.open(&tenant("a"), &PLACE, &changed).is_err(), "byte {at} bit {bit}");
            }
            assert!(keyring.open(&tenant("a"), &PLACE, &bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_root_key_is_named_with_the_mend() {
        let ((_one, first), (_two, second)) = (keyring(), keyring());
        let bytes = first.seal(&tenant("a"), &PLACE, b"words").unwrap();
        let error = second.open(&tenant("a"), &PLACE, &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        for part in [first.key_id().as_str(), second.key_id().as_str(), "restore the root key file from its backup"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn tokens_are_apart_by_tenant_purpose_and_data() {
        let (_folder, keyring) = keyring();
        let token = |who: &str, purpose: &str, data: &[u8]| keyring.token(&tenant(who), purpose, data);
        let all = [
            token("a", "p", b"x"),
            token("b", "p", b"x"),
            token("a", "q", b"x"),
            token("a", "p", b"y"),
            token("a", "px", b""),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let (_folder, keyring) = keyring();
        let shown = format!("{keyring:?}");
        assert!(!shown.contains(&hex::encode(*keyring.current().sealing().root)), "{shown}");
    }
}
