//! Reading a request before anything is sent: what a URL parser would silently repair is
//! refused here, and what would leave is counted.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use l9_core::egress::{EgressRequest, Injection};
use l9_core::pointer;
use l9_core::tool::Inject;
use l9_core::{Error, Result};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::gateway::Rules;
use crate::headers::is_credential;

/// A request that was read and can be sent as it is.
pub(super) struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    /// Reads a request and puts its secrets in.
    ///
    /// # Errors
    /// `Invalid` for a method, an address, headers or secrets that cannot be sent.
    pub(super) fn of(request: &EgressRequest, rules: &Rules) -> Result<Self> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Error::invalid(format!("{:?} is not an HTTP method", request.method)))?;
        let (url, headers, body) = (parse(&request.url)?, headers(request, rules)?, request.body.clone());
        let mut prepared = Self { method, url, headers, body };
        for secret in &request.secrets {
            prepared.inject(secret, rules)?;
        }
        Ok(prepared)
    }

    /// The address that it goes to, secrets included: not to be shown.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    fn inject(&mut self, secret: &Injection, rules: &Rules) -> Result<()> {
        if self.url.host_str() != Some(secret.audience.as_str()) {
            return Err(Error::invalid(format!("a secret for {} cannot be sent to another host", secret.audience)));
        }
        let value = secret.value.expose_secret();
        match &secret.place {
            Inject::Header(name) => {
                let mut value = HeaderValue::from_str(value).map_err(|_| {
                    Error::invalid(format!(
                        "the secret for header {name:?} holds a line break or control character: set it again"
                    ))
                })?;
                value.set_sensitive(true);
                self.headers.insert(header_name(name, rules)?, value);
            }
            Inject::Query(name) => {
                if self.url.query_pairs().any(|(there, _)| there == name.as_str()) {
                    return Err(Error::invalid(format!("the address has a parameter {name:?} already: leave it out")));
                }
                self.url.query_pairs_mut().append_pair(name, value);
            }
            Inject::Body(pointer) => self.body = with_member(&self.body, pointer, value)?,
        }
        Ok(())
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
    Prepared::of(request, &Rules::default()).map_or(0, |prepared| prepared.bytes())
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
    if !url.username().is_empty() || url.password().is_some() || authority(address).contains('@') {
        return Err(Error::invalid("an address must not hold a user or password: give the key as a secret"));
    }
    if url.fragment().is_some() {
        return Err(Error::invalid(format!("the address \"{shown}\" has a fragment: leave out what follows #")));
    }
    Ok(url)
}

/// What stands between the scheme of an address and its path, as whoever forgives slashes reads it.
pub(crate) fn authority(address: &str) -> &str {
    let rest = address.split_once(':').map_or(address, |(_, rest)| rest).trim_start_matches(['/', '\\']);
    rest.split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

/// The address that a `Location` leads to (RFC 3986, section 5).
pub(super) fn join(from: &Url, location: &str) -> Result<Url> {
    let shown = crate::log::printable(location, 200);
    if location.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(Error::invalid(format!(
            "the new address {shown:?} holds a blank, a control character or a backslash"
        )));
    }
    let not_one = |error| Error::invalid(format!("{shown:?} is not an address: {error}"));
    let mut url = from.join(location).map_err(not_one)?;
    // It is for whoever reads the answer, and is not sent (RFC 9110, section 10.2.2).
    url.set_fragment(None);
    parse(url.as_str())
}

/// JSON with a text at that pointer, whose parent must be there.
fn with_member(body: &[u8], pointer: &str, value: &str) -> Result<Bytes> {
    let wrong =
        || Error::invalid(format!("the body has no place {pointer} for a secret: give it the object around it"));
    let (parent, name) = pointer.rsplit_once('/').ok_or_else(wrong)?;
    let mut json: Value = serde_json::from_slice(body).map_err(|_| wrong())?;
    let members = json.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(wrong)?;
    members.insert(pointer::name(name), Value::from(value));
    Ok(Bytes::from(json.to_string()))
}

/// The headers that may be seen.
fn headers(request: &EgressRequest, rules: &Rules) -> Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(request.headers.len() + request.secrets.len() + 1);
    // Nothing is decoded on the way in, so nothing small becomes something huge.
    map.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &request.headers {
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::invalid(format!("the value of header {name:?} holds a line break or control character"))
        })?;
        if is_credential(name) {
            return Err(Error::invalid(format!("header {name:?} is a credential: give it as a secret")));
        }
        map.append(header_name(name, rules)?, value);
    }
    Ok(map)
}

