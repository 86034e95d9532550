//! Which request headers are not a tool's to write.

/// Headers that frame a request or steer its way to the server (RFC 9110, 9112, 7239).
const FRAMING: [&str; 21] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
    "max-forwards",
    "accept-encoding",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "x-cluster-client-ip",
    "x-original-host",
    "true-client-ip",
    "cf-connecting-ip",
];

/// Headers that make another request of it: another method or another address.
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// Headers that prove who sends a request.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// The header under which a far side knows a write again (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const KEY: &str = "idempotency-key";

/// A name as a server compares it: in small letters, and to many (CGI, RFC 3875) `_` is `-`.
fn compared(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Whether that header names the write, which the host does.
pub(crate) fn is_key(name: &str) -> bool {
    compared(name) == KEY
}

/// Whether the host alone writes that header: it frames or routes the request, speaks to a
/// proxy, or makes another request of it.
pub(crate) fn is_the_hosts(name: &str) -> bool {
    let name = compared(name);
    FRAMING.contains(&name.as_str())
        || OVERRIDES.contains(&name.as_str())
        || name.starts_with("proxy-")
        || name.starts_with("x-forwarded-")
}

/// Whether that header is a credential, which is given as a secret.
pub(crate) fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&compared(name).as_str())
}
