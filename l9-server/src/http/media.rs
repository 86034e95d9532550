//! Which media type a client accepts, RFC 9110 section 12.5.1.

use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};

use super::problem::Problem;

/// A media type the server produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    EventStream,
    /// A JSON value a line, as it is to be kept: <https://jsonlines.org>.
    JsonLines,
    Prometheus,
    Html,
}

impl Media {
    /// The type without parameters.
    pub(super) fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::EventStream => "text/event-stream",
            Self::JsonLines => "application/jsonl",
            Self::Prometheus => "text/plain",
            Self::Html => "text/html",
        }
    }

    /// The type as it is sent.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::EventStream => "text/event-stream",
            Self::JsonLines => "application/jsonl",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// The offer that the client prefers; the first one on a tie or without a preference.
///
/// # Errors
/// 406 when it accepts none of them.
pub(crate) fn negotiate(headers: &HeaderMap, offers: &[Media]) -> Result<Media, Problem> {
    let ranges: Vec<(String, f32)> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(range)
        .collect();
    let quality = |media: Media| if ranges.is_empty() { 1.0 } else { quality(&ranges, media.essence()) };
    let mut best: Option<(Media, f32)> = None;
    for media in offers.iter().copied() {
        let quality = quality(media);
        if quality > best.map_or(0.0, |(_, best)| best) {
            best = Some((media, quality));
        }
    }
    best.map(|(media, _)| media).ok_or_else(|| {
        let offers: Vec<&str> = offers.iter().map(|media| media.essence()).collect();
        let detail = format!("this resource comes as {} only: name it in Accept", offers.join(" or "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", "no acceptable form", detail)
    })
}

/// The most specific range that covers a type decides.
fn quality(ranges: &[(String, f32)], essence: &str) -> f32 {
    let family = essence.split_once('/').map_or(essence, |(family, _)| family);
    let covering = |range: &str| match range.split_once('/') {
        Some(("*", "*")) => 1,
        Some((name, "*")) if name == family => 2,
        _ if range == essence => 3,
        _ => 0,
    };
    ranges
        .iter()
        .map(|(range, quality)| (covering(range), *quality))
        .filter(|(rank, _)| *rank > 0)
        .max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
        .map_or(0.0, |(_, quality)| quality)
}

fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
    Some((range, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str, offers: &[Media]) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        negotiate(&headers, offers).ok()
    }

    #[test]
    fn the_most_specific_range_decides() {
        let both = [Media::Json, Media::EventStream];
        assert_eq!(negotiate(&HeaderMap::new(), &both).ok(), Some(Media::Json));
        assert_eq!(chosen("text/event-stream", &both), Some(Media::EventStream));
        assert_eq!(chosen("*/*", &both), Some(Media::Json));
        assert_eq!(chosen("application/json;q=0.1, text/*;q=0.5", &both), Some(Media::EventStream));
        assert_eq!(chosen("application/json;q=0, */*", &both), Some(Media::EventStream));
        assert_eq!(chosen("text/html,application/xhtml+xml,*/*;q=0.8", &both), Some(Media::Json));
        assert_eq!(chosen("image/png", &both), None);
        assert_eq!(chosen("application/json;q=0", &[Media::Json]), None);
    }
}
