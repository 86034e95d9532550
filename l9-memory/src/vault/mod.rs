//! Keys: the root key's file, the keys derived from it, and sealing under them.

mod key_file;
mod keyring;
mod sealed;
mod signing_key;

pub use keyring::Keyring;
pub use signing_key::{open as open_signing_key, open_or_create as open_or_create_signing_key};
