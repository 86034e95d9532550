//! One intent allows one effect: a permit cannot be cloned.
use l9_core::governor::Permit;

fn twice(permit: Permit) -> (Permit, Permit) {
    (permit.clone(), permit)
}

fn main() {}
