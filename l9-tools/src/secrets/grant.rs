//! Who may use a secret, and where it may go: said by whoever has it, not by the manifest
//! that wants it.

use std::net::IpAddr;

use l9_core::id::ToolId;
use serde::{Deserialize, Serialize};

/// Which tools may use a secret, and to which hosts it may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Exact hosts in lowercase; `*` is any that a manifest names. A secret goes there over
    /// TLS only, unless the host is written with `http://` before it or is a loopback address, which
    /// is written bare.
    pub hosts: Vec<String>,
    /// Tools by their ids, `namespace/*`, or `*` for any.
    #[serde(default = "any")]
    pub tools: Vec<String>,
}

fn any() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Grant {
    /// For whichever tool and host a manifest names.
    #[must_use]
    pub fn anywhere() -> Self {
        Self { hosts: vec!["*".to_owned(), "http://*".to_owned()], tools: any() }
    }

    /// For no tool that a manifest declares: only for what the operator's own settings name it
    /// for.
    #[must_use]
    pub fn nobody() -> Self {
        Self { hosts: Vec::new(), tools: Vec::new() }
    }

    /// Whether that tool may have it sent to that host; `plain` is whether some of the ways
    /// there are without TLS.
    #[must_use]
    pub fn allows(&self, tool: &ToolId, host: &str, plain: bool) -> bool {
        let names = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => {
                (beginning.is_empty() || beginning.ends_with('/')) && tool.as_str().starts_with(beginning)
            }
            None => pattern == tool.as_str(),
        };
        let named = |granted: &str| granted == host || granted == "*";
        // Nobody listens on the way to this machine itself.
        let bare = !plain || is_loopback(host);
        let to = |granted: &String| {
            (bare && named(granted)) || (plain && granted.strip_prefix("http://").is_some_and(named))
        };
        self.hosts.iter().any(to) && self.tools.iter().any(names)
    }
}

/// A name could lead elsewhere, so it does not count.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_names_tools_and_hosts() {
        let allows = |hosts: &str, tools: &str, tool: &str, host: &str| {
            let grant = Grant { hosts: vec![hosts.into()], tools: vec![tools.into()] };
            grant.allows(&tool.parse().unwrap(), host, false)
        };
        assert!(allows("a.test", "notes/add", "notes/add", "a.test"));
        assert!(allows("*", "notes/*", "notes/add", "b.test") && allows("a.test", "*", "notes/add", "a.test"));
        for (hosts, tools) in
            [("b.test", "*"), ("*.test", "*"), ("test", "*"), ("*", "notes/ad"), ("*", "note/*"), ("*", "no*")]
        {
            assert!(!allows(hosts, tools, "notes/add", "a.test"), "{hosts} {tools}");
        }
        assert!(Grant::anywhere().allows(&"x/y".parse().unwrap(), "z", false));
    }

    #[test]
    fn a_secret_goes_in_clear_only_where_whoever_has_it_says_so() {
        let plain = |hosts: &str, host: &str| {
            let grant = Grant { hosts: vec![hosts.into()], tools: any() };
            grant.allows(&"notes/add".parse().unwrap(), host, true)
        };
        assert!(!plain("a.test", "a.test") && !plain("*", "a.test") && !plain("http://b.test", "a.test"));
        assert!(plain("http://a.test", "a.test") && plain("http://*", "a.test"));
        assert!(plain("127.0.0.1", "127.0.0.1") && plain("[::1]", "[::1]") && !plain("localhost", "localhost"));
        assert!(plain("http://127.0.0.1", "127.0.0.1") && !plain("http://127.0.0.1", "127.0.0.2"));
        assert!(Grant::anywhere().allows(&"x/y".parse().unwrap(), "z", true));
        assert!(!Grant::nobody().allows(&"x/y".parse().unwrap(), "z", true));
    }
}
