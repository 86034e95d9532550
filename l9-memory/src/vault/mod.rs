//! Keys: the root key's file, the keys derived from it, and sealing under them.

mod keyring;
mod root_key;
mod sealed;

pub use keyring::Keyring;
