//! Where lines go: standard output for people and pipes; with `--json` everything but
//! the one JSON object goes to standard error.
//!
//! A reader that goes away (`l9-server runs list | head`) is no failure.

use std::io::IsTerminal as _;

use serde::Serialize;

use super::paint::Paint;

/// The two streams of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    json: bool,
    paint: Paint,
    live: bool,
}

impl Screen {
    /// The screen of a command; with `json` people's lines go to standard error.
    pub(crate) fn new(json: bool) -> Self {
        let paint = if json { Paint::for_stream(&std::io::stderr()) } else { Paint::for_stream(&std::io::stdout()) };
        Self { json, paint, live: !json && std::io::stdout().is_terminal() }
    }

    /// Whether the command answers in JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether somebody watches, so that words may be shown as they come.
    pub(crate) fn is_live(self) -> bool {
        self.live
    }

    /// The colours of people's lines.
    pub(crate) fn paint(self) -> Paint {
        self.paint
    }

    /// Foreign text fit for this screen: on a terminal it cannot move the cursor; a pipe
    /// gets it as it is.
    pub(crate) fn safe(self, text: &str) -> String {
        if !self.live {
            return text.to_owned();
        }
        text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
    }

    /// A line for people.
    pub(crate) fn line(self, text: &str) {
        self.words(&format!("{text}\n"));
    }

    /// Words for people, without a line's end.
    pub(crate) fn words(self, text: &str) {
        if self.json { write(&mut std::io::stderr().lock(), text) } else { write(&mut std::io::stdout().lock(), text) }
    }

    /// A remark beside the answer, always on standard error.
    pub(crate) fn note(self, text: &str) {
        let paint = Paint::for_stream(&std::io::stderr());
        write(&mut std::io::stderr().lock(), &format!("{} {text}\n", paint.warn("note:")));
    }

    /// The JSON answer, pretty for people, in one line for pipes.
    pub(crate) fn object(self, value: &impl Serialize) {
        let text = if std::io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        write(
            &mut std::io::stdout().lock(),
            &format!("{}\n", text.unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string()))),
        );
    }
}

impl Screen {
    /// One object on one line of standard output, as JSON lines have it.
    pub(crate) fn json_line(self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(value) {
            write(&mut std::io::stdout().lock(), &format!("{text}\n"));
        }
    }
}

fn write(stream: &mut impl std::io::Write, text: &str) {
    // The reader may have gone: nothing is left to tell anybody.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
