//! The progress of taking files in: a bar on a terminal, silence elsewhere.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use l9::ingest::{Progress, Status};

use super::quantity::clip;

/// Shows files as they are taken in. Draws on standard error, and only on a terminal.
#[derive(Debug)]
pub(crate) struct IngestProgress {
    bar: ProgressBar,
}

impl IngestProgress {
    /// A bar that knows nothing yet.
    pub(crate) fn new() -> Self {
        // indicatif draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("  {bar:24} {pos}/{len} files, {prefix}  {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for IngestProgress {
    fn advanced(&self, status: &Status) {
        self.bar.set_length(status.files as u64);
        self.bar.set_position(status.done as u64);
        self.bar.set_prefix(format!("{} of {}", HumanBytes(status.bytes), HumanBytes(status.total_bytes)));
        self.bar.set_message(clip(&status.current.display().to_string(), 60));
    }
}
