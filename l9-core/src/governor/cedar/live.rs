//! Policies of a file or folder that are read again when they change. What cannot be used
//! changes nothing: the last good policies go on deciding, and the fault is told.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::engine::Cedar;
use super::source;
use crate::Result;
use crate::digest::Digest;
use crate::governor::policy::{Policy, PolicyRequest, Verdict};
use crate::time::Clock;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// The policies of a file or folder, as they last could be used.
pub struct Live {
    path: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    policies: Arc<Cedar>,
    /// Why the files as they are now cannot be used.
    fault: Option<String>,
}

/// What a look at the files found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// What is decided by already.
    Same,
    /// Other policies, which decide from now on.
    Renewed(Digest),
    /// Something that cannot be used, in words; the same fault is found once.
    Broken(String),
}

impl Live {
    /// Reads the policies of a file or folder.
    ///
    /// # Errors
    /// When they cannot be read or used: there are no earlier ones to fall back upon.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let policies = Arc::new(Cedar::new(source::read(&path)?)?);
        Ok(Self { path, current: RwLock::new(Current { policies, fault: None }) })
    }

    /// The policies that decide.
    #[must_use]
    pub fn policies(&self) -> Arc<Cedar> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).policies)
    }

    /// Reads the files again, and decides by them from now on if they can be used.
    pub fn refresh(&self) -> Refreshed {
        let found = source::read(&self.path).and_then(|sources| {
            let same = source::digest(&sources) == self.policies().digest();
            if same { Ok(None) } else { Cedar::new(sources).map(|policies| Some(Arc::new(policies))) }
        });
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(None) => {
                current.fault = None;
                Refreshed::Same
            }
            Ok(Some(policies)) => {
                let digest = policies.digest();
                *current = Current { policies, fault: None };
                Refreshed::Renewed(digest)
            }
            Err(error) => {
                let fault = error.to_string();
                if current.fault.as_ref() == Some(&fault) {
                    return Refreshed::Same;
                }
                current.fault = Some(fault.clone());
                Refreshed::Broken(fault)
            }
        }
    }

    /// Looks at the files again and again, until it is told to stop.
    pub async fn watch(self: Arc<Self>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(EVERY) => {}
            }
            let live = Arc::clone(&self);
            // Reading files may block.
            let Ok(refreshed) = tokio::task::spawn_blocking(move || live.refresh()).await else { continue };
            self.report(&refreshed);
        }
    }

    fn report(&self, refreshed: &Refreshed) {
        metrics::gauge!("l9_policy_stale").set(if self.fault().is_some() { 1.0 } else { 0.0 });
        let path = self.path.display();
        match refreshed {
            Refreshed::Same => {}
            Refreshed::Renewed(digest) => {
                metrics::counter!("l9_policy_reloads_total", "result" => "renewed").increment(1);
                tracing::info!(%path, %digest, "other policies decide from now on");
            }
            Refreshed::Broken(fault) => {
                metrics::counter!("l9_policy_reloads_total", "result" => "broken").increment(1);
                tracing::error!(%path, %fault, "the policies cannot be used: those before go on deciding");
            }
        }
    }
}

impl Policy for Live {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        self.policies().decide(request)
    }

    fn prohibitions(&self, request: &PolicyRequest<'_>) -> Vec<String> {
        self.policies().prohibitions(request)
    }

    fn digest(&self) -> Digest {
        self.policies().digest()
    }

    fn fault(&self) -> Option<String> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({}, {:?})", self.path.display(), self.policies())
    }
}
