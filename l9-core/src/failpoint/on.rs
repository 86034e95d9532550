//! Points that abort: `L9_FAILPOINT=name:n` has the process die when it passes the point
//! for the n-th time. `L9_UNFENCED=1` leaves the fences out, so that a suite that looks
//! for what they prevent can be seen to find it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Point;

/// Whether points can be hit.
pub const ARE_ON: bool = true;

static PLAN: LazyLock<Option<(Point, u64)>> = LazyLock::new(|| {
    let asked = std::env::var("L9_FAILPOINT").ok()?;
    let plan = asked.split_once(':').and_then(|(name, n)| {
        let point = Point::ALL.iter().find(|point| point.name() == name)?;
        Some((*point, n.parse().ok()?))
    });
    if plan.is_none() {
        let names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        eprintln!("L9_FAILPOINT={asked} names no point: it is name:n, with one of {}", names.join(", "));
        std::process::exit(2);
    }
    plan
});
static PASSED: AtomicU64 = AtomicU64::new(0);
static UNFENCED: LazyLock<bool> = LazyLock::new(|| std::env::var("L9_UNFENCED").is_ok_and(|on| on == "1"));

/// Passes a point: the process aborts if it is the one to die at.
pub fn pass(point: Point) {
    if let Some((planned, n)) = *PLAN
        && planned == point
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == n
    {
        eprintln!("failpoint {}:{n}", point.name());
        std::process::abort();
    }
}

/// Whether appends and leases look at no fence.
#[must_use]
pub fn is_unfenced() -> bool {
    *UNFENCED
}
