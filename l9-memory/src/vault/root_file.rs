//! The form of a root key file: version 2, lines that end with a newline.
//!
//! ```text
//! l9 root keys 2
//! file 1a2b3c4d                   which file this is: the id of its first key
//! tokens HEX                      what the tenants' token keys derive from
//! token TENANT HEX                the token key of one tenant, in place of that
//! key HEX MILLISECONDS            a root key and when it was made; the newest last, it seals
//! next HEX MILLISECONDS           the key that comes: it opens, and does not seal yet
//! bare                            the first key here was a file of version 1
//! end
//! ```
//!
//! Version 1 is a root key alone, 64 hex digits: token keys derive from that key itself.
//! Such a file stays as it is until its first rotation, which writes out the token keys of
//! the tenants there are.

use std::collections::BTreeMap;
use std::path::Path;

use l9_core::digest::hmac;
use l9_core::id::TenantId;
use l9_core::time::Timestamp;
use l9_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::key_file::{self, KeyFile};
use super::keyring::Key;

const HEADER: &str = "l9 root keys ";
const VERSION: u32 = 2;

/// A root key's id: 4 bytes that reveal nothing of it.
pub(crate) type KeyId = [u8; 4];

/// What a root key file says.
#[derive(Clone)]
pub(super) struct Contents {
    /// Which file this is: the id of the first key it ever held.
    pub(super) file: KeyId,
    /// What token keys derive from; the only root key itself in version 1.
    pub(super) tokens: Key,
    /// Token keys that derive from nothing that is kept.
    pub(super) given: BTreeMap<TenantId, Key>,
    /// The root keys, the one that seals last.
    pub(super) keys: Vec<RootKey>,
    /// The key that comes.
    pub(super) next: Option<RootKey>,
    /// Whether the first key was a file of version 1, so that the token key of a tenant
    /// that is not among those given may derive from it.
    pub(super) is_bare: bool,
    /// Whether this file is of version 1.
    pub(super) is_old: bool,
}

/// A root key and when it was made.
#[derive(Clone)]
pub(super) struct RootKey {
    pub(super) root: Key,
    /// Unknown for a key of version 1.
    pub(super) made_at: Option<Timestamp>,
}

impl RootKey {
    pub(super) fn id(&self) -> KeyId {
        let mut id = [0; 4];
        id.copy_from_slice(&hmac(&*self.root, &[b"l9.key-id.1"]).as_bytes()[..4]);
        id
    }
}

impl Contents {
    /// A first root key, and what tokens derive from.
    pub(super) fn new(now: Timestamp) -> Result<Self> {
        let key = RootKey { root: key_file::random()?, made_at: Some(now) };
        Ok(Self {
            file: key.id(),
            tokens: key_file::random()?,
            given: BTreeMap::new(),
            keys: vec![key],
            next: None,
            is_bare: false,
            is_old: false,
        })
    }

