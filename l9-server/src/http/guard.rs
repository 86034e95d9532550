//! From where requests may come. Without authentication only pages and programs that
//! name this machine may speak to the server: that stops pages of other origins, also
//! those that point their own name at loopback (DNS rebinding). With it, any program that
//! has a token; pages of other origins only if they are listed.

use std::net::IpAddr;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN,
    VARY,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version};

use super::admission::Admission;
use super::problem::Problem;

/// What a listed origin's pages may send and read.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const SENT: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, last-event-id, traceparent, x-correlation-id",
);
const READ: HeaderValue = HeaderValue::from_static("location, retry-after, www-authenticate, x-correlation-id");

/// How long a browser may keep the answer to a preflight, in seconds.
const KEPT: HeaderValue = HeaderValue::from_static("600");

/// Checks `Host` (or `:authority`) and, if it is there, `Origin`.
///
/// # Errors
/// 400 when a request names no host or several where it must, 403 when it names another
/// than this server, or comes from a page of another origin.
pub(super) fn check(parts: &Parts, port: u16, admission: &Admission) -> Result<(), Problem> {
    let authenticated = admission.authenticator.is_some();
    if !authenticated {
        let host = host(parts)?;
        if !is_local(&host, port) {
            let detail = format!("host {host:?} is not this server: use localhost:{port} or a loopback address");
            return Err(Problem::new(StatusCode::FORBIDDEN, "host", "another host was asked for", clip(detail)));
        }
    }
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let (Some(origin), more) = (origins.next(), origins.next()) else { return Ok(()) };
    let host = host(parts)?;
    let is_own = |origin: &str| match origin.strip_prefix("http://") {
        Some(named) => named == host,
        // Behind a proxy that ends TLS the page came over https.
        None => authenticated && origin.strip_prefix("https://") == Some(&host),
    };
    match origin.to_str() {
        Ok(origin) if more.is_none() && (is_own(origin) || admission.origins.allow(origin)) => Ok(()),
        _ => {
            let detail = format!(
                "origin {origin:?} is neither http://{host} nor in CORS_ORIGINS: open the server's own page, or list it"
            );
            Err(Problem::new(StatusCode::FORBIDDEN, "origin", "the request comes from another site", clip(detail)))
        }
    }
}

/// The listed origin of a request's page, which is told that it may read the answer.
pub(super) fn listed(headers: &HeaderMap, admission: &Admission) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    admission.origins.allow(origin.to_str().ok()?).then(|| origin.clone())
}

/// Whether a request is a browser's question whether another may be sent.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a listed origin's page may send.
pub(super) fn allow_sending(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
    headers.insert(ACCESS_CONTROL_MAX_AGE, KEPT);
}

/// Lets a listed origin's page read an answer. Never with credentials: a browser's cookies
/// mean nothing here.
pub(super) fn allow_reading(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

fn host(parts: &Parts) -> Result<String, Problem> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let named = match (parts.uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(Problem::invalid("several Host headers: send one")),
        // An absolute URI wins over the header, RFC 9112 section 3.2.2.
        (Some(authority), header, None) => {
            if parts.version == Version::HTTP_2 && header.is_some_and(|header| header != authority.as_str()) {
                return Err(Problem::invalid(":authority and Host differ: send one"));
            }
            Some(authority.as_str())
        }
        (None, header, None) => header.and_then(|header| header.to_str().ok()),
    };
    named.map(str::to_ascii_lowercase).ok_or_else(|| Problem::invalid("no readable Host header: name the server"))
}

fn is_local(host: &str, port: u16) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let loopback = name == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    loopback && authority.port_u16().unwrap_or(80) == port
}

fn clip(detail: String) -> String {
    if detail.len() <= 300 { detail } else { detail.chars().take(300).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn status(headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, 8000, &Admission::default()).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_this_server_and_its_own_pages() {
        for host in ["localhost:8000", "LOCALHOST:8000", "127.0.0.1:8000", "127.9.9.9:8000", "[::1]:8000"] {
            assert_eq!(status(&[("host", host)]), 200, "{host}");
        }
        for host in [
            "localhost",
            "localhost:8001",
            "evil.example:8000",
            "localhost.evil.example:8000",
            "127.0.0.1.evil.example:8000",
            "127.0.0.1:8000@evil.example",
            "x@localhost:8000",
            "10.0.0.1:8000",
            "0.0.0.0:8000",
            "2130706433:8000",
            "[::ffff:10.0.0.1]:8000",
        ] {
            assert_eq!(status(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&[]), 400);
        assert_eq!(status(&[("host", "localhost:8000"), ("host", "evil.example")]), 400);
    }

    #[test]
    fn an_origin_must_be_the_servers_own() {
        let with = |origin| status(&[("host", "localhost:8000"), ("origin", origin)]);
        assert_eq!(with("http://localhost:8000"), 200);
        for origin in
            ["null", "http://127.0.0.1:8000", "https://localhost:8000", "http://localhost", "http://evil.example"]
        {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }
}
