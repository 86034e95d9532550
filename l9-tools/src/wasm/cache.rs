//! Compiled components kept between starts.
//!
//! A file's name is the component's hash and the engine's compatibility hash; its body
//! is a header, a MAC and the code. Whatever does not verify is ignored, and written
//! anew after compiling: a cache can be deleted, copied or forged without harm.
//!
//! Format, version 1: 8 bytes `l9-aot.1`, 32 bytes HMAC-SHA-256 over `l9-aot.1`, the
//! component's SHA-256, the compatibility hash and the code, then the code.

use std::fmt;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use l9_core::digest::{Digest, hmac, sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::precompiled::{self, Verified};

const MAGIC: &[u8; 8] = b"l9-aot.1";
const HEADER: usize = MAGIC.len() + 32;
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
        let (header, image) = file.split_at_checked(HEADER)?;
        let expected = self.mac(image, component);
        // Hashing both under the key once more leaves nothing to learn from timing.
        let equal = hmac(&self.key, &[&header[MAGIC.len()..]]) == hmac(&self.key, &[expected.as_bytes()]);
        (header.starts_with(MAGIC) && equal).then(|| Verified::by_mac(image))
    }

    fn mac(&self, image: &[u8], component: Digest) -> Digest {
        hmac(&self.key, &[MAGIC, component.as_bytes(), self.compatibility.as_bytes(), image])
    }

    /// Writes a whole file or none: readers never see a part.
    fn write(&self, path: &Path, image: &[u8], component: Digest) -> std::io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(&self.folder)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}.part", std::process::id()));
        let mut file = fs::File::create(&unfinished)?;
        let written = file
            .write_all(MAGIC)
            .and_then(|()| file.write_all(self.mac(image, component).as_bytes()))
            .and_then(|()| file.write_all(image))
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
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
