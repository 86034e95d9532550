//! The L9 server binary.
fn main() {}
