//! The address of a witness: what must hold before anything is sent there.
//!
//! It must not show its query or anybody's password: either may be a secret.

use std::fmt;
use std::net::IpAddr;

use l9::gateway::Origin;

use crate::config::Problem;

/// An `https` address, or an `http` one of this machine.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    text: String,
    origin: Origin,
}

impl Address {
    /// Reads one. What a parser of addresses would silently repair is refused.
    ///
    /// # Errors
    /// For what is no such address.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let refused = |what: &str, help: &str| Err(Problem::new(format!("audit.witness {what}"), help));
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return refused("holds a blank, a control character or a backslash", "write it as one word");
        }
        if text.contains('@') {
            return refused("holds a user or password", "give a token in L9__AUDIT__WITNESS_TOKEN instead");
        }
        if text.contains('#') {
            return refused("has a fragment", "leave out what follows the #");
        }
        let scheme = text.split(':').next().unwrap_or_default();
        if !["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web)) {
            return refused(&format!("has the scheme {scheme}"), "use a path or an https:// address");
        }
        let Ok(origin) = Origin::of(text) else {
            return refused("is no address", "use a path, or an address such as https://witness.example/l9");
        };
        if !origin.is_secure() && !is_loopback(&origin) {
            return refused(
                &format!("is a plain http address of {}: others could read the token and answer for it", origin.host()),
                "use https://, or http:// with a loopback address such as http://127.0.0.1:9000",
            );
        }
        Ok(Self { text: text.to_owned(), origin })
    }

    /// What is connected to.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The whole, which may hold a secret.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A name could lead elsewhere, so it does not count.
fn is_loopback(origin: &Origin) -> bool {
    origin.host().trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for address in [
            "https://witness.example/l9?k=v",
            "http://127.0.0.1:9/",
            "http://[::1]:9/x",
            "http://127.9.9.9",
            "HTTPS://w",
        ] {
            assert!(Address::parse(address).is_ok(), "{address}");
        }
        for (address, word) in [
            ("http://witness.example/l9", "loopback"),
            ("http://localhost:9/", "loopback"),
            ("http://10.0.0.1/", "loopback"),
            ("http://0.0.0.0/", "loopback"),
            ("http://[::ffff:10.0.0.1]/", "loopback"),
            ("ftp://witness.example/", "ftp"),
            ("file:///etc/passwd", "file"),
            ("https://me:hunter2@witness.example/", "WITNESS_TOKEN"),
            ("https://@witness.example/", "WITNESS_TOKEN"),
            ("https://witness.example/#part", "fragment"),
            ("https://witness.exa\tmple/", "blank"),
            ("https:\\\\witness.example/", "backslash"),
            ("https://", "no address"),
        ] {
            let Problem { message, help } = Address::parse(address).unwrap_err();
            let told = format!("{message}; {}", help.unwrap_or_default());
            assert!(told.contains(word) && !told.contains("hunter2"), "{address}: {told}");
        }
    }

    #[test]
    fn an_address_does_not_show_its_query() {
        let address = Address::parse("https://witness.example/l9?key=hunter2").unwrap();
        assert_eq!(format!("{address} {address:?}"), "https://witness.example/l9 https://witness.example/l9");
        assert_eq!(address.as_str(), "https://witness.example/l9?key=hunter2", "and keeps it");
    }
}
