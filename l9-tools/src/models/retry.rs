//! How long a far side asks to be left alone, as pure functions.

use std::time::Duration;

use l9_core::egress::EgressResponse;
use l9_core::time::Timestamp;

/// The longest wait that is understood; a longer one means "not today" all the same.
const DAY: Duration = Duration::from_secs(86_400);

/// The wait a response asks for: `retry-after-ms`, or `Retry-After` in seconds or as an
/// HTTP date (RFC 9110, section 10.2.3). A date is measured against the response's own
/// `Date`, so that clocks need not agree; without one, against `now`.
pub(crate) fn asked(response: &EgressResponse, now: Timestamp) -> Option<Duration> {
    if let Some(millis) = response.header("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok()) {
        return seconds(millis / 1000.0);
    }
    let after = response.header("retry-after")?.trim();
    if let Ok(number) = after.parse::<f64>() {
        return seconds(number);
    }
    let until = date(after)?;
    let from = response.header("date").and_then(date).unwrap_or(now);
    Some(until.since(from).min(DAY))
}

fn seconds(number: f64) -> Option<Duration> {
    number.is_finite().then(|| Duration::try_from_secs_f64(number.max(0.0)).unwrap_or(DAY).min(DAY))
}

fn date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    fn response(headers: &[(&str, &str)]) -> EgressResponse {
        EgressResponse {
            redirects: 0,
            status: 429,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: futures_util::stream::empty().boxed(),
        }
    }

    #[test]
    fn a_wait_is_read_in_every_form_servers_use() {
        let now = Timestamp::from_millis(784_111_777_000);
        let millis = |headers: &[(&str, &str)]| asked(&response(headers), now).map(|wait| wait.as_millis());
        assert_eq!(millis(&[("retry-after", "7")]), Some(7000));
        assert_eq!(millis(&[("retry-after", " 0.5 ")]), Some(500));
        assert_eq!(millis(&[("retry-after", "7"), ("retry-after-ms", "120")]), Some(120));
        assert_eq!(millis(&[("retry-after", "-3")]), Some(0));
        assert_eq!(millis(&[("retry-after", "1e300")]), Some(DAY.as_millis()));
        assert_eq!(millis(&[("retry-after", "NaN")]), None);
        assert_eq!(millis(&[("retry-after", "soon")]), None);
        assert_eq!(millis(&[("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT")]), Some(2000));
        assert_eq!(millis(&[("retry-after", "Sun, 06 Nov 1994 08:49:30 GMT")]), Some(0), "a date that has passed");
        let skewed = [("retry-after", "Sun, 06 Nov 2044 08:49:42 GMT"), ("date", "Sun, 06 Nov 2044 08:49:37 GMT")];
        assert_eq!(millis(&skewed), Some(5000), "the server's clock is measured against itself");
        assert_eq!(millis(&[]), None);
    }
}
