//! Keys: the root keys' file, the keys derived from them, and sealing under them.

mod columns;
mod key_file;
mod keyring;
mod root_file;
mod rotation;
mod sealed;
mod signing_key;
mod subject;

pub(crate) use columns::{COLUMNS, Dialect, Part, mark, vector_place};
pub use columns::{Column, Resealed, Row};
pub use keyring::{KeyInfo, Keyring, Use};
pub(crate) use root_file::KeyId;
pub use root_file::check_root_file;
pub use rotation::{Beside, KeyUse, Keys, Rotated, SealedRows, SeenKey, Step};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use sealed::subject_keys;
pub use signing_key::{open as open_signing_key, open_or_create as open_or_create_signing_key};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use subject::SubjectKeys;
