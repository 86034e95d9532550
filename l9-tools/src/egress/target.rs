//! Reading a request before anything is sent: what a URL parser would silently repair is
//! refused here, and what would leave is counted.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use l9_core::egress::EgressRequest;
use l9_core::{Error, Result};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;

/// Headers that belong to the connection; the HTTP library alone writes them.
const CONNECTION: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::PROXY_AUTHORIZATION,
    header::EXPECT,
];

/// A request that was read and can be sent as it is.
pub(super) struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    /// Reads a request.
    ///
    /// # Errors
    /// `Invalid` for a method, an address or headers that cannot be sent.
    pub(super) fn of(request: &EgressRequest) -> Result<Self> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Error::invalid(format!("{:?} is not an HTTP method", request.method)))?;
        Ok(Self { method, url: parse(&request.url)?, headers: headers(request)?, body: request.body.clone() })
    }

    /// The bytes that HTTP/1.1 makes of it (RFC 9112): the request line, the headers with those
    /// that the HTTP library adds, and the body. What TLS or HTTP/2 makes of them is not
    /// counted.
    pub(super) fn bytes(&self) -> u64 {
        let field = |name: &str, value: usize| name.len() + ": ".len() + value + "\r\n".len();
        let query = self.url.query().map_or(0, |query| "?".len() + query.len());
        let line = self.method.as_str().len() + " ".len() + self.url.path().len() + query + " HTTP/1.1\r\n".len();
        let port = self.url.port().map_or(0, |port| ":".len() + port.to_string().len());
        let mut head = line + field("host", self.url.host_str().map_or(0, str::len) + port);
        head += self.headers.iter().map(|(name, value)| field(name.as_str(), value.len())).sum::<usize>();
        if !self.headers.contains_key(header::ACCEPT) {
            head += field("accept", "*/*".len());
        }
        if !self.body.is_empty() {
            head += field("content-length", self.body.len().to_string().len());
        }
        (head + "\r\n".len() + self.body.len()) as u64
    }
}

impl From<Prepared> for reqwest::Request {
    fn from(prepared: Prepared) -> Self {
        let mut request = Self::new(prepared.method, prepared.url);
        *request.headers_mut() = prepared.headers;
        *request.body_mut() = Some(prepared.body.into());
        request
    }
}

/// How many bytes of a request would leave; none of one that cannot be sent.
pub(crate) fn wire_bytes(request: &EgressRequest) -> u64 {
    Prepared::of(request).map_or(0, |prepared| prepared.bytes())
}

/// Parses an absolute address without userinfo, fragment or anything invisible.
pub(super) fn parse(address: &str) -> Result<Url> {
    let shown: String = address.chars().take(200).flat_map(char::escape_debug).collect();
    if address.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(Error::invalid(format!(
            "the address \"{shown}\" holds a blank, a control character or a backslash"
        )));
    }
    let url = Url::parse(address).map_err(|error| Error::invalid(format!("\"{shown}\" is not an address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::invalid(format!("\"{shown}\" is not an http or https address")));
    }
    // The address is not shown here: its userinfo may hold a password.
    if !url.username().is_empty() || url.password().is_some() || address.contains('@') {
        return Err(Error::invalid("an address must not hold a user or password: give the key as a secret"));
    }
    if url.fragment().is_some() {
        return Err(Error::invalid(format!("the address \"{shown}\" has a fragment: leave out what follows #")));
    }
    Ok(url)
}

/// The request's headers, the secret ones last and marked so that nothing prints them.
fn headers(request: &EgressRequest) -> Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(request.headers.len() + request.secret_headers.len());
    for (name, value) in &request.headers {
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::invalid(format!("the value of header {name:?} holds a line break or control character"))
        })?;
        map.append(header_name(name)?, value);
    }
    for (name, secret) in &request.secret_headers {
        let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
            Error::invalid(format!(
                "the secret for header {name:?} holds a line break or control character: set it again"
            ))
        })?;
        value.set_sensitive(true);
        map.insert(header_name(name)?, value);
    }
    Ok(map)
}

fn header_name(name: &str) -> Result<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Error::invalid(format!("{name:?} is not a header name")))?;
    if CONNECTION.contains(&parsed) {
        return Err(Error::invalid(format!("header {name:?} belongs to the connection: leave it out")));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use std::time::Duration;

    fn request(headers: Vec<(String, String)>, secret: &str) -> EgressRequest {
        EgressRequest {
            method: "POST".into(),
            url: "https://api.example.com".into(),
            headers,
            secret_headers: vec![("authorization".into(), SecretString::from(secret.to_owned()))],
            body: Bytes::new(),
            idle: Duration::ZERO,
            max_response_bytes: 0,
        }
    }

    #[test]
    fn addresses_that_hide_something_are_refused() {
        for address in [
            "https://user:pass@api.example.com/",
            "https://@api.example.com/",
            "https://api.example.com/#fragment",
            "https://api.example.com/\r\nx: y",
            "https://api.exa\tmple.com/",
            "https:\\\\api.example.com/",
            "file:///etc/passwd",
            "//api.example.com/",
            "api.example.com",
            "",
        ] {
            assert!(parse(address).is_err(), "{address:?}");
        }
        assert!(!format!("{}", parse("https://u:hunter2@h/").unwrap_err()).contains("hunter2"));
    }

    #[test]
    fn secret_headers_replace_visible_ones_and_never_show() {
        let given = vec![("Authorization".into(), "mine".into()), ("x-a".into(), "1".into())];
        let map = headers(&request(given, "Bearer hunter2-hunter2")).unwrap();
        assert_eq!(map.get_all("authorization").iter().count(), 1);
        assert_eq!(map["authorization"], "Bearer hunter2-hunter2");
        assert!(!format!("{map:?}").contains("hunter2"));
        let error = headers(&request(Vec::new(), "hunter2\r\nx: y")).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn headers_of_the_connection_and_line_breaks_are_refused() {
        for (name, value) in [("host", "evil"), ("Content-Length", "9"), ("x", "a\r\nb: c"), ("x y", "z"), ("", "z")] {
            assert!(headers(&request(vec![(name.into(), value.into())], "k")).is_err(), "{name}");
        }
    }
}
