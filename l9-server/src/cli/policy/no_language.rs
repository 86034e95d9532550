//! A build without a policy language: every command that needs one says so.

use std::path::Path;
use std::sync::Arc;

use l9::governor;

use crate::cli::arguments::{Global, PolicyCheck, PolicyDefaults, PolicyDiff};
use crate::cli::failure::{Exit, Failure};
use crate::terminal::Screen;

fn missing() -> Failure {
    Failure::usage("this build reads no policies").with_help("build l9-server with the feature `cedar`")
}

pub(super) async fn check(_: &Global, _: &PolicyCheck) -> Result<Exit, Failure> {
    Err(missing())
}

pub(super) async fn diff(_: &Global, _: &PolicyDiff) -> Result<Exit, Failure> {
    Err(missing())
}

pub(super) fn compile(_: &Path) -> Result<Arc<dyn governor::Policy>, Failure> {
    Err(missing())
}

pub(super) fn schema(_: Screen) -> Result<Exit, Failure> {
    Err(missing())
}

pub(super) fn defaults(_: Screen, _: &PolicyDefaults) -> Result<Exit, Failure> {
    Err(missing())
}
