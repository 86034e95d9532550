//! Reads one field of a flat JSON object without a JSON library, to keep the component small.
//!
//! Good enough for test inputs that the host wrote itself; not a parser for anything else.

/// The unsigned number stored under `key`.
pub fn number_field(input: &str, key: &str) -> Option<u64> {
    let rest = after_key(input, key)?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    rest[..digits].parse().ok()
}

/// The string stored under `key`, its simple escapes undone.
pub fn text_field(input: &str, key: &str) -> Option<String> {
    let mut rest = after_key(input, key)?.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

fn after_key<'a>(input: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = input.split_once(&format!("\"{key}\""))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_of_a_flat_object() {
        let input = r#"{"bytes":1024,"message":"a \"b\"\n"}"#;
        assert_eq!(number_field(input, "bytes"), Some(1024));
        assert_eq!(text_field(input, "message").as_deref(), Some("a \"b\"\n"));
        assert_eq!(number_field(input, "len"), None);
        assert_eq!(text_field("{\"message\":\"open", "message"), None);
    }
}
