//! Secrets in a folder that has a file for each, as container platforms mount them.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use l9_core::{Error, Result};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::provider::{Provider, is_handle};

/// The longest secret, in bytes.
const LONGEST: u64 = 64 << 10;

/// A folder of files that are named like the handles.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The files of that folder, which need not be there.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }
}

impl Provider for Folder {
    fn get(&self, handle: &str) -> Result<Option<SecretString>> {
        if !is_handle(handle) {
            return Ok(None);
        }
        let path = self.0.join(handle);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| unreadable(&path, error))?,
        };
        owners_alone(&path, &file)?;
        let mut text = Zeroizing::new(String::new());
        let read =
            file.by_ref().take(LONGEST + 1).read_to_string(&mut text).map_err(|error| unreadable(&path, error))?;
        if read as u64 > LONGEST {
            return Err(Error::invalid(format!("{} is longer than {LONGEST} bytes: it is no secret", path.display())));
        }
        // Editors end a file with a line break.
        let value = text.trim();
        if value.is_empty() {
            return Err(Error::invalid(format!("{} is empty: write the secret into it", path.display())));
        }
        Ok(Some(SecretString::from(value)))
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be read: make it a text file that this user may read", path.display()))
        .caused_by(error)
}

/// Refuses a file that everybody on the machine may read.
#[cfg(unix)]
pub(super) fn owners_alone(path: &Path, file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let shown = path.display();
        return Err(Error::invalid(format!(
            "{shown} has mode {mode:03o}, so that everybody may read it: chmod 600 {shown}"
        )));
    }
    Ok(())
}

/// Other systems have other permissions, which are the operator's to set.
#[cfg(not(unix))]
pub(super) fn owners_alone(_: &Path, _: &File) -> Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_its_owners_alone_and_no_other_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let provider = Folder::at(folder.path().join("secrets"));
        assert!(provider.get("key").unwrap().is_none());
        fs::create_dir(folder.path().join("secrets")).unwrap();
        let path = folder.path().join("secrets/key");
        fs::write(&path, "hunter2-hunter2\n").unwrap();
        fs::write(folder.path().join("outside"), "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = provider.get("key").unwrap_err().to_string();
        assert!(error.contains("mode 644") && error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(provider.get("key").unwrap().unwrap().expose_secret(), "hunter2-hunter2");
        assert!(provider.get("../outside").unwrap().is_none() && provider.get("KEY").unwrap().is_none());
        fs::write(&path, " \n").unwrap();
        assert!(provider.get("key").unwrap_err().to_string().contains("is empty"));
    }
}
