//! When to ask again: the pause before the next attempt, as pure functions.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use l9_core::egress::EgressResponse;
use l9_core::time::Timestamp;

use super::limits::Limits;

/// The longest wait that is understood; a longer one means "not today" all the same.
const DAY: Duration = Duration::from_secs(86_400);

/// The pauses between the attempts of one call: doubling, with up to as much again added
/// at random from `seed`; as many as there are retries.
pub(super) fn pauses(limits: &Limits, seed: u64) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(limits.backoff_ms))
        .with_max_delay(Duration::from_millis(limits.max_backoff_ms))
        .with_max_times(limits.max_retries as usize)
        .with_jitter()
        .with_jitter_seed(seed)
        .build()
}

/// How long to wait before the next attempt; `None` when there is none left or the wait
/// would outlast the permit. What the provider asked for is never cut short: a request
/// sent earlier than that would only be refused again.
pub(super) fn wait(planned: Option<Duration>, asked: Option<Duration>, remaining: Duration) -> Option<Duration> {
    let wait = asked.unwrap_or(planned?);
    (planned.is_some() && wait < remaining).then_some(wait)
}

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

    #[test]
    fn the_wait_is_what_was_asked_and_never_outlasts_the_permit() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(wait(Some(short), None, long), Some(short));
        assert_eq!(wait(Some(short), Some(Duration::from_secs(9)), long), Some(Duration::from_secs(9)));
        assert_eq!(wait(Some(short), Some(long), long), None);
        assert_eq!(wait(Some(short), None, short), None);
        assert_eq!(wait(None, Some(short), long), None, "no attempts are left");
    }

    #[test]
    fn pauses_double_with_jitter_and_depend_on_the_seed_only() {
        let limits = Limits { backoff_ms: 100, max_backoff_ms: 1000, max_retries: 6, ..Limits::default() };
        let drawn: Vec<Duration> = pauses(&limits, 7).collect();
        assert_eq!(drawn, pauses(&limits, 7).collect::<Vec<_>>());
        assert_ne!(drawn, pauses(&limits, 8).collect::<Vec<_>>());
        assert_eq!(drawn.len(), 6);
        for (n, pause) in drawn.iter().enumerate() {
            let base = Duration::from_millis(1000.min(100 << n));
            assert!((base..=base * 2).contains(pause), "{n}: {pause:?}");
        }
    }
}