    /// What the file says; `None` if there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let Some(text) = key_file::text(file(path))? else { return Ok(None) };
        let Some(rest) = text.strip_prefix(HEADER) else {
            let root = key_file::key_of(text.trim_end())
                .ok_or_else(|| damaged(path, "it holds neither 64 hex digits nor the lines of one"))?;
            return Ok(Some(Self::bare(root)));
        };
        let (version, lines) = rest.split_once('\n').unwrap_or((rest, ""));
        match version.parse::<u32>() {
            Ok(VERSION) => Self::parse(lines).map(Some).map_err(|why| damaged(path, &why)),
            Ok(newer) if newer > VERSION => Err(Error::new(
                ErrorKind::Newer,
                format!(
                    "the root key file {} has form {newer}, this L9 knows up to {VERSION}: upgrade it",
                    path.display()
                ),
            )),
            _ => Err(damaged(path, "its version is none")),
        }
    }

    /// Makes the file, or reads that of another process that was first.
    pub(super) fn create(self, path: &Path) -> Result<Self> {
        if key_file::create_text(file(path), &self.text())? {
            return Ok(self);
        }
        Self::read(path)?.ok_or_else(|| damaged(path, "it went away"))
    }

    /// Puts this in the file's place.
    pub(super) fn replace(&self, path: &Path) -> Result<()> {
        key_file::replace_text(file(path), &self.text())
    }

    /// Whether the file would be the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        !self.is_old && !other.is_old && *self.text() == *other.text()
    }

    fn bare(root: Key) -> Self {
        let tokens = root.clone();
        let key = RootKey { root, made_at: None };
        Self {
            file: key.id(),
            tokens,
            given: BTreeMap::new(),
            keys: vec![key],
            next: None,
            is_bare: true,
            is_old: true,
        }
    }

    fn parse(lines: &str) -> Result<Self, String> {
        let (mut file, mut tokens, mut next, mut is_bare) = (None, None, None, false);
        let (mut given, mut keys) = (BTreeMap::new(), Vec::new());
        let whole = lines.strip_suffix("\nend\n").ok_or("its end is missing")?;
        for (at, line) in whole.split('\n').enumerate() {
            let wrong = || format!("its line {} cannot be read", at + 2);
            let words: Vec<&str> = line.split(' ').collect();
            let key = |digits: &str| key_file::key_of(digits).ok_or_else(wrong);
            let made = |digits: &str, at: &str| {
                let made_at =
                    if at == "-" { None } else { Some(Timestamp::from_millis(at.parse().map_err(|_| wrong())?)) };
                Ok::<_, String>(RootKey { root: key(digits)?, made_at })
            };
            match words[..] {
                ["file", id] if file.is_none() => {
                    let mut bytes = [0; 4];
                    hex::decode_to_slice(id, &mut bytes).map_err(|_| wrong())?;
                    file = Some(bytes);
                }
                ["tokens", digits] if tokens.is_none() => tokens = Some(key(digits)?),
                ["token", tenant, digits] => {
                    given.insert(TenantId::new(tenant).map_err(|_| wrong())?, key(digits)?);
                }
                ["key", digits, at] => keys.push(made(digits, at)?),
                ["next", digits, at] if next.is_none() => next = Some(made(digits, at)?),
                ["bare"] => is_bare = true,
                _ => return Err(wrong()),
            }
        }
        let (Some(file), Some(tokens), false) = (file, tokens, keys.is_empty()) else {
            return Err("a line is missing".to_owned());
        };
        Ok(Self { file, tokens, given, keys, next, is_bare, is_old: false })
    }

    fn text(&self) -> Zeroizing<String> {
        // With room for all of it, so that no copy is left behind by growing.
        let lines = 6 + self.given.len() + self.keys.len();
        let mut text = Zeroizing::new(String::with_capacity(lines * (64 + 160)));
        let mut line = |words: &[&str]| {
            text.push_str(&words.join(" "));
            text.push('\n');
        };
        let digits = |key: &Key| Zeroizing::new(hex::encode(**key));
        let at = |key: &RootKey| key.made_at.map_or_else(|| "-".to_owned(), |at| at.as_millis().to_string());
        line(&[HEADER.trim_end(), &VERSION.to_string()]);
        line(&["file", &hex::encode(self.file)]);
        line(&["tokens", &digits(&self.tokens)]);
        for (tenant, key) in &self.given {
            line(&["token", tenant.as_str(), &digits(key)]);
        }
        for key in &self.keys {
            line(&["key", &digits(&key.root), &at(key)]);
        }
        if let Some(key) = &self.next {
            line(&["next", &digits(&key.root), &at(key)]);
        }
        if self.is_bare {
            line(&["bare"]);
        }
        line(&["end"]);
        text
    }
}

/// Whether a root key file can be used, if there is one: where there is none, one is made.
///
/// # Errors
/// As [`super::Keyring::open`].
pub fn check_root_file(path: &Path) -> Result<()> {
    Contents::read(path).map(drop)
}

fn file(path: &Path) -> KeyFile<'_> {
    KeyFile { path, name: "root key" }
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::corrupt(format!("the root key file {} is damaged, {why}: restore it from its backup", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nothing_less_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let mut contents = Contents::new(Timestamp::from_millis(5)).unwrap();
        contents.given.insert(TenantId::new("acme").unwrap(), key_file::random().unwrap());
        contents.keys.insert(0, RootKey { root: key_file::random().unwrap(), made_at: None });
        contents.next = Some(RootKey { root: key_file::random().unwrap(), made_at: Some(Timestamp::from_millis(7)) });
        let contents = contents.create(&path).unwrap();
        let again = Contents::read(&path).unwrap().unwrap();
        assert_eq!(*again.text(), *contents.text());
        assert_eq!(again.keys[1].made_at, Some(Timestamp::from_millis(5)));
        let text = contents.text();
        for at in 0..text.len() {
            std::fs::write(&path, &text[..at]).unwrap();
            assert!(Contents::read(&path).is_err(), "cut at {at}");
        }
        std::fs::write(&path, text.replace("keys 2", "keys 3")).unwrap();
        assert_eq!(Contents::read(&path).err().unwrap().kind(), ErrorKind::Newer);
        std::fs::write(&path, text.replace("tokens", "bogus")).unwrap();
        let error = Contents::read(&path).err().unwrap();
        assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("line 3"), "{error}");
    }
}
