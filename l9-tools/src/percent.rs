//! Percent-encoding undone (RFC 3986), as far as there is any.

/// The text with its percent-encoding undone once.
pub(crate) fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether somebody who decodes a path, perhaps more than once, or cuts off what follows a
/// `;`, would find a segment that leads upwards.
pub(crate) fn climbs(path: &str) -> bool {
    let mut path = path.to_owned();
    for _ in 0..3 {
        let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        if path.split(['/', '\\']).any(dots) {
            return true;
        }
        path = decoded(&path);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encoded_is_undone_and_only_once() {
        assert_eq!(decoded("a%2Fb%2e%252e%c3%a9"), "a/b.%2eé");
        assert_eq!(decoded("100%, %zz %+1 %"), "100%, %zz %+1 %");
    }
}
