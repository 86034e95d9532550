//! What one holder may reach: an origin, and of it which methods and paths.

use std::net::IpAddr;

use l9_core::tool::NetGrant;
use l9_core::{Error, ErrorKind, Result};
use reqwest::Url;

use super::gateway::Gateway;
use super::origin::Origin;
use crate::error::Grouped;
use crate::percent::climbs;

/// One entry of an allow-list.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) origin: Origin,
    /// Its place in the manifest's `net`.
    at: usize,
    /// Every method if there is none.
    methods: Vec<String>,
    /// Ended at a segment; without the last `/`.
    path: String,
    pub(super) private: bool,
    pub(super) redirects: u32,
    /// Requests in one call.
    max_requests: u32,
    pub(super) max_response_bytes: u64,
}

impl Grant {
    /// Everything at an origin that an operator named.
    pub(super) fn whole(origin: Origin, private: bool) -> Self {
        let (methods, path) = (Vec::new(), String::new());
        Self {
            origin,
            at: 0,
            methods,
            path,
            private,
            redirects: 0,
            max_requests: u32::MAX,
            max_response_bytes: u64::MAX,
        }
    }

    /// What a manifest grants.
    ///
    /// # Errors
    /// `Invalid` when it names no origin.
    pub(super) fn of((at, net): (usize, &NetGrant)) -> Result<Self> {
        let port = net.port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            origin: format!("{}://{}{port}", net.scheme, net.host).parse()?,
            at,
            methods: net.methods.clone(),
            path: net.path_prefix.trim_end_matches('/').to_owned(),
            private: net.allow_private,
            redirects: net.redirects,
            max_requests: net.max_requests.unwrap_or(u32::MAX),
            max_response_bytes: net.max_response_bytes.unwrap_or(u64::MAX),
        })
    }

    fn covers(&self, method: &str, origin: &Origin, path: &str) -> bool {
        let below = || path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let open = self.path.is_empty() || !climbs(path);
        let method = || self.methods.is_empty() || self.methods.iter().any(|granted| granted == method);
        self.origin == *origin && method() && below() && open
    }

    /// The grant that covers a request.
    ///
    /// # Errors
    /// `Denied` when none does, or when its host is an address that is not public.
    pub(super) fn find<'a>(grants: &'a [Self], method: &str, url: &Url, gateway: &Gateway) -> Result<&'a Self> {
        let origin = Origin::of_url(url)?;
        let Some(grant) = grants.iter().find(|grant| grant.covers(method, &origin, url.path())) else {
            return Err(refused(grants, method, &origin, url.path()));
        };
        let literal = origin.host().trim_matches(['[', ']']).parse::<IpAddr>().ok();
        match literal.filter(|_| !grant.private).map(|address| gateway.check(address)) {
            Some(Err(private)) => Err(Error::new(ErrorKind::Denied, private.to_string())),
            _ => Ok(grant),
        }
    }
}

/// How many requests one call has sent under each grant.
#[derive(Debug, Default)]
pub(crate) struct Tally(Vec<u32>);

impl Tally {
    /// Counts a request under a grant, and tells how many more it has.
    ///
    /// # Errors
    /// `Denied` when it had no more.
    pub(super) fn count(&mut self, grant: &Grant) -> Result<u32> {
        let Grant { at, max_requests, .. } = *grant;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        let Some(left) = max_requests.checked_sub(self.0[at] + 1) else {
            let (origin, most) = (&grant.origin, Grouped(max_requests.into()));
            let message =
                format!("{most} requests were sent to {origin}, which is net[{at}].max_requests: ask for less");
            return Err(Error::new(ErrorKind::Denied, message));
        };
        self.0[at] += 1;
        Ok(left)
    }
}

fn refused(grants: &[Grant], method: &str, origin: &Origin, path: &str) -> Error {
    let message = if grants.iter().any(|grant| grant.origin == *origin) {
        format!("no grant in net covers {method} {origin}{path}: add its method and path there if it is meant")
    } else {
        let listed: Vec<String> = grants.iter().map(|grant| grant.origin.to_string()).collect();
        format!("{origin} is not an allowed origin: allowed are {}", listed.join(", "))
    };
    Error::new(ErrorKind::Denied, crate::log::printable(&message, 400))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(path_prefix: &str) -> Grant {
        let net = serde_json::json!({"scheme": "https", "host": "api.example.com", "methods": ["GET"], "path_prefix": path_prefix});
        Grant::of((0, &serde_json::from_value(net).unwrap())).unwrap()
    }

    fn covers(grant: &Grant, method: &str, url: &str) -> bool {
        Grant::find(
            std::slice::from_ref(grant),
            method,
            &super::super::target::parse(url).unwrap(),
            &Gateway::default(),
        )
        .is_ok()
    }

    #[test]
    fn a_path_ends_at_a_segment_and_never_leads_upwards() {
        let api = grant("/api/");
        for path in ["/api", "/api/", "/api/x?y=/../z", "/api/x%2Fy", "/api/...", "/api/%252f"] {
            assert!(covers(&api, "GET", &format!("https://api.example.com{path}")), "{path}");
        }
        for path in [
            "",
            "/api-evil",
            "/ap",
            "/API",
            "/api/../x",
            "/api/%2e%2e/x",
            "/api/..%2fx",
            "/api/%252e%252e%252fx",
            "/api/..;/x",
            "/api/x%5c..%5cy",
        ] {
            assert!(!covers(&api, "GET", &format!("https://api.example.com{path}")), "{path}");
        }
        assert!(
            covers(&grant("/"), "GET", "https://api.example.com/a/..%2fb")
                && !covers(&api, "POST", "https://api.example.com/api")
        );
    }

    #[test]
    fn the_scheme_the_host_and_the_port_are_exact() {
        let all = grant("/");
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com./",
            "https://xapi.example.com/",
            "https://api.example.com.evil.test/",
            "https://аpi.example.com/",
        ] {
            assert!(!covers(&all, "GET", url), "{url}");
        }
        assert!(covers(&all, "GET", "https://API.example.com:443/x"));
    }
}
