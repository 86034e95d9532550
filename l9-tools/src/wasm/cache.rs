//! Compiled components kept between starts.
//!
//! A file's name is the component's hash and the engine's compatibility hash; its body
//! is a header, a MAC and the code. Whatever does not verify is ignored, and written
//! anew after compiling: a cache can be deleted, copied or forged without harm.
//!
//! Format, version 2:
//!
//! ```text
//! "l9-aot.2" ‖ salt (32 random) ‖ tag (16) ‖ code
//! key = HMAC-SHA-256(cache key, "l9-aot.2" ‖ salt ‖ component's SHA-256 ‖ compatibility hash)
//! tag = AES-256-GMAC(key, nonce of zeros, code)
//! ```
//!
//! GMAC (NIST SP 800-38D, GCM over nothing but associated data) instead of an HMAC over the
//! code, because it is several times as fast over a megabyte, and loading is mostly that. What
//! GMAC asks of its user is met by the key of each file: it makes one tag only, so no nonce can
//! come twice, and it is bound to component and engine, so no other file's tag fits. Whoever
//! can write the folder and holds no key is left with guessing: a try at a file of the largest
//! size succeeds once in 2^102 (2^26 blocks, of 2^128).

use std::fmt;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use l9_core::digest::{Digest, hmac, sha256};
use l9_core::entropy::{Entropy as _, SystemEntropy};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::precompiled::{self, Verified};

const MAGIC: &[u8; 8] = b"l9-aot.2";
const SALT: usize = 32;
const TAG: usize = 16;
/// No honest image comes near; keeps a planted file from filling memory.
const LARGEST: u64 = 1 << 30;

/// The cache of one folder under one key.
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    compatibility: Digest,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cache {
    pub(super) fn new(folder: PathBuf, key: [u8; 32], engine: &Engine) -> Self {
        let mut bytes = Bytes(Vec::new());
        engine.precompile_compatibility_hash().hash(&mut bytes);
        Self { folder, key, compatibility: sha256(&[&bytes.0]) }
    }

    /// The component of that hash, if a file of this engine and key has it.
    pub(super) fn load(&self, engine: &Engine, component: Digest) -> Option<Component> {
        let path = self.path(component);
        if fs::metadata(&path).ok()?.len() > LARGEST {
            return None;
        }
        let file = fs::read(&path).ok()?;
        let Some(image) = self.verified(&file, component) else {
            tracing::warn!(path = %path.display(), "ignored a compiled component that does not verify");
            return None;
        };
        match precompiled::load(engine, &image) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "ignored a compiled component that does not load");
                None
            }
        }
    }

    /// Keeps a component this engine has compiled. A cache that cannot be written is no
    /// error: the next start compiles again.
    pub(super) fn store(&self, compiled: &Component, component: Digest) {
        let stored = compiled
            .serialize()
            .map_err(std::io::Error::other)
            .and_then(|image| self.write(&self.path(component), &image, component));
        if let Err(error) = stored {
            tracing::warn!(folder = %self.folder.display(), %error, "could not keep a compiled component");
        }
    }

    pub(super) fn path(&self, component: Digest) -> PathBuf {
        let compatibility = self.compatibility.to_string();
        self.folder.join(format!("{component}-{}.aot", &compatibility[..16]))
    }

    fn verified<'a>(&self, file: &'a [u8], component: Digest) -> Option<Verified<'a>> {
        let (salt, signed) = file.strip_prefix(MAGIC)?.split_at_checked(SALT)?;
        let (tag, image) = signed.split_at_checked(TAG)?;
        // Nothing is enciphered: it opens to nothing, or not at all.
        let opened = self.key(salt, component)?.open_in_place(once(), Aad::from(image), &mut tag.to_vec()).is_ok();
        opened.then(|| Verified::by_mac(image))
    }

    /// The key of one file, which makes one tag only.
    fn key(&self, salt: &[u8], component: Digest) -> Option<LessSafeKey> {
        let key = hmac(&self.key, &[MAGIC, salt, component.as_bytes(), self.compatibility.as_bytes()]);
        UnboundKey::new(&AES_256_GCM, key.as_bytes()).ok().map(LessSafeKey::new)
    }

    /// What stands before an image.
    fn header(&self, image: &[u8], component: Digest) -> Option<Vec<u8>> {
        let mut header = MAGIC.to_vec();
        header.resize(MAGIC.len() + SALT, 0);
        SystemEntropy.fill(format_args!("aot-salt"), &mut header[MAGIC.len()..]);
        let key = self.key(&header[MAGIC.len()..], component)?;
        let tag = key.seal_in_place_separate_tag(once(), Aad::from(image), &mut []).ok()?;
        header.extend_from_slice(tag.as_ref());
        Some(header)
    }

    /// Writes a whole file or none: readers never see a part.
    fn write(&self, path: &Path, image: &[u8], component: Digest) -> std::io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let header = self.header(image, component).ok_or_else(|| std::io::Error::other("it could not be signed"))?;
        fs::create_dir_all(&self.folder)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}.part", std::process::id()));
        let mut file = fs::File::create(&unfinished)?;
        let written =
            file.write_all(&header).and_then(|()| file.write_all(image)).and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

/// The nonce of a key that is used once.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// A hasher that keeps what it is fed, so that it can be hashed for real.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
