//! Who asks: settings, credentials in headers, tokens, the keys that check them, origins.
//!
//! Nothing here decides what a role may do: each route and frame says which it needs.

mod origins;
mod secret;
mod settings;

mod credentials;
mod issuer;
mod token;

mod authenticator;

pub(crate) use authenticator::{Authenticator, Caller, Ends, Refusal};
pub(crate) use credentials::SUBPROTOCOL;
pub(crate) use origins::Origins;
pub(crate) use secret::MEND;
pub(crate) use settings::Settings;
pub(crate) use token::mint;
