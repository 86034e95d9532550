//! The component's export: hands the call to plain Rust over the host's files, and maps errors.

mod bindings {
    //! Generated from the WIT world.
    wit_bindgen::generate!({ path: "../../wit", world: "full" });
}

use bindings::l9::tool::files;
use bindings::{Call, Fault, Guest};

use crate::folder::{Entry, Error, Folder, Kind};

struct Tool;

impl Guest for Tool {
    fn invoke(call: Call) -> Result<String, Fault> {
        crate::invoke(&Host, &call.tool, &call.input).map_err(|fault| match fault {
            crate::Fault::InvalidInput(message) => Fault::InvalidInput(message),
            crate::Fault::Failed(message) => Fault::Failed(message),
        })
    }
}

bindings::export!(Tool with_types_in bindings);

/// The mounts that the manifest grants.
struct Host;

impl Folder for Host {
    fn stat(&self, mount: &str, path: &str) -> Result<Entry, Error> {
        Ok(entry(files::stat(mount, path)?))
    }

    fn list(&self, mount: &str, path: &str) -> Result<Vec<Entry>, Error> {
        Ok(files::list(mount, path)?.into_iter().map(entry).collect())
    }

    fn read(&self, mount: &str, path: &str, offset: u64, most: u32) -> Result<Vec<u8>, Error> {
        Ok(files::read(mount, path, offset, most)?)
    }

    fn write(&self, mount: &str, path: &str, contents: &[u8]) -> Result<(), Error> {
        Ok(files::write(mount, path, contents)?)
    }

    fn make_folder(&self, mount: &str, path: &str) -> Result<(), Error> {
        Ok(files::make_folder(mount, path)?)
    }
}

fn entry(entry: files::Entry) -> Entry {
    let kind = match entry.kind {
        files::Kind::File => Kind::File,
        files::Kind::Folder => Kind::Folder,
        files::Kind::Other => Kind::Other,
    };
    Entry { name: entry.name, kind, size: entry.size }
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::NotFound(message) => Self::NotFound(message),
            files::Error::Exists(message) => Self::Exists(message),
            files::Error::InvalidPath(message) | files::Error::NotFitting(message) => Self::InvalidPath(message),
            files::Error::Denied(message) | files::Error::NoSpace(message) | files::Error::Failed(message) => {
                Self::Failed(message)
            }
        }
    }
}
