//! No effect without a receipt, through every door: the command line, HTTP, WebSocket and
//! the library, each with every kind of effect, against an outside that counts what really
//! arrives. What arrives equals what was intended, and every intent has its end in the
//! journal. Labels, budgets, policy and people stand on that same path.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers, whose failure is the test's")]

mod cases;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the command line's own tests use the rest")]
mod command_line;
mod count;
mod crash;
mod doors;
mod outside;
#[path = "../support/mod.rs"]
mod support;
mod walk;

use doors::{Http, Library, Socket, Terminal};
use outside::Outside;

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_by_the_command_line_is_what_the_journal_has() {
    let outside = Outside::start().await;
    let mut door = Terminal::open(&outside).await;
    walk::all(&mut door, &outside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_by_http_is_what_the_journal_has() {
    let outside = Outside::start().await;
    let mut door = Http::open(&outside).await;
    walk::all(&mut door, &outside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_by_a_socket_is_what_the_journal_has() {
    let outside = Outside::start().await;
    let mut door = Socket::open(&outside).await;
    walk::all(&mut door, &outside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_by_the_library_is_what_the_journal_has() {
    let outside = Outside::start().await;
    let mut door = Library::open(&outside).await;
    walk::all(&mut door, &outside).await;
}
