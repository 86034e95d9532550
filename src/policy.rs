//! Which policy decides: the embedder's, that of a file or folder, or the one that comes with
//! L9 for the deployment's profile.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use l9_core::Result;
use l9_core::governor::{Policy, PolicyCompiler};
use l9_core::time::Clock;
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

/// The policy of a system, and what keeps it new.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) watch: Option<Watch>,
}

/// Looks at the files of policies until it is told to stop.
pub(crate) struct Watch(Box<dyn Fn(CancellationToken) -> Looking + Send + Sync>);

type Looking = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Watch {
    /// Looks until it is told to stop.
    pub(crate) fn run(&self, stop: CancellationToken) -> Looking {
        (self.0)(stop)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// The policy of a system; the embedder's own goes before all others.
///
/// # Errors
/// `Invalid` for policies that cannot be used.
pub(crate) fn choose(own: Option<Arc<dyn Policy>>, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Chosen> {
    match own {
        Some(policy) => Ok(Chosen { policy, watch: None }),
        None => language::choose(settings, clock),
    }
}

/// What makes policies of texts.
pub(crate) fn compiler() -> Arc<dyn PolicyCompiler> {
    language::compiler()
}

#[cfg(feature = "cedar")]
mod language {
    use l9_core::governor::cedar::{Compiler, Live, defaults};

    use super::{Arc, Chosen, Clock, PolicyCompiler, Result, Settings, Watch};

    pub(super) fn choose(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Chosen> {
        let Some(path) = &settings.policy_dir else {
            let policy = Arc::new(defaults::policies(&settings.policy_profile)?);
            return Ok(Chosen { policy, watch: None });
        };
        let live = Arc::new(Live::open(path)?);
        for warning in live.policies().warnings() {
            tracing::warn!("{warning}");
        }
        let (watched, clock) = (Arc::clone(&live), Arc::clone(clock));
        let watch = Watch(Box::new(move |stop| Box::pin(Arc::clone(&watched).watch(Arc::clone(&clock), stop))));
        Ok(Chosen { policy: live, watch: Some(watch) })
    }

    pub(super) fn compiler() -> Arc<dyn PolicyCompiler> {
        Arc::new(Compiler)
    }
}

#[cfg(not(feature = "cedar"))]
mod language {
    use l9_core::governor::{Baseline, NoCompiler};

    use super::{Arc, Chosen, Clock, PolicyCompiler, Result, Settings};

    pub(super) fn choose(settings: &Settings, _: &Arc<dyn Clock>) -> Result<Chosen> {
        match &settings.policy_dir {
            None => Ok(Chosen { policy: Arc::new(Baseline), watch: None }),
            Some(_) => Err(l9_core::Error::invalid("this build reads no policies: turn the feature `cedar` on")),
        }
    }

    pub(super) fn compiler() -> Arc<dyn PolicyCompiler> {
        Arc::new(NoCompiler)
    }
}
