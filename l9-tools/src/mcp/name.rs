//! Ids of tools from the names that a server gave them.
//!
//! An id is lowercase ASCII. A name that fits is its own id but for its case; any other is
//! spelt with `-` and ends with a part of its SHA-256, so that two of them do not share one but
//! by intent; a list that has an id twice has neither.

use l9_core::digest::sha256;
use l9_core::id::ToolId;

/// Bytes of a tool's name.
const NAME_BYTES: usize = 128;
/// Characters of an id's second half.
const WORD: usize = 64;
/// Hexadecimal digits that tell spelt names apart.
const DIGITS: usize = 16;

/// The id of a tool, or why its name is refused.
pub(super) fn id(server: &str, name: &str) -> Result<ToolId, String> {
    if let Some(hidden) = name.chars().find(|character| !crate::log::is_plain(*character)) {
        return Err(format!("its name holds the invisible character U+{:04X}", u32::from(hidden)));
    }
    if name.is_empty() || escaped(name).len() > NAME_BYTES {
        return Err(format!("its name has {} bytes: 1 to {NAME_BYTES} are taken", escaped(name).len()));
    }
    ToolId::new(format!("{server}/{}", name.to_ascii_lowercase()))
        .or_else(|_| ToolId::new(format!("{server}/{}", spelt(name))))
        .map_err(|error| error.to_string())
}

/// What of a name can be written in an id, and a part of the name's hash.
fn spelt(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let words: String = name.chars().map(fits).take(WORD - DIGITS - 1).collect();
    let hash = sha256(&[b"l9.mcp.name.1\0", name.as_bytes()]).to_string();
    let words = words.trim_start_matches(['-', '_']);
    let words = if words.is_empty() { "tool" } else { words };
    format!("{words}.{}", &hash[..DIGITS])
}

/// A name as a manifest holds it: printable ASCII, all else percent-encoded.
pub(super) fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'%' => "%25".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}

/// What people take a name for, whatever its case.
pub(super) fn look(name: &str) -> String {
    name.to_lowercase().replace(['/', '.', '-', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> String {
        id("notes", name).unwrap().to_string()
    }

    #[test]
    fn a_name_that_fits_is_its_own_id() {
        assert_eq!(of("add"), "notes/add");
        assert_eq!(of("getUser"), "notes/getuser");
        assert_eq!(of("fs.read_file-2"), "notes/fs.read_file-2");
    }

    #[test]
    fn names_that_do_not_fit_never_share_an_id() {
        let long = "x".repeat(100);
        let names = ["a/b", "a b", "a:b", "ä", "é", "-a", long.as_str(), "x".repeat(101).as_str()].map(of);
        let mut apart = names.to_vec();
        apart.sort();
        apart.dedup();
        assert_eq!(apart.len(), names.len(), "{names:?}");
        assert!(names[0].starts_with("notes/a-b."), "{names:?}");
        assert!(names[3].starts_with("notes/tool."), "{names:?}");
    }

    #[test]
    fn a_name_with_something_hidden_is_refused() {
        for name in ["pay\u{200b}", "\u{202e}yap", "a\nb", "a\0", "", &"x".repeat(129), &"ä".repeat(30)] {
            assert!(id("notes", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_manifest_names_what_is_called() {
        assert_eq!(escaped("add"), "add");
        assert_eq!(escaped("50% é"), "50%25%20%C3%A9");
        assert_eq!(look("Get-User"), look("get_user"));
    }
}
