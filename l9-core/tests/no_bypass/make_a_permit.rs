//! A permit's fields are private.
use l9_core::governor::Permit;

fn main() {
    let _forged = Permit { grant: todo!(), clock: todo!(), cancel: todo!(), beats: todo!(), sent: todo!(), words: todo!() };
}
