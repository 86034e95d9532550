//! Who may use a secret, and where it may go: said by whoever has it, not by the manifest
//! that wants it.

use l9_core::id::ToolId;
use serde::{Deserialize, Serialize};

/// Which tools may use a secret, and to which hosts it may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Exact hosts in lowercase; `*` is any that a manifest names.
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
        Self { hosts: any(), tools: any() }
    }

    /// Whether that tool may have it sent to that host.
    #[must_use]
    pub fn allows(&self, tool: &ToolId, host: &str) -> bool {
        let names = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => {
                (beginning.is_empty() || beginning.ends_with('/')) && tool.as_str().starts_with(beginning)
            }
            None => pattern == tool.as_str(),
        };
        self.hosts.iter().any(|granted| granted == host || granted == "*") && self.tools.iter().any(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_names_tools_and_hosts() {
        let allows = |hosts: &str, tools: &str, tool: &str, host: &str| {
            let grant = Grant { hosts: vec![hosts.into()], tools: vec![tools.into()] };
            grant.allows(&tool.parse().unwrap(), host)
        };
        assert!(allows("a.test", "notes/add", "notes/add", "a.test"));
        assert!(allows("*", "notes/*", "notes/add", "b.test") && allows("a.test", "*", "notes/add", "a.test"));
        for (hosts, tools) in
            [("b.test", "*"), ("*.test", "*"), ("test", "*"), ("*", "notes/ad"), ("*", "note/*"), ("*", "no*")]
        {
            assert!(!allows(hosts, tools, "notes/add", "a.test"), "{hosts} {tools}");
        }
        assert!(Grant::anywhere().allows(&"x/y".parse().unwrap(), "z"));
    }
}
