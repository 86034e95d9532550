//! Paths as guests write them: relative, plain, the same for every system.
//!
//! The kernel refuses what leaves a mount by itself; this says so before anything is
//! opened, in words, and keeps out what would mean something else elsewhere.

use crate::wasm::host::bindings::l9::tool::files::Error;

/// Bytes of a path.
const PATH_BYTES: usize = 1_024;
/// Bytes of a name, as the usual file systems have it.
const NAME_BYTES: usize = 255;
/// What a file is written under before it takes its name.
pub(super) const PART: &str = ".l9-part";
/// Names of a path.
const DEPTH: usize = 32;

/// A path within a mount.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inner<'a> {
    /// The whole path.
    pub(super) text: &'a str,
    /// The folder it stands in; empty for the mount itself.
    pub(super) folder: &'a str,
    /// Its last name.
    pub(super) name: &'a str,
}

impl<'a> Inner<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Error> {
        let names = text.split('/');
        let why = if text.len() > PATH_BYTES || names.clone().count() > DEPTH {
            Some(format!("has more than {PATH_BYTES} bytes or {DEPTH} names: use a shorter one"))
        } else if text.contains('\0') {
            Some("holds a NUL: remove it".to_owned())
        } else {
            names.clone().find_map(fault)
        };
        if let Some(why) = why {
            return Err(Error::InvalidPath(format!("the path {} {why}", shown(text))));
        }
        let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
        Ok(Self { text, folder, name })
    }
}

fn fault(name: &str) -> Option<String> {
    match name {
        "" => Some("has an empty name: write it like reports/may.txt, without / at either end".into()),
        "." | ".." => Some(format!("holds {name}: a path goes down from its mount only")),
        PART => Some(format!("holds {PART}, which is the host's own: use another name")),
        long if long.len() > NAME_BYTES => Some(format!("has a name of more than {NAME_BYTES} bytes: shorten it")),
        _ => None,
    }
}

/// A path in a message: foreign text.
pub(super) fn shown(path: &str) -> String {
    format!("\"{}\"", crate::log::printable(path, 200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for bad in
            ["", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", "a/..", "../../x", "a/.l9-part"]
        {
            assert!(matches!(Inner::parse(bad), Err(Error::InvalidPath(_))), "{bad:?}");
        }
        assert!(Inner::parse(&"a/".repeat(40)).is_err() && Inner::parse(&"a".repeat(256)).is_err());
        let path = Inner::parse("a/..b/c.txt").unwrap();
        assert_eq!((path.folder, path.name), ("a/..b", "c.txt"));
        assert_eq!(Inner::parse("one").map(|path| path.folder).unwrap(), "");
    }
}
