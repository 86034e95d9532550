//! An origin: scheme, host and port (RFC 6454), the unit of what may be reached.

use std::fmt;
use std::str::FromStr;

use l9_core::{Error, Result};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::target;

/// Where a request goes: scheme, host and port, each in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an absolute address; path and query are left out.
    ///
    /// # Errors
    /// `Invalid` when the address is not an absolute `http` or `https` one.
    pub fn of(address: &str) -> Result<Self> {
        Self::of_url(&target::parse(address)?)
    }

    pub(super) fn of_url(url: &Url) -> Result<Self> {
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), port }),
            _ => Err(Error::invalid("the address names no host: use https://host")),
        }
    }

    /// Whether connections to it need TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// The host, in lowercase; an IPv6 address stands in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme.as_str(), self.port) {
            ("https", 443) | ("http", 80) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

impl FromStr for Origin {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let url = target::parse(text)?;
        if url.path() != "/" || url.query().is_some() {
            return Err(Error::invalid(format!("{text:?} is not an origin: use scheme://host:port without a path")));
        }
        Self::of_url(&url)
    }
}

impl TryFrom<String> for Origin {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_in_its_normal_form() {
        let origin = Origin::of("https://API.example.com/v1/chat?x=1").unwrap();
        assert_eq!(origin, "https://api.example.com:443".parse().unwrap());
        assert_eq!(origin.to_string(), "https://api.example.com");
        assert_ne!(origin, "http://api.example.com".parse().unwrap());
        assert_ne!(origin, "https://api.example.com:8443".parse().unwrap());
        assert_ne!(origin, "https://api.example.com.".parse().unwrap(), "a trailing dot is another host");
        assert_eq!(Origin::of("http://0x7f.1:80/").unwrap().to_string(), "http://127.0.0.1");
        assert_eq!(Origin::of("http://[::1]:9/").unwrap().to_string(), "http://[::1]:9");
        assert!("https://api.example.com/v1".parse::<Origin>().is_err());
    }
}
