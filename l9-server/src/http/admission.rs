//! How requests are let in: who authenticates them, from which origins they may come, and
//! how many there may be.

use std::net::SocketAddr;
use std::sync::Arc;

use l9::{Error, ErrorKind, Result};

use super::requests::Requests;
use crate::auth::{Authenticator, Origins};

/// How requests are let in. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission {
    /// Checks tokens; without it everybody is the local principal.
    pub(crate) authenticator: Option<Arc<Authenticator>>,
    /// The web origins, besides the server's own, whose pages may ask.
    pub(crate) origins: Origins,
    /// Counts what senders send; without it they may send as much as they like.
    pub(crate) requests: Option<Arc<Requests>>,
}

impl Admission {
    /// Checks that an address may be served.
    ///
    /// # Errors
    /// `Denied` for one that others can reach, when nobody is asked who they are.
    pub(super) fn permits(&self, address: SocketAddr) -> Result<()> {
        if address.ip().is_loopback() || self.authenticator.is_some() {
            return Ok(());
        }
        let message = format!("{address} is not loopback: without authentication L9 serves 127.0.0.1 or [::1] only");
        Err(Error::new(ErrorKind::Denied, message))
    }
}
