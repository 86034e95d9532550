//! The sections about how runs are carried out: workers, schedules, effects, plans, rates.

use l9::governor::{Capacity, OnUnknown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sections::Deployment;

/// Where runs wait to be advanced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueueBackend {
    /// In Redis if there is one, else in this process.
    #[default]
    Auto,
    /// In this process.
    InProcess,
    /// In Redis.
    Redis,
}

/// How runs are advanced.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Workers {
    /// The node's name, journaled with every lease.
    pub(crate) node: String,
    /// Runs advanced at once.
    pub(crate) count: usize,
    /// After this many failed attempts in a row a run is given up: `l9-server queue dead`.
    pub(crate) attempts: u32,
    /// Where runs wait to be advanced: `auto` is in Redis if there is one, else `in_process`.
    pub(crate) queue: QueueBackend,
    /// Runs that may wait in the queue; more wait in the database.
    pub(crate) queue_capacity: usize,
    /// Runs of one tenant that are advanced at once.
    pub(crate) tenant_count: usize,
    /// How often runs are taken up in `rate_ms`, by all processes that share a queue: 0 to 100000, and 0
    /// is no limit.
    pub(crate) rate_count: u64,
    /// How often runs of one tenant are taken up in `rate_ms`: 0 to 100000, and 0 is no limit.
    pub(crate) tenant_rate_count: u64,
    /// The period of both, in milliseconds: 100 to 86400000.
    pub(crate) rate_ms: u64,
    /// How long a claim in Redis lasts without renewal, in milliseconds: 500 to 600000.
    pub(crate) claim_ms: u64,
    /// How long a lease lasts without renewal, in milliseconds: 5000 to 600000.
    pub(crate) lease_ms: u64,
    /// How long runs are given to let go when the process goes away, in milliseconds.
    pub(crate) drain_ms: u64,
    /// How many effects of a class this process has under way at once: 1 to 1000000, and no bound
    /// where none is set.
    pub(crate) capacity: Capacity,
    /// Makes clock, ids and entropy a function of this number, for reproducible runs.
    pub(crate) seed: Option<u64>,
}

impl Default for Workers {
    fn default() -> Self {
        let settings = l9::Settings::default();
        Self {
            node: settings.node,
            count: settings.worker.concurrency,
            attempts: settings.worker.attempts,
            queue: QueueBackend::default(),
            queue_capacity: settings.queue.capacity,
            tenant_count: settings.queue.tenant_claims,
            rate_count: settings.queue.rate_claims,
            tenant_rate_count: settings.queue.tenant_rate_claims,
            rate_ms: settings.queue.rate_ms,
            claim_ms: settings.queue.claim_ms,
            lease_ms: settings.lease_ms,
            drain_ms: settings.worker.drain_ms,
            capacity: settings.capacity,
            seed: None,
        }
    }
}

/// What starts runs by their schedules.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scheduler {
    /// Whether `serve` does; any number of processes may.
    pub(crate) enabled: bool,
    /// How often it looks for schedules that are due, in milliseconds: 10 to 60000.
    pub(crate) poll_ms: u64,
}

impl Default for Scheduler {
    fn default() -> Self {
        let l9::schedule::Settings { enabled, poll_ms } = l9::schedule::Settings::default();
        Self { enabled, poll_ms }
    }
}

/// What becomes of effects that do not end well.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Effects {
    /// A write whose end nobody knows: `wait` for a person, or `tell` the agent and go on.
    #[schemars(with = "String")]
    pub(crate) unknown: OnUnknown,
    /// How often an effect that ended without effect is tried, its first attempt included.
    pub(crate) attempts: u32,
    /// The wait before the second attempt, in milliseconds; it doubles with each further one.
    pub(crate) backoff_ms: u64,
    /// How long a person is waited for who was asked, in milliseconds; policy decides then.
    pub(crate) approval_timeout_ms: u64,
    /// How long an approval may be used after it was given, in milliseconds.
    pub(crate) approval_validity_ms: u64,
    /// How many delegations may lie above each other.
    pub(crate) delegation_depth: u32,
    /// How many children of one run may work at a time.
    pub(crate) delegation_width: u32,
}

impl Default for Effects {
    fn default() -> Self {
        let settings = l9::Settings::default();
        Self {
            unknown: settings.unknown,
            attempts: settings.attempts,
            backoff_ms: settings.backoff_ms,
            approval_timeout_ms: settings.approval_timeout_ms,
            approval_validity_ms: settings.approval_validity_ms,
            delegation_depth: settings.delegation_depth,
            delegation_width: settings.delegation_width,
        }
    }
}

/// Long plans.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Plans {
    /// Whether plans are carried out.
    pub(crate) enabled: bool,
}

impl Default for Plans {
    fn default() -> Self {
        Self { enabled: l9::Settings::default().long_plans }
    }
}

/// How often something may be had in a minute; each process counts for itself. 0 is no limit;
/// without a value there is none in a local deployment.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rates {
    /// Effects of one principal, model calls and further attempts included; 600 if absent.
    pub(crate) per_principal: Option<u32>,
    /// Effects of one tenant; 6000 if absent.
    pub(crate) per_tenant: Option<u32>,
    /// Requests and WebSocket messages of one principal, or of one address where nobody is
    /// known; 1200 if absent.
    pub(crate) requests: Option<u32>,
}

impl Rates {
    /// What the runtime holds effects to.
    pub(crate) fn effects(&self, deployment: Deployment) -> l9::governor::Rates {
        l9::governor::Rates {
            per_principal: rate(self.per_principal, deployment, 600),
            per_tenant: rate(self.per_tenant, deployment, 6_000),
        }
    }

    /// What the server holds requests to.
    pub(crate) fn requests(&self, deployment: Deployment) -> Option<u32> {
        rate(self.requests, deployment, 1_200)
    }
}

/// What was set, or what is usual where others can ask.
fn rate(set: Option<u32>, deployment: Deployment, usual: u32) -> Option<u32> {
    let usual = if deployment == Deployment::Local { 0 } else { usual };
    Some(set.unwrap_or(usual)).filter(|rate| *rate > 0)
}
