//! How many requests, and messages of sockets, one sender may send a minute. A sender is
//! whoever their token names, or else where they come from: what is refused for want of a
//! token takes nothing from those who have one.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use l9::principal::Principal;
use l9::rate::{Meter, Over};

use super::access::Asked;
use super::problem::Problem;
use crate::metrics;

/// The kind of limit, in metrics.
const KIND: &str = "requests";

/// Whose requests are counted together.
#[derive(Debug, Clone)]
pub(crate) enum Sender {
    /// Whoever the token names.
    Known(Principal),
    /// Whoever sends from there.
    From(IpAddr),
}

impl Sender {
    /// Who sent a request from there. Without authentication everybody is the one local
    /// principal, so that only places tell senders apart.
    pub(super) fn of(asked: &Asked, authenticates: bool, from: IpAddr) -> Self {
        match &asked.caller {
            Ok(Some(caller)) if authenticates => Self::Known(caller.principal.clone()),
            _ => Self::From(network(from)),
        }
    }
}

/// What one machine or household usually has: an IPv4 address, or 64 bits of IPv6 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Counts what senders send.
#[derive(Debug)]
pub(crate) struct Requests {
    most: u32,
    /// Apart, so that no flood of addresses can crowd out anybody who has a token.
    known: Meter,
    places: Meter,
}

impl Requests {
    /// So many a minute; at least 1.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, known: Meter::default(), places: Meter::default() }
    }

    /// Counts one more; `now` is of a monotonic clock.
    ///
    /// # Errors
    /// When there were as many within a minute as there may be.
    pub(crate) fn take(&self, sender: &Sender, now: Duration) -> Result<(), TooMany> {
        let taken = match sender {
            Sender::Known(Principal { tenant, subject, .. }) => {
                self.known.take(now, &[self.known.limit(KIND, (tenant, subject), self.most)])
            }
            Sender::From(place) => self.places.take(now, &[self.places.limit(KIND, place, self.most)]),
        };
        taken.map_err(|Over { kind, most, after }| {
            metrics::rate_limited(kind);
            TooMany { most, seconds: after.as_secs() + 1 }
        })
    }
}

/// Too many requests came from one sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TooMany {
    most: u32,
    /// How long until there may be another.
    seconds: u64,
}

impl From<TooMany> for Problem {
    fn from(TooMany { most, seconds }: TooMany) -> Self {
        let detail =
            format!("one sender may send {most} requests and messages a minute (rates.requests): wait {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests within a minute", detail)
    }
}

impl IntoResponse for TooMany {
    fn into_response(self) -> Response {
        let mut response = Problem::from(self).into_response();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(self.seconds));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_network_are_one_sender() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[test]
    fn a_principal_is_one_sender_wherever_they_are_and_addresses_take_nothing_from_them() {
        let requests = Requests::new(2);
        let person = |tenant: &str, subject: &str| {
            Sender::Known(Principal { tenant: tenant.parse().unwrap(), subject: subject.into(), ..Principal::local() })
        };
        let sent = |sender: &Sender| (0..5).filter(|_| requests.take(sender, Duration::ZERO).is_ok()).count();
        assert_eq!(sent(&Sender::From([192, 0, 2, 7].into())), 2);
        assert_eq!(sent(&person("acme", "person:ada")), 2);
        assert_eq!(sent(&person("other", "person:ada")), 2);
        assert_eq!(sent(&person("acme", "person:bob")), 2);
        let response = requests.take(&person("acme", "person:ada"), Duration::ZERO).unwrap_err().into_response();
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (429, &HeaderValue::from(62)));
    }
}
