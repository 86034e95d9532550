//! Only the governor's own module issues permits.
use l9_core::governor::Permit;

fn main() {
    let _forged = Permit::issue(todo!(), todo!(), todo!(), todo!());
}
