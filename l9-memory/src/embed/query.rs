//! The vector of a query, had in a bounded time or not at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use l9_core::Error;
use l9_core::memory::Embedder;
use l9_core::time::Clock;

use super::work::cut;
use crate::retrieval::Meant;
use crate::vectors::MAX_DIMENSIONS;

/// How long an embedder that failed is not asked again by queries.
const REST: Duration = Duration::from_secs(10);

/// Asks an embedder for the vectors of queries. One that failed is left alone for a while, so
/// that not every search waits for it.
#[derive(Debug)]
pub struct Asking {
    embedder: Arc<dyn Embedder>,
    clock: Arc<dyn Clock>,
    within: Duration,
    resting: Mutex<Option<(Duration, String)>>,
    /// The last query: one search asks each layer.
    last: Mutex<Option<(String, Vec<f32>)>>,
}

impl Asking {
    /// Waits no longer than `within` for the vector of a query.
    ///
    /// # Errors
    /// `Invalid` for an embedder of more dimensions than an index takes.
    pub fn new(embedder: Arc<dyn Embedder>, clock: Arc<dyn Clock>, within: Duration) -> l9_core::Result<Self> {
        let dimensions = embedder.space().dimensions();
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            let name = embedder.space().name();
            return Err(Error::invalid(format!(
                "the embedder {name} makes vectors of {dimensions} dimensions: use one of 1 to {MAX_DIMENSIONS}"
            )));
        }
        Ok(Self { embedder, clock, within, resting: Mutex::default(), last: Mutex::default() })
    }

    /// The embedder that is asked.
    #[must_use]
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.embedder
    }

    /// What a query means; never longer in coming than the bound.
    pub(crate) async fn meant(&self, text: &str) -> Meant {
        match self.vector(text).await {
            Ok(vector) => Meant::Vector(vector),
            Err(why) => Meant::Failed(why),
        }
    }

    async fn vector(&self, text: &str) -> Result<Vec<f32>, String> {
        if let Some((until, why)) = &*self.resting.lock().unwrap_or_else(PoisonError::into_inner)
            && self.clock.monotonic() < *until
        {
            return Err(why.clone());
        }
        if let Some((last, vector)) = &*self.last.lock().unwrap_or_else(PoisonError::into_inner)
            && last == text
        {
            return Ok(vector.clone());
        }
        let query = text;
        let text = [cut(text)];
        let embedded = tokio::select! {
            embedded = self.embedder.embed(&text) => embedded,
            () = self.clock.sleep(self.within) => {
                Err(Error::unavailable(format!("the embedder took longer than {} ms", self.within.as_millis())))
            }
        };
        let vector = embedded.and_then(|mut vectors| {
            let vector = vectors.pop().unwrap_or_default();
            check(&vector, self.embedder.space().dimensions())?;
            Ok(vector)
        });
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match vector {
            Ok(vector) => {
                *resting = None;
                let last = (query.to_owned(), vector.clone());
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
                Ok(vector)
            }
            Err(error) => {
                let why = error.to_string();
                *resting = Some((self.clock.monotonic() + REST, why.clone()));
                Err(why)
            }
        }
    }
}

/// Refuses what is no vector of that many dimensions with a direction.
pub(super) fn check(vector: &[f32], dimensions: usize) -> l9_core::Result<()> {
    let wrong = if vector.len() != dimensions {
        format!("{} dimensions instead of {dimensions}", vector.len())
    } else if !vector.iter().all(|value| value.is_finite()) {
        "a value that is not a finite number".to_owned()
    } else if vector.iter().all(|value| *value == 0.0) {
        "nothing but zeros".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::unavailable(format!("the embedder gave a vector of {wrong}: check which model answers")))
}
