//! Server-sent events (WHATWG HTML, section 9.2), byte by byte and bounded.
//!
//! The result is the same however the bytes are cut into pieces. An event that the
//! stream's end leaves incomplete is dropped, as the standard says.

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The `event` field; empty if the event has none.
    pub(super) name: String,
    /// The `data` lines, joined by line feeds.
    pub(super) data: String,
}

/// A line or event is longer than allowed; nothing more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// The state between two pieces.
#[derive(Debug)]
pub(super) struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    first_line: bool,
    after_cr: bool,
    failed: bool,
    longest: usize,
}

impl Parser {
    pub(super) fn new(longest: usize) -> Self {
        Self {
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            first_line: true,
            after_cr: false,
            failed: false,
            longest,
        }
    }

    /// Reads a piece and appends the events it completes; those stand even if the piece
    /// then fails.
    pub(super) fn feed(&mut self, piece: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        for &byte in piece {
            if self.failed {
                break;
            }
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => self.end_line(events),
                _ if self.line.len() + self.event.data.len() >= self.longest => self.failed = true,
                _ => self.line.push(byte),
            }
        }
        if self.failed { Err(TooLong) } else { Ok(()) }
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let mut line = std::mem::take(&mut self.line);
        let mut text = line.as_slice();
        if std::mem::replace(&mut self.first_line, false) {
            text = text.strip_prefix(BOM).unwrap_or(text);
        }
        if text.is_empty() {
            self.end_event(events);
        } else {
            let (name, value) = split_field(text);
            match name {
                b"data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(&String::from_utf8_lossy(value));
                }
                b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
                // `id` and `retry` serve reconnecting, which a model call never does; a
                // comment has an empty name.
                _ => {}
            }
        }
        line.clear();
        self.line = line;
    }

    fn end_event(&mut self, events: &mut Vec<Event>) {
        let event = std::mem::take(&mut self.event);
        if std::mem::replace(&mut self.has_data, false) {
            events.push(event);
        }
    }
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]], longest: usize) -> (Vec<Event>, bool) {
        let mut parser = Parser::new(longest);
        let mut events = Vec::new();
        let mut failed = false;
        for piece in pieces {
            failed |= parser.feed(piece, &mut events).is_err();
        }
        (events, failed)
    }

    fn data(text: &str) -> Vec<String> {
        parse(&[text.as_bytes()], 1000).0.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn lines_end_in_any_of_the_three_ways() {
        assert_eq!(data("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\r\n\n"), ["a", "b", "c", "d"]);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        assert_eq!(data("\u{feff}data: after a byte order mark\n\n"), ["after a byte order mark"]);
        assert_eq!(data("data\n\ndata:\n\n"), ["", ""]);
        assert_eq!(data("data: a\ndata:b\ndata:  c\n\n"), ["a\nb\n c"]);
        assert_eq!(data(": a comment\nid: 1\nretry: 5\nother: x\ndata: a\n\n"), ["a"]);
        assert_eq!(data("event: ping\n\ndata: a\n\n"), ["a"], "an event without data is no event");
        assert_eq!(data("data: a\n\ndata: cut off"), ["a"]);
        let (events, _) = parse(&[b"event: x\ndata: a\n\ndata: b\n\n"], 100);
        assert_eq!((events[0].name.as_str(), events[1].name.as_str()), ("x", ""), "a name does not outlive its event");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(parse(&[b"data: a\xffb\n\n"], 100).0[0].data, "a\u{fffd}b");
    }

    #[test]
    fn a_line_or_event_too_long_ends_the_stream_after_what_was_whole() {
        let (events, failed) = parse(&[b"data: a\n\ndata: ", &[b'x'; 200], b"\n\ndata: b\n\n"], 100);
        assert!(failed && events.len() == 1);
        let many = b"data: 0123456789\n".repeat(20);
        assert!(parse(&[&many], 100).1, "an event of many lines counts as a whole");
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_give_the_same_events(
            bytes in proptest::collection::vec(
                prop_oneof![
                    Just(b"data: ".to_vec()), Just(b"data:{\"a\":\"\xc3\xa4\"}".to_vec()), Just(b"event: x".to_vec()),
                    Just(b"\n".to_vec()), Just(b"\r".to_vec()), Just(b"\r\n".to_vec()), Just(b":".to_vec()),
                    Just(b"\xef\xbb\xbf".to_vec()), proptest::collection::vec(any::<u8>(), 0..6),
                ],
                0..40,
            ).prop_map(|parts| parts.concat()),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
            longest in 1_usize..60,
        ) {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(bytes.len());
            let mut start = 0;
            let pieces: Vec<&[u8]> = ends.iter().map(|&end| { let piece = &bytes[start..end]; start = end; piece }).collect();
            prop_assert_eq!(parse(&pieces, longest), parse(&[&bytes], longest));
        }
    }
}
