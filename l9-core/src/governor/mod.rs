//! The governed path: the one way from a wish to an effect.

mod administer;
mod approval;
mod baseline;
mod budget;
mod capacity;
#[cfg(feature = "cedar")]
pub mod cedar;
mod delegate;
mod intend;
mod own;
mod path;
mod perform;
mod permit;
mod policy;
mod quota;
mod rates;
mod resolve;
mod secrets;
mod stops;
mod subjects;
mod suppose;
mod turns;
mod unknown;
mod withheld;

pub use administer::Operation;
pub use approval::Choice;
pub use baseline::Baseline;
pub use capacity::Capacity;
pub use own::{NoCompiler, PolicyCompiler};
pub use path::{Governor, OnUnknown, Settings};
pub use permit::Permit;
pub use policy::{Action as PolicyAction, ArgumentFact, Decision, Facts, Policy, PolicyRequest, Standing, Verdict};
pub use rates::Rates;
pub use stops::Stops;

pub(crate) use budget::cost_of_call;
pub(crate) use delegate::mailbox;
pub(crate) use intend::Cancels;
pub(crate) use path::{Admission, Admitted};
pub(crate) use perform::Performed;
pub(crate) use rates::{Place, Slot};
pub(crate) use unknown::{WaitEnd, can_be_asked};