fn header_name(name: &str, rules: &Rules) -> Result<HeaderName> {
    if (rules.header)(name) {
        return Err(Error::invalid(format!("header {name:?} is the host's to write: leave it out")));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::invalid(format!("{name:?} is not a header name")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use std::time::Duration;

    fn request(headers: &[(&str, &str)], secrets: Vec<Injection>) -> EgressRequest {
        EgressRequest {
            method: "POST".into(),
            url: "https://api.example.com/v1?a=1".into(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            secrets,
            body: Bytes::from_static(br#"{"user":{"name":"ada"}}"#),
            idle: Duration::ZERO,
            max_response_bytes: 0,
        }
    }

    fn secret(place: Inject, value: &str) -> Injection {
        Injection { place, value: SecretString::from(value.to_owned()), audience: "api.example.com".into() }
    }

    #[test]
    fn addresses_that_hide_something_are_refused() {
        for address in [
            "https://user:pass@api.example.com/",
            "https://@api.example.com/",
            "https:@api.example.com/",
            "https:///@api.example.com/",
            "https://a@b@api.example.com/@x",
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
        for address in ["https://h/@x/y", "https://h?mail=a@b", "https://h/x:y@z"] {
            assert_eq!(parse(address).unwrap().host_str(), Some("h"), "{address}");
        }
        assert!(!format!("{}", parse("https://u:hunter2@h/").unwrap_err()).contains("hunter2"));
    }

    #[test]
    fn secrets_are_put_in_where_they_belong_and_never_show() {
        let secrets = vec![
            secret(Inject::Header("X-Key".into()), "hunter2-hunter2"),
            secret(Inject::Query("key".into()), "hunter2&hunter2"),
            secret(Inject::Body("/user/pa~1ss".into()), "hunter2\"hunter2"),
        ];
        let given = request(&[("x-key", "mine"), ("x-a", "1")], secrets);
        let prepared = Prepared::of(&given, &Rules::default()).unwrap();
        assert_eq!(prepared.headers.get_all("x-key").iter().collect::<Vec<_>>(), ["hunter2-hunter2"]);
        assert_eq!(prepared.url.query(), Some("a=1&key=hunter2%26hunter2"));
        let body: Value = serde_json::from_slice(&prepared.body).unwrap();
        assert_eq!(body, serde_json::json!({"user": {"name": "ada", "pa/ss": "hunter2\"hunter2"}}));
        assert!(!format!("{:?} {given:?}", prepared.headers).contains("hunter2"));
    }

    #[test]
    fn a_secret_without_its_place_or_for_another_host_stops_the_request() {
        let mut elsewhere = secret(Inject::Header("x-key".into()), "hunter2-hunter2");
        elsewhere.audience = "example.com".into();
        for wrong in [
            elsewhere,
            secret(Inject::Header("host".into()), "hunter2-hunter2"),
            secret(Inject::Header("x-key".into()), "hunter2\r\nx: y"),
            secret(Inject::Query("a".into()), "hunter2-hunter2"),
            secret(Inject::Body("/none/key".into()), "hunter2-hunter2"),
            secret(Inject::Body("/user/name/key".into()), "hunter2-hunter2"),
        ] {
            let error = Prepared::of(&request(&[], vec![wrong]), &Rules::default()).err().unwrap();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn headers_of_the_host_credentials_and_line_breaks_are_refused() {
        for (name, value) in [
            ("host", "evil"),
            ("Content-Length", "9"),
            ("Proxy-Connection", "x"),
            ("X-Forwarded-Host", "x"),
            ("Authorization", "x"),
            ("accept-encoding", "gzip"),
            ("x-http-method-override", "DELETE"),
            ("X_HTTP_Method_Override", "DELETE"),
            ("x_forwarded-for", "10.0.0.1"),
            ("client_ip", "10.0.0.1"),
            ("x", "a\r\nb: c"),
            ("x y", "z"),
            ("", "z"),
        ] {
            assert!(Prepared::of(&request(&[(name, value)], Vec::new()), &Rules::default()).is_err(), "{name}");
        }
    }
}
