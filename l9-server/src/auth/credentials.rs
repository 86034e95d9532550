//! Where a token stands in a request: `Authorization: Bearer TOKEN` (RFC 6750 section
//! 2.1), or, because browsers cannot set that on a WebSocket, as the subprotocol
//! `bearer.TOKEN` beside `l9`. Never a cookie, never the address.

use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

/// The subprotocol that is spoken, and answered.
pub(crate) const SUBPROTOCOL: &str = "l9";

/// What a subprotocol that carries a token begins with.
const CARRIER: &str = "bearer.";

/// The most bytes of a token.
const LONGEST: usize = 8 << 10;

/// Credentials that are not of a form to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The token of a request, if it brings one.
///
/// # Errors
/// For another scheme, several tokens, one that is too long, or one with characters no
/// token has.
pub(crate) fn find(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let header = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => Some(bearer(value.to_str().map_err(|_| Malformed)?)?),
        (Some(_), Some(_)) => return Err(Malformed),
    };
    let carried = if headers.contains_key(UPGRADE) { carried(headers)? } else { None };
    match (header, carried) {
        (Some(_), Some(_)) => Err(Malformed),
        (header, carried) => header.or(carried).map(checked).transpose(),
    }
}

fn bearer(value: &str) -> Result<&str, Malformed> {
    let (scheme, token) = value.split_once(' ').ok_or(Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim_start_matches(' ')) } else { Err(Malformed) }
}

fn carried(headers: &HeaderMap) -> Result<Option<&str>, Malformed> {
    let mut found = None;
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for offered in value.to_str().map_err(|_| Malformed)?.split(',') {
            let Some(token) = offered.trim().strip_prefix(CARRIER) else { continue };
            if found.replace(token).is_some() {
                return Err(Malformed);
            }
        }
    }
    Ok(found)
}

/// Three parts of base64url with dots between, RFC 7515 section 7.1.
fn checked(token: &str) -> Result<&str, Malformed> {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = 0;
    let sound = token.split('.').inspect(|_| parts += 1).all(|part| !part.is_empty() && part.bytes().all(digit));
    if sound && parts == 3 && token.len() <= LONGEST { Ok(token) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_token_stands_in_one_place_and_once() {
        for (pairs, found) in [
            (vec![], Ok(None)),
            (vec![("authorization", "Bearer a.b.c")], Ok(Some("a.b.c"))),
            (vec![("authorization", "bEARER  a.b.c")], Ok(Some("a.b.c"))),
            (vec![("authorization", "Basic a.b.c")], Err(Malformed)),
            (vec![("authorization", "a.b.c")], Err(Malformed)),
            (vec![("authorization", "Bearer")], Err(Malformed)),
            (vec![("authorization", "Bearer a.b.c d")], Err(Malformed)),
            (vec![("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")], Err(Malformed)),
            (vec![("authorization", "Bearer a.b.c, Bearer a.b.c")], Err(Malformed)),
            (vec![("cookie", "token=a.b.c")], Ok(None)),
            (vec![("upgrade", "websocket"), ("sec-websocket-protocol", "l9, bearer.a.b.c")], Ok(Some("a.b.c"))),
            (vec![("upgrade", "websocket"), ("sec-websocket-protocol", "l9")], Ok(None)),
            (vec![("upgrade", "websocket"), ("sec-websocket-protocol", "bearer.a.b.c,bearer.a.b.c")], Err(Malformed)),
            // Only a WebSocket's handshake carries it so.
            (vec![("sec-websocket-protocol", "l9, bearer.a.b.c")], Ok(None)),
            (
                vec![
                    ("upgrade", "websocket"),
                    ("authorization", "Bearer a.b.c"),
                    ("sec-websocket-protocol", "bearer.a.b.c"),
                ],
                Err(Malformed),
            ),
        ] {
            assert_eq!(find(&headers(&pairs)), found, "{pairs:?}");
        }
    }

    #[test]
    fn what_no_token_looks_like_is_not_looked_at() {
        let looked = |token: &str| find(&headers(&[("authorization", &format!("Bearer {token}"))])).is_ok();
        assert!(looked(&format!("a.b.{}", "c".repeat(LONGEST - 4))));
        assert!(!looked(&format!("a.b.{}", "c".repeat(LONGEST - 3))), "a huge token");
        for token in ["", "a", "a.b", "a..c", ".b.c", "a.b.", "a.b.c.d", "a.b.c=", "a.b.c\"", "a.b.ü", "a.b.c;"] {
            assert!(!looked(token), "{token:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_search(
            scheme in "(?i:bearer|basic|.{0,6})",
            gap in "[ \t]{0,2}",
            token in "(([A-Za-z0-9_-]{0,8}\\.){0,4}|[\\x20-\\x7e]{0,40})",
            repeated in any::<bool>(),
        ) {
            let Ok(value) = HeaderValue::from_bytes(format!("{scheme}{gap}{token}").as_bytes()) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, value.clone());
            if repeated {
                headers.append(AUTHORIZATION, value);
            }
            if let Ok(Some(found)) = find(&headers) {
                prop_assert!(!repeated && found.split('.').count() == 3 && token.ends_with(found));
            }
        }
    }
}
