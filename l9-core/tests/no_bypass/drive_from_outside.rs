//! The steps of the governed path are the driver's: nobody else can walk part of it.
use l9_core::governor::Governor;

fn admit(governor: &Governor) {
    governor.admit(todo!(), todo!());
    governor.perform(todo!());
}

fn main() {}
