//! Words as a model writes them, and as a tool says how far it has come. They are shown, never journaled, and never stand in
//! for events; they leave only after the redactor has seen them with hold-back.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::id::RunId;
use crate::redact::Redactor;

/// How many pieces a slow listener may lag before it loses the oldest.
const CAPACITY: usize = 1024;

/// The process-wide channel of streamed words.
#[derive(Debug, Clone)]
pub struct Deltas {
    sender: broadcast::Sender<(RunId, Arc<str>)>,
}

impl Default for Deltas {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(CAPACITY) }
    }
}

impl Deltas {
    /// Listens to the words of every run of this process.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<(RunId, Arc<str>)> {
        self.sender.subscribe()
    }

    /// A sink for one model or tool call of one run.
    #[must_use]
    pub fn sink(&self, run: RunId, redactor: Arc<dyn Redactor>) -> DeltaSink {
        DeltaSink { run, redactor, sender: self.sender.clone(), held: Mutex::new(String::new()) }
    }
}

/// Where one call's words go. What was held back is passed on when it is dropped.
#[derive(Debug)]
pub struct DeltaSink {
    run: RunId,
    redactor: Arc<dyn Redactor>,
    sender: broadcast::Sender<(RunId, Arc<str>)>,
    held: Mutex<String>,
}

impl DeltaSink {
    /// Takes words; passes on what can no longer be the beginning of a secret.
    pub fn push(&self, text: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push_str(text);
        let safe = self.redactor.safe_len(&held);
        if safe > 0 {
            self.send(&self.redactor.redact(&held[..safe]));
            held.drain(..safe);
        }
    }

    /// Passes on what was held back.
    pub fn finish(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        if !held.is_empty() {
            self.send(&self.redactor.redact(&held));
        }
    }

    fn send(&self, text: &str) {
        // Nobody listening is the ordinary case.
        let _ = self.sender.send((self.run, text.into()));
    }
}

impl Drop for DeltaSink {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::redact::KnownSecrets;
    use crate::time::Timestamp;
    use secrecy::SecretString;

    #[test]
    fn a_secret_split_over_deltas_is_masked() {
        let run = RunId::generate(Timestamp::EPOCH, &SeededEntropy::new(1), "test");
        let deltas = Deltas::default();
        let mut heard = deltas.subscribe();
        let sink = deltas.sink(run, Arc::new(KnownSecrets::new([&SecretString::from("hunter2-hunter2".to_owned())])));
        for piece in ["the key is hunt", "er2-hun", "ter2, keep it"] {
            sink.push(piece);
        }
        sink.finish();
        let mut text = String::new();
        while let Ok((_, piece)) = heard.try_recv() {
            text.push_str(&piece);
        }
        assert_eq!(text, "the key is [redacted], keep it");
    }
}
