//! What an answer that points elsewhere asks for: a request of its own, or a refusal.
//!
//! It decides and sends nothing; whether the new address is allowed is asked again by
//! whoever sends.

use l9_core::egress::EgressRequest;
use l9_core::redact::{KnownSecrets, Redactor as _};
use l9_core::tool::Inject;
use l9_core::{Error, ErrorKind, Result};
use reqwest::Url;

use super::origin::Origin;
use super::target;

/// The cause of an error about a request that a redirect asked for: an earlier one had
/// arrived.
#[derive(Debug, thiserror::Error)]
#[error("redirected")]
pub(crate) struct Redirected;

/// The requests of one exchange so far.
#[derive(Debug, Default)]
pub(super) struct Trail(Vec<(String, Url)>);

impl Trail {
    /// How many redirects were followed.
    pub(super) fn hops(&self) -> usize {
        self.0.len()
    }

    /// The request that an answer to `request` asks for; nothing if it does not point
    /// elsewhere, or in a way that would change what was asked.
    ///
    /// # Errors
    /// `Denied` for an address that must not be followed to, whatever is granted.
    pub(super) fn follow(
        &mut self,
        request: &EgressRequest,
        status: u16,
        location: Option<&str>,
    ) -> Result<Option<EgressRequest>> {
        let Some((location, method)) = location.zip(method_after(status, &request.method)) else { return Ok(None) };
        let from = target::parse(&request.url)?;
        let to = target::join(&from, location)?;
        let denied =
            |why: &str| Err(Error::new(ErrorKind::Denied, format!("{}: {why}", crate::log::printable(location, 200))));
        let values = KnownSecrets::new(request.secrets.iter().map(|injection| &injection.value));
        if matches!(values.redact(location), std::borrow::Cow::Owned(_)) {
            return Err(Error::new(ErrorKind::Denied, "the new address repeats a secret"));
        }
        if from.scheme() == "https" && to.scheme() != "https" {
            return denied("leads from https to http");
        }
        self.0.push((request.method.clone(), from.clone()));
        if self.0.iter().any(|(earlier, url)| *earlier == method && *url == to) {
            return denied("leads in a circle");
        }
        let mut next = EgressRequest { method: method.to_owned(), url: to.to_string(), ..request.clone() };
        if Origin::of_url(&from)? != Origin::of_url(&to)? {
            next.secrets.clear();
        }
        if method != request.method {
            next.body.clear();
            next.secrets.retain(|injection| !matches!(injection.place, Inject::Body(_)));
            next.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        }
        Ok(Some(next))
    }
}

/// The method of the request that a redirect asks for (RFC 9110, section 15.4); nothing
/// where clients differ in what they make of it.
fn method_after(status: u16, method: &str) -> Option<&str> {
    let reads = matches!(method, "GET" | "HEAD");
    match status {
        307 | 308 => Some(method),
        301..=303 if reads => Some(method),
        303 => Some("GET"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use l9_core::egress::Injection;
    use std::time::Duration;

    fn request(method: &str, url: &str) -> EgressRequest {
        let secret = Injection {
            place: Inject::Header("authorization".into()),
            value: "Bearer hunter2-hunter2".to_owned().into(),
            audience: "a.test".into(),
        };
        EgressRequest {
            method: method.into(),
            url: url.into(),
            headers: vec![("content-type".into(), "application/json".into()), ("x-a".into(), "1".into())],
            secrets: vec![secret],
            body: Bytes::from_static(b"{}"),
            idle: Duration::ZERO,
            max_response_bytes: 0,
        }
    }

    fn follow(method: &str, status: u16, location: &str) -> Result<Option<EgressRequest>> {
        Trail::default().follow(&request(method, "https://a.test/one"), status, Some(location))
    }

    #[test]
    fn the_method_and_the_body_stay_or_the_answer_is_taken_as_it_is() {
        let kept = follow("POST", 307, "/two").unwrap().unwrap();
        assert_eq!(
            (kept.method.as_str(), kept.url.as_str(), &kept.body[..]),
            ("POST", "https://a.test/two", &b"{}"[..])
        );
        assert_eq!(kept.secrets.len(), 1);
        let seen = follow("POST", 303, "two").unwrap().unwrap();
        assert_eq!((seen.method.as_str(), seen.body.len(), seen.headers.len()), ("GET", 0, 1));
        assert_eq!(follow("GET", 302, "/@ada#top").unwrap().unwrap().url, "https://a.test/@ada");
        // There is no body any more to put a secret into.
        let mut within = request("POST", "https://a.test/one");
        within.secrets[0].place = Inject::Body("/key".into());
        let seen = Trail::default().follow(&within, 303, Some("/two#part")).unwrap().unwrap();
        assert_eq!((seen.url.as_str(), seen.secrets.len()), ("https://a.test/two", 0));
        for (method, status) in [("POST", 301), ("PUT", 302), ("GET", 300), ("GET", 304), ("GET", 200)] {
            assert!(follow(method, status, "/two").unwrap().is_none(), "{method} {status}");
        }
        assert!(Trail::default().follow(&request("GET", "https://a.test/"), 302, None).unwrap().is_none());
    }

    #[test]
    fn no_secret_goes_to_another_origin_and_no_way_leads_down_or_in_a_circle() {
        for other in ["https://b.test/", "https://a.test:8443/", "//b.test/"] {
            assert!(follow("GET", 302, other).unwrap().unwrap().secrets.is_empty(), "{other}");
        }
        for refused in
            ["http://a.test/", "/one", "https://b.test/?k=Bearer%20hunter2-hunter2", "https://b.test/hunter2-hunter2"]
        {
            assert_eq!(follow("GET", 302, refused).unwrap_err().kind(), ErrorKind::Denied, "{refused}");
        }
        for hidden in
            ["https://u:p@b.test/", "https:\\\\b.test/", "/\\b.test/", "/x y", "file:///etc/passwd", "javascript:x"]
        {
            assert!(follow("GET", 302, hidden).is_err(), "{hidden}");
        }
    }
}
