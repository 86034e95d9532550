//! Servers of the Model Context Protocol.

use std::collections::BTreeMap;

use l9::mcp::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Servers of the Model Context Protocol, whose tools agents may be granted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Mcp {
    /// Each server by its name, which begins the ids of its tools.
    pub(crate) servers: BTreeMap<String, Settings>,
}

impl Mcp {
    /// What does not fit although its type does.
    pub(super) fn faults(&self) -> Vec<Problem> {
        let checked = self.servers.iter().filter_map(|(name, server)| server.check(name).err());
        checked.map(|error| Problem::plain(error.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::loader::Loader;

    fn load(yaml: &str) -> Result<super::super::loader::Loaded, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, yaml).unwrap();
        let loader = Loader {
            file: Some(file),
            dot_env: folder.path().join(".env"),
            environment: Vec::new(),
            flags: Vec::new(),
        };
        loader.load().map_err(|problems| problems.to_string())
    }

    const NOTES: &str = "
mcp:
  servers:
    notes:
      command: notes-server
      args: [--book, mine]
      env: { LANG: C.UTF-8 }
      secrets: { API_KEY: notes-key }
      tools: [add, list]
      overrides:
        list: { effect: read, output: { /structured/count: trusted } }
        add: { args: { /to: recipient, /book: target }, approval: always }
    far:
      url: https://mcp.example.org/mcp
      token: far-token
";

    #[test]
    fn servers_are_read_whole_with_the_handles_of_their_secrets() {
        let loaded = load(NOTES).unwrap();
        let servers = &loaded.config.mcp.servers;
        assert_eq!(servers["notes"].overrides["add"].args.len(), 2);
        assert_eq!(
            servers["notes"].handles().chain(servers["far"].handles()).collect::<Vec<_>>(),
            ["notes-key", "far-token"]
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let wrong = NOTES.replace("effect: read", "effect: raed");
        assert!(load(&wrong).unwrap_err().contains("mcp.servers.notes.overrides.list.effect"));
        let unknown = NOTES.replace("args: [--book, mine]", "arg: []");
        assert!(load(&unknown).unwrap_err().contains("mcp.servers.notes.arg"));
        let both = NOTES.replace("command: notes-server", "command: notes-server\n      url: https://a.example");
        assert!(load(&both).unwrap_err().contains("keep one of them"));
    }
}
