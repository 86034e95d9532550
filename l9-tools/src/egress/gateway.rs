//! What every way out of a process shares: how names are looked up, which addresses are
//! public, and the connections that are kept.
//!
//! A name is looked up once for a connection, and the connection is made to the very
//! addresses that were looked at; so a name cannot answer otherwise between the check and
//! the connection. It must not follow redirects, use proxies from the environment, or keep
//! cookies.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::{Error, Result};
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

use super::address::special;
use crate::headers::is_the_hosts;

/// Looks names up.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// Every address of that host.
    ///
    /// # Errors
    /// When the name cannot be looked up.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// Where a connection to an address that may be connected to is made: there. A test
    /// whose internet is a few servers on loopback says where each address is.
    fn route(&self, address: IpAddr) -> IpAddr {
        address
    }
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl Resolver for System {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// What a gateway goes by. Another than the default is only for tests, to show that an attack
/// gets through without one of them.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Why an address is not public; nothing if it is.
    pub address: fn(IpAddr) -> Option<&'static str>,
    /// Whether the host alone writes a header of that name.
    pub header: fn(&str) -> bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { address: special, header: is_the_hosts }
    }
}

/// The cause of an error that is an address which is not public.
#[derive(Debug, thiserror::Error)]
#[error("{address} is not a public address ({why}): write allow_private: true in the grant if it is meant")]
pub(super) struct Private {
    pub(super) address: IpAddr,
    pub(super) why: &'static str,
}

/// What every way out of a process shares; a clone is the same gateway.
#[derive(Clone)]
pub struct Gateway {
    resolver: Arc<dyn Resolver>,
    rules: Rules,
    clients: Arc<Mutex<HashMap<Kind, Client>>>,
}

/// What connections have alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// Whether they may go to addresses that are not public.
    pub(super) private: bool,
    /// Whether any of them needs TLS.
    pub(super) tls: bool,
    /// The longest wait for one, name lookup and TLS included.
    pub(super) connect: Duration,
    /// How long one that is not used is kept.
    pub(super) keep: Duration,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new(Arc::new(System))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway that looks names up so.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, rules: Rules::default(), clients: Arc::default() }
    }

    /// Goes by other rules; only for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, clients: Arc::default(), ..self }
    }

    /// What it goes by.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Checks an address that stands in a request as it is.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Private> {
        (self.rules.address)(address).map_or(Ok(()), |why| Err(Private { address, why }))
    }

    /// The connections of that kind; nothing is connected to yet.
    pub(super) fn client(&self, kind: Kind) -> Result<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = self.build(kind)?;
        clients.insert(kind, client.clone());
        Ok(client)
    }

    fn build(&self, kind: Kind) -> Result<Client> {
        let names = Names { resolver: Arc::clone(&self.resolver), rule: self.rules.address, private: kind.private };
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(kind.connect)
            .pool_idle_timeout(kind.keep)
            .dns_resolver(names);
        if !kind.tls {
            // Without TLS there is no need for the machine's root certificates.
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|error| {
            Error::invalid("no TLS for outgoing requests: install the system's root certificates (ca-certificates)")
                .caused_by(error)
        })
    }
}

/// Looks names up for one kind of connections.
struct Names {
    resolver: Arc<dyn Resolver>,
    rule: fn(IpAddr) -> Option<&'static str>,
    private: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, rule, private) = (Arc::clone(&self.resolver), self.rule, self.private);
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await?;
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            for address in found.iter().copied().filter(|_| !private) {
                if let Some(why) = rule(address) {
                    return Err(Private { address, why }.into());
                }
            }
            let routed: Vec<SocketAddr> =
                found.into_iter().map(|address| (resolver.route(address), 0).into()).collect();
            Ok(Box::new(routed.into_iter()) as Addrs)
        })
    }
}
