//! Questions about a document that they name, told from all others by their form alone: an
//! address of the web, or a file or folder of a mount that the tools say there is. Anything
//! else is no such question.

use serde_json::{Value, json};

use super::message::{Passage, ToolSpec};

const FETCH: &str = "web/fetch";
const READ: &str = "file/read";
const LIST: &str = "file/list";

/// A question about a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DocumentQuestion {
    /// What stands at an address: the address, and the question without it.
    Page(String, String),
    /// What a file of a mount holds.
    File(String, String),
    /// What a folder of a mount holds.
    Folder(String, String),
}

impl DocumentQuestion {
    /// The question of a text, if it is one that these tools answer.
    pub(super) fn of(text: &str, tools: &[ToolSpec]) -> Option<Self> {
        let tool = |id: &str| tools.iter().find(|spec| spec.id.as_str() == id);
        let words: Vec<&str> = text.split_whitespace().collect();
        if tool(FETCH).is_some()
            && let Some((url, rest)) = page(&words)
        {
            return Some(Self::Page(url, rest));
        }
        let (last, words) = words.split_last()?;
        let mount = last.trim_end_matches(['?', '.', '!']);
        let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match lower.as_slice() {
            ["list", "files", "in" | "of"]
            | ["list", "the", "files", "in" | "of"]
            | ["what" | "which", "files", "are", "in" | "of"]
                if lends(tool(LIST), mount) =>
            {
                Some(Self::Folder(mount.to_owned(), String::new()))
            }
            ["list", "the", "folder", _, "of" | "in"] | ["list", "folder", _, "of" | "in"]
                if lends(tool(LIST), mount) =>
            {
                Some(Self::Folder(mount.to_owned(), words[words.len() - 2].to_owned()))
            }
            ["show" | "read", "the", "file", _, "of" | "in"] | ["show" | "read", "file", _, "of" | "in"]
                if lends(tool(READ), mount) =>
            {
                Some(Self::File(mount.to_owned(), words[words.len() - 2].to_owned()))
            }
            _ => None,
        }
    }

    /// The tool that answers it.
    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::Page(..) => FETCH,
            Self::File(..) => READ,
            Self::Folder(..) => LIST,
        }
    }

    /// What the tool is asked.
    pub(super) fn arguments(&self) -> Value {
        match self {
            Self::Page(url, _) => json!({"url": url}),
            Self::File(mount, path) | Self::Folder(mount, path) => json!({"mount": mount, "path": path}),
        }
    }

    /// The words of a page or a file, if it has any.
    pub(super) fn found(&self, content: &Value) -> Option<Passage> {
        let (source, text) = match self {
            Self::Page(url, _) => (url.clone(), content.get("text")),
            Self::File(mount, path) => (format!("{mount}:{path}"), content.get("content")),
            Self::Folder(..) => return None,
        };
        let text = text.and_then(Value::as_str).unwrap_or_default();
        (!text.trim().is_empty()).then(|| Passage { source, position: String::new(), text: text.to_owned() })
    }

    /// A folder's entries, a line for each.
    pub(super) fn listed(&self, content: &Value) -> Option<String> {
        let Self::Folder(mount, path) = self else { return None };
        let entries = content.get("entries").and_then(Value::as_array)?;
        let lines = entries.iter().map(|entry| {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            match text("kind") {
                "file" => format!("{} ({} bytes)", text("name"), entry.get("size").unwrap_or(&Value::Null)),
                "folder" => format!("{}/", text("name")),
                _ => text("name").to_owned(),
            }
        });
        let lines: Vec<String> = lines.collect();
        Some(if lines.is_empty() { format!("{mount}:{path} holds nothing.") } else { lines.join("\n") })
    }
}

/// The first address, and the words around it.
fn page(words: &[&str]) -> Option<(String, String)> {
    let address = |word: &&str| {
        let bare = word.trim_matches(['(', ')', '<', '>', '"', '\'', '“', '”', ',', '.', ';', ':', '!', '?']);
        let host = bare.strip_prefix("https://").or_else(|| bare.strip_prefix("http://"))?;
        (!host.is_empty()).then(|| bare.to_owned())
    };
    let (at, url) = words.iter().enumerate().find_map(|(at, word)| Some((at, address(word)?)))?;
    let around: Vec<&str> = words.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, word)| *word).collect();
    Some((url, around.join(" ")))
}

/// Whether a tool has a mount of that name.
fn lends(tool: Option<&ToolSpec>, mount: &str) -> bool {
    let names = tool.and_then(|spec| spec.input_schema.pointer("/properties/mount/enum")).and_then(Value::as_array);
    names.is_some_and(|names| names.iter().any(|name| name == mount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ToolId;

    fn tools() -> Vec<ToolSpec> {
        let input_schema = json!({"properties": {"mount": {"enum": ["work", "manuals"]}}});
        let spec = |id| ToolSpec {
            id: ToolId::new(id).unwrap(),
            description: String::new(),
            input_schema: input_schema.clone(),
        };
        [FETCH, READ, LIST].map(spec).into()
    }

    #[test]
    fn questions_about_documents_are_told_by_their_form() {
        let page = |url: &str, rest: &str| Some(DocumentQuestion::Page(url.into(), rest.into()));
        let file = |mount: &str, path: &str| Some(DocumentQuestion::File(mount.into(), path.into()));
        let folder = |mount: &str, path: &str| Some(DocumentQuestion::Folder(mount.into(), path.into()));
        for (question, wanted) in [
            (
                "When was it dredged, says https://x.org/a?b=c#d?",
                page("https://x.org/a?b=c#d", "When was it dredged, says"),
            ),
            ("What does (http://x.org:8080/) say?", page("http://x.org:8080/", "What does say?")),
            ("List the files in work.", folder("work", "")),
            ("what files are in manuals?", folder("manuals", "")),
            ("List the folder reports/May of work", folder("work", "reports/May")),
            ("Show the file reports/May.txt of work", file("work", "reports/May.txt")),
            ("read file rules.txt in manuals", file("manuals", "rules.txt")),
            // No address, no such mount, no such form.
            ("What does x.org say?", None),
            ("Is https:// a scheme?", None),
            ("List the files in Velmora", None),
            ("List the ships in work", None),
            ("List the in work", None),
            ("Show the file rules.txt of the harbour", None),
            ("What is in work?", None),
            ("work", None),
            ("", None),
        ] {
            assert_eq!(DocumentQuestion::of(question, &tools()), wanted, "{question}");
            assert_eq!(DocumentQuestion::of(question, &[]), None, "{question}");
        }
    }
}
