//! Programs that tests run as processes of their own, built as examples.

use std::path::PathBuf;

/// The path of an example that was built beside this test, or how to build it.
pub(crate) fn example(name: &str, build: &str) -> PathBuf {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples");
    program.push(name);
    assert!(program.is_file(), "{} is missing: `{build}` makes it", program.display());
    program
}
