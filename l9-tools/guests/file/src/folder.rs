//! A mount as these tools see it: what the host's interface `files` offers.

use serde::Serialize;

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, a socket, a device: it cannot be opened.
    Other,
}

/// A name and what stands under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file; 0 for anything else.
    pub size: u64,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Nothing stands under that path.
    NotFound(String),
    /// Something stands there already.
    Exists(String),
    /// The text is no path.
    InvalidPath(String),
    /// Anything else, in words.
    Failed(String),
}

/// The files of the mounts that the manifest grants.
pub trait Folder {
    /// What stands under a path.
    ///
    /// # Errors
    /// [`Error::NotFound`], and what the host says.
    fn stat(&self, mount: &str, path: &str) -> Result<Entry, Error>;

    /// What a folder holds, by name.
    ///
    /// # Errors
    /// What the host says.
    fn list(&self, mount: &str, path: &str) -> Result<Vec<Entry>, Error>;

    /// At most so many bytes from an offset on; fewer only where the file ends or the host
    /// gives no more at once.
    ///
    /// # Errors
    /// What the host says.
    fn read(&self, mount: &str, path: &str, offset: u64, most: u32) -> Result<Vec<u8>, Error>;

    /// Makes a file, or replaces all of it.
    ///
    /// # Errors
    /// What the host says.
    fn write(&self, mount: &str, path: &str, contents: &[u8]) -> Result<(), Error>;

    /// Makes a folder in one that is there.
    ///
    /// # Errors
    /// [`Error::Exists`], and what the host says.
    fn make_folder(&self, mount: &str, path: &str) -> Result<(), Error>;
}
