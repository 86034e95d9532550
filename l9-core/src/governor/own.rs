//! The policy of one run beside that of the node. Both must allow: a run never gains rights
//! by a policy of its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::path::Governor;
use super::policy::{Decision, Policy, PolicyRequest, Verdict};
use crate::digest::{Digest, sha256};
use crate::run::RunState;
use crate::{Error, Result};

/// The most compiled policies of runs that are kept.
const KEPT: usize = 256;

/// What a run's own policy is called where it is wrong.
const NAME: &str = "fork.cedar";

/// Makes a policy of its text.
pub trait PolicyCompiler: fmt::Debug + Send + Sync {
    /// The policy that a text says; `name` stands for its file in errors.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with it.
    fn compile(&self, name: &str, text: &str) -> Result<Arc<dyn Policy>>;
}

/// The compiler of a build that has no policy language.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCompiler;

impl PolicyCompiler for NoCompiler {
    fn compile(&self, _: &str, _: &str) -> Result<Arc<dyn Policy>> {
        Err(Error::invalid("this build reads no policies: turn the feature `cedar` on"))
    }
}

/// What compiles the policies of runs, and what it made already.
#[derive(Debug)]
pub(super) struct Own {
    compiler: Arc<dyn PolicyCompiler>,
    compiled: RwLock<HashMap<Digest, Arc<dyn Policy>>>,
}

impl Default for Own {
    fn default() -> Self {
        Self::new(Arc::new(NoCompiler))
    }
}

impl Own {
    pub(super) fn new(compiler: Arc<dyn PolicyCompiler>) -> Self {
        Self { compiler, compiled: RwLock::default() }
    }

    fn compile(&self, text: &str) -> Result<Arc<dyn Policy>> {
        let digest = sha256(&[b"l9.policy.own.1\0", text.as_bytes()]);
        if let Some(found) = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(&digest) {
            return Ok(Arc::clone(found));
        }
        let policy = self.compiler.compile(NAME, text)?;
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(digest, Arc::clone(&policy));
        Ok(policy)
    }
}

impl Governor {
    /// Checks that a text can be a run's own policy.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with it.
    pub(crate) fn check_policy(&self, text: &str) -> Result<()> {
        self.own.compile(text).map(drop)
    }

    /// What decides about a run: the node's policy, and the run's own if it has one.
    pub(super) fn policy_of(&self, state: &RunState) -> Arc<dyn Policy> {
        let Some(text) = &state.policy else { return Arc::clone(&self.policy) };
        let own = self.own.compile(text).unwrap_or_else(|error| Arc::new(Unusable(error.to_string())));
        Arc::new(Both { node: Arc::clone(&self.policy), own })
    }

    /// What decides about a run, as it is journaled; none for a policy that cannot change.
    pub(super) fn policy_digest(&self, state: &RunState) -> Option<Digest> {
        Some(self.policy_of(state).digest()).filter(|digest| *digest != Digest::ZERO)
    }
}

/// Two policies, of which both must allow.
#[derive(Debug)]
struct Both {
    node: Arc<dyn Policy>,
    own: Arc<dyn Policy>,
}

impl Policy for Both {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        self.node.decide(request).and(self.own.decide(request))
    }

    fn digest(&self) -> Digest {
        sha256(&[b"l9.policy.both.1\0", self.node.digest().as_bytes(), self.own.digest().as_bytes()])
    }
}

/// A run's own policy that this build cannot read: nothing is allowed.
#[derive(Debug)]
struct Unusable(String);

impl Policy for Unusable {
    fn decide(&self, _: &PolicyRequest<'_>) -> Verdict {
        let reasons = vec![format!("fork: the run's own policy cannot be used: {}", self.0)];
        Verdict { decision: Decision::Deny, reasons }
    }
}
