//! Tool names as wires spell them, and the way back.
//!
//! Wires allow 64 characters of `[a-zA-Z0-9_-]`. Two ids whose spellings collide, or one
//! that is too long, get a spelling that ends in a hash of the id, so that every name
//! leads back to exactly one tool.

use std::collections::BTreeMap;

use l9_core::digest::sha256;
use l9_core::model::ToolSpec;

const LONGEST: usize = 64;
const HASH: usize = 8;

/// The names of one request's tools.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    to_id: BTreeMap<String, String>,
    to_wire: BTreeMap<String, String>,
}

impl Names {
    pub(super) fn of(tools: &[ToolSpec]) -> Self {
        let mut names = Self::default();
        for tool in tools {
            let plain = tool.wire_name();
            let taken = names.to_id.get(&plain).is_some_and(|id| id != tool.id.as_str());
            let wire = if taken || plain.len() > LONGEST { hashed(&plain, tool.id.as_str()) } else { plain };
            names.to_id.insert(wire.clone(), tool.id.as_str().to_owned());
            names.to_wire.insert(tool.id.as_str().to_owned(), wire);
        }
        names
    }

    /// The tool a model means; a name it was never told stays as the model wrote it.
    pub(super) fn id(&self, wire: &str) -> String {
        self.to_id.get(wire).map_or(wire, String::as_str).to_owned()
    }

    /// The spelling of a tool, also of one that is no longer offered or never was.
    pub(super) fn wire(&self, id: &str) -> String {
        self.to_wire.get(id).cloned().unwrap_or_else(|| {
            let plain =
                id.replace('/', "__").replace(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-', "_");
            match plain.len() {
                0 => "unnamed".to_owned(),
                1..=LONGEST => plain,
                _ => hashed(&plain, id),
            }
        })
    }
}

fn hashed(plain: &str, id: &str) -> String {
    let hash = sha256(&[b"l9.tool-name.1\0", id.as_bytes()]).to_string();
    let kept: String = plain.chars().take(LONGEST - HASH - 1).collect();
    format!("{kept}_{}", &hash[..HASH])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(id: &str) -> ToolSpec {
        ToolSpec { id: id.parse().unwrap(), description: String::new(), input_schema: json!({}) }
    }

    #[test]
    fn every_spelling_leads_back_to_one_tool() {
        let long = format!("{}/{}", "n".repeat(64), "t".repeat(64));
        let ids = ["web/search", "a.b/c", "a_b/c", "a/b", "a__b/c", long.as_str()];
        let names = Names::of(&ids.map(spec));
        for id in ids {
            let wire = names.wire(id);
            assert!(
                wire.len() <= LONGEST && wire.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)),
                "{wire}"
            );
            assert_eq!(names.id(&wire), id);
        }
        assert_eq!(names.wire("web/search"), "web__search");
    }

    #[test]
    fn a_name_the_model_made_up_stays_visible_and_is_sent_back_in_a_legal_spelling() {
        let names = Names::of(&[spec("web/search")]);
        assert_eq!(names.id("rm -rf /"), "rm -rf /");
        assert_eq!(names.wire("rm -rf /"), "rm_-rf___");
        assert_eq!(names.wire(""), "unnamed");
    }
}
