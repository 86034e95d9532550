//! Who may speak to a server on loopback without authentication: only pages and
//! programs that name this machine. Stops pages of other origins, also those that
//! point their own name at loopback (DNS rebinding).

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{StatusCode, Version};

use super::problem::Problem;

/// Checks `Host` (or `:authority`) and, if it is there, `Origin`.
///
/// # Errors
/// 400 when a request names no host or several, 403 when it names another than
/// this server, or comes from a page of another origin.
pub(super) fn check(parts: &Parts, port: u16) -> Result<(), Problem> {
    let host = host(parts)?;
    if !is_local(&host, port) {
        let detail = format!("host {host:?} is not this server: use localhost:{port} or a loopback address");
        return Err(Problem::new(StatusCode::FORBIDDEN, "host", "another host was asked for", clip(detail)));
    }
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(()),
        (Some(origin), None) if origin.to_str().is_ok_and(|origin| origin == format!("http://{host}")) => Ok(()),
        (Some(origin), _) => {
            let detail = format!("origin {origin:?} is not http://{host}: open the server's own page");
            Err(Problem::new(StatusCode::FORBIDDEN, "origin", "the request comes from another site", clip(detail)))
        }
    }
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
        check(&parts, 8000).map_or_else(|problem| problem.status().as_u16(), |()| 200)
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
