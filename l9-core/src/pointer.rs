//! JSON pointers (RFC 6901) that may stand for many places: the segment `*` is any segment.

use serde_json::Value;

/// Visits every value that a pattern names within another, with its place below `path`.
pub fn each<'a>(
    value: &'a Value,
    pattern: &[String],
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&'a Value, &[String]),
) {
    let Some((first, rest)) = pattern.split_first() else { return visit(value, path) };
    let mut descend = |name: String, below: &'a Value| {
        path.push(name);
        each(below, rest, path, visit);
        path.pop();
    };
    match value {
        Value::Array(items) if first == "*" => {
            items.iter().enumerate().for_each(|(at, item)| descend(at.to_string(), item));
        }
        Value::Array(items) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|at| items.get(at)) {
                descend(first.clone(), item);
            }
        }
        Value::Object(fields) if first == "*" => {
            fields.iter().for_each(|(name, field)| descend(name.clone(), field));
        }
        Value::Object(fields) => {
            if let Some(field) = fields.get(first) {
                descend(first.clone(), field);
            }
        }
        _ => {}
    }
}

/// The names that a JSON pointer leads along.
#[must_use]
pub fn segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(name).collect()
}

/// The name that a segment of a JSON pointer means.
#[must_use]
pub fn name(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// A name as a segment of a JSON pointer.
#[must_use]
pub fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A JSON pointer of names.
#[must_use]
pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("/{}", segment(name))).collect()
}
