//! Which command of `policy` was asked for.

use super::{language, simulate};
use crate::cli::arguments::{Global, Policy};
use crate::cli::failure::{Exit, Failure};
use crate::terminal::Screen;

/// Does what was asked of policies.
pub(in crate::cli) async fn policy(global: &Global, command: &Policy) -> Result<Exit, Failure> {
    match command {
        Policy::Simulate(asked) => simulate::simulate(Screen::new(global.json), asked),
        Policy::Check(asked) => language::check(global, asked).await,
        Policy::Diff(asked) => language::diff(global, asked).await,
        Policy::Schema => language::schema(Screen::new(global.json)),
        Policy::Defaults(asked) => language::defaults(Screen::new(global.json), asked),
    }
}
