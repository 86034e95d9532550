//! A permit cannot come from nothing, nor from bytes.
use l9_core::governor::Permit;

fn main() {
    let _forged: Permit = Default::default();
    let _read: Permit = serde_json::from_str("{}").unwrap();
}
