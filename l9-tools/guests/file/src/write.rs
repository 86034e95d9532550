//! `file/write`: a whole file, made or replaced.
//!
//! The same call again finds what it wrote and changes nothing, so it may be repeated.

use serde::{Deserialize, Serialize};

use crate::folder::{Error, Folder, Kind};
use crate::invoke::{Encoding, Fault};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    mount: String,
    path: String,
    content: String,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default)]
    replace: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Written {
    path: String,
    /// Bytes of the file.
    size: u64,
    /// Whether a file stood there before.
    replaced: bool,
}

pub(crate) fn write(folder: &dyn Folder, asked: Asked) -> Result<Written, Fault> {
    let Asked { mount, path, content, encoding, replace } = asked;
    let contents = encoding.decode(content)?;
    let size = contents.len() as u64;
    let replaced = match folder.stat(&mount, &path) {
        Ok(entry) if entry.kind != Kind::File => {
            return Err(Fault::InvalidInput(format!("{path:?} is there and no file: choose another path")));
        }
        Ok(entry) if entry.size == size && holds(folder, &mount, &path, &contents)? => {
            return Ok(Written { path, size, replaced: false });
        }
        Ok(_) if !replace => {
            let mend = "set replace to write over it, or choose another path";
            return Err(Fault::InvalidInput(format!("{path:?} is there already and holds something else: {mend}")));
        }
        Ok(_) => true,
        Err(Error::NotFound(_)) => {
            make_folders(folder, &mount, &path)?;
            false
        }
        Err(error) => return Err(error.into()),
    };
    folder.write(&mount, &path, &contents)?;
    Ok(Written { path, size, replaced })
}

/// Whether a file holds these very bytes.
fn holds(folder: &dyn Folder, mount: &str, path: &str, contents: &[u8]) -> Result<bool, Error> {
    let mut at = 0;
    while at < contents.len() {
        let left = u32::try_from(contents.len() - at).unwrap_or(u32::MAX);
        let part = folder.read(mount, path, at as u64, left)?;
        if part.is_empty() || contents.get(at..at + part.len()) != Some(part.as_slice()) {
            return Ok(false);
        }
        at += part.len();
    }
    Ok(true)
}

/// Makes the folders that a path goes through, as far as they are not there.
fn make_folders(folder: &dyn Folder, mount: &str, path: &str) -> Result<(), Error> {
    for (at, _) in path.match_indices('/') {
        match folder.stat(mount, &path[..at]) {
            Ok(_) => {}
            Err(Error::NotFound(_)) => match folder.make_folder(mount, &path[..at]) {
                // Somebody else made it in between.
                Ok(()) | Err(Error::Exists(_)) => {}
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
