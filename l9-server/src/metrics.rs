//! Metrics by their published names: described once, gauges measured when scraped.
//!
//! No label ever holds an id, an address or anything a client chose.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use l9::Runtime;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric is, in Prometheus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Every metric that this process may emit.
const METRICS: &[(&str, Type, &str)] = &[
    (
        "agent_execution_duration_ms",
        Type::Histogram,
        "Time from taking a run of an agent up to its end, in milliseconds.",
    ),
    ("tool_execution_count", Type::Counter, "Tool calls that were performed."),
    ("memory_retrieval_latency_ms", Type::Histogram, "Time of one memory search, in milliseconds."),
    ("l9_embedding_vectors_total", Type::Counter, "Vectors of memories that were made."),
    ("l9_embedding_failures_total", Type::Counter, "Times that memories got no vectors for a while."),
    ("l9_embedding_pending", Type::Gauge, "Memories without a vector when they were last counted."),
    ("l9_relations_taken_total", Type::Counter, "Relations that were taken from the texts of memories."),
    ("l9_relations_failed_total", Type::Counter, "Memories of which it could not be told what they state."),
    (
        "l9_relations_pending",
        Type::Gauge,
        "Memories that were not read for what they state when they were last counted.",
    ),
    ("l9_schedule_ticks_total", Type::Counter, "Ticks of schedules that were done with, by outcome."),
    ("l9_schedule_lag_seconds", Type::Gauge, "How late the newest run that a schedule started here was."),
    ("task_queue_depth", Type::Gauge, "Tasks in the queue, and runs that were given up, by state."),
    ("l9_task_queue_oldest_seconds", Type::Gauge, "How long the oldest ready task has waited; 0 if none does."),
    ("database_connection_pool", Type::Gauge, "Connections of the database pool, by state."),
    ("l9_memory_entries", Type::Gauge, "Memories of all tenants that are not forgotten."),
    ("l9_memory_bytes", Type::Gauge, "Bytes of those memories, as they are kept."),
    ("redis_memory_usage_bytes", Type::Gauge, "Bytes that the Redis server uses."),
    ("l9_journal_commits_total", Type::Counter, "Transactions of the journal."),
    ("l9_hints_sent_total", Type::Counter, "Hints of new events and commands given to other nodes."),
    ("l9_hints_heard_total", Type::Counter, "Hints of new events and commands heard of other nodes."),
    (
        "l9_hints_lost_total",
        Type::Counter,
        "Hints that other nodes were not given: they see what is new when they look.",
    ),
    ("l9_journal_refusals_total", Type::Counter, "Appends refused because the run has another owner or another end."),
    ("l9_journal_records_total", Type::Counter, "Records that were made durable."),
    ("l9_audit_records_total", Type::Counter, "Records that got a leaf in the audit tree."),
    ("l9_audit_checkpoints_total", Type::Counter, "Checkpoints of the audit tree that were signed."),
    ("l9_audit_failures_total", Type::Counter, "Times the audit tree stopped growing."),
    ("l9_audit_witness_failures_total", Type::Counter, "Attempts at handing a witness a checkpoint that failed."),
    ("l9_audit_tree_size", Type::Gauge, "Leaves of the audit tree."),
    (
        "l9_audit_pending_records",
        Type::Gauge,
        "Records without a leaf when they were last looked at, at most one batch.",
    ),
    (
        "l9_audit_checkpoint_seconds",
        Type::Histogram,
        "Time to add a batch of leaves and sign the checkpoint over them.",
    ),
    ("l9_policy_stale", Type::Gauge, "1 while newer policies than those that decide cannot be used."),
    ("l9_policy_reloads_total", Type::Counter, "Changes of the files of policies, by result."),
    ("l9_rate_limited_total", Type::Counter, "What was refused because there was too much of it, by limit."),
    (
        "l9_effects_under_way",
        Type::Gauge,
        "Effects under way of the classes whose number at once is bounded, by class.",
    ),
    ("l9_effects_capacity", Type::Gauge, "How many effects of such a class there may be at once, by class."),
    ("l9_build_info", Type::Gauge, "Always 1; the version is a label."),
    ("l9_uptime_seconds", Type::Gauge, "Seconds since the server began to serve."),
    ("l9_resident_memory_bytes", Type::Gauge, "Resident memory of the process."),
    ("l9_http_requests_total", Type::Counter, "Answered HTTP requests."),
    ("l9_http_request_duration_seconds", Type::Histogram, "Time from a request's headers to its answer's headers."),
    ("l9_authentication_refusals_total", Type::Counter, "Credentials that were refused, by reason."),
    ("l9_http_connections", Type::Gauge, "Open HTTP connections."),
    ("l9_websocket_connections", Type::Gauge, "Open WebSocket connections."),
    ("l9_websocket_subscriptions", Type::Gauge, "Runs that WebSocket connections follow."),
    ("l9_websocket_frames_total", Type::Counter, "WebSocket frames, by direction."),
    ("l9_websocket_closed_total", Type::Counter, "WebSocket connections that ended, by reason."),
    ("l9_wasm_instances", Type::Gauge, "Wasm instances that run."),
    ("l9_wasm_compile_seconds", Type::Histogram, "Time to compile a wasm component."),
    ("l9_model_retries_total", Type::Counter, "Model requests that were tried again."),
];

/// Bounds in milliseconds: from a cached lookup to a long agent run.
const MILLISECONDS: &[f64] = &[
    0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0,
    300_000.0,
];

/// Bounds in seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder and describes every metric, once a process; what is counted
/// before is lost, so `main` calls it early.
pub(crate) fn install() -> PrometheusHandle {
    HANDLE
        .get_or_init(|| {
            let recorder = builder().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed: /metrics will be empty");
            }
            for (name, kind, help) in METRICS.iter().copied() {
                match kind {
                    Type::Counter => describe_counter!(name, help),
                    Type::Gauge => describe_gauge!(name, help),
                    Type::Histogram => describe_histogram!(name, help),
                }
            }
            handle
        })
        .clone()
}

fn builder() -> PrometheusBuilder {
    let bounds = [("_ms", MILLISECONDS), ("_seconds", SECONDS)];
    bounds.into_iter().fold(PrometheusBuilder::new(), |builder, (suffix, bounds)| {
        // Refuses only an empty list of bounds.
        builder
            .set_buckets_for_metric(Matcher::Suffix(suffix.into()), bounds)
            .unwrap_or_else(|_| PrometheusBuilder::new())
    })
}

/// Sets the gauges that are measured rather than counted.
pub(crate) async fn measure(runtime: &Runtime, uptime: Duration) {
    match runtime.queue_status(None).await {
        Ok(queue) => {
            let delayed = queue.delayed.map(|delayed| ("delayed", delayed as u64));
            let there = [("ready", queue.ready as u64), ("claimed", queue.claimed as u64), ("dead", queue.dead)];
            for (state, tasks) in there.into_iter().chain(delayed) {
                gauge!("task_queue_depth", "state" => state).set(as_f64(tasks));
            }
            gauge!("l9_task_queue_oldest_seconds").set(as_f64(queue.oldest_ready_ms.unwrap_or(0)) / 1_000.0);
        }
        Err(error) => tracing::debug!(%error, "the queue is not measured"),
    }
    if let Some(Err(error)) = runtime.redis().await {
        tracing::debug!(%error, "the memory of Redis is not measured");
    }
    match runtime.memory().usage(None, None).await {
        Ok(used) => {
            gauge!("l9_memory_entries").set(as_f64(used.entries));
            gauge!("l9_memory_bytes").set(as_f64(used.bytes));
        }
        Err(error) => tracing::debug!(%error, "memory is not measured"),
    }
    for (class, now, most) in runtime.engine().parts().governor.under_way() {
        gauge!("l9_effects_under_way", "class" => class).set(f64::from(now));
        gauge!("l9_effects_capacity", "class" => class).set(f64::from(most));
    }
    gauge!("l9_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("l9_uptime_seconds").set(uptime.as_secs_f64());
    if let Some(bytes) = resident() {
        gauge!("l9_resident_memory_bytes").set(bytes);
    }
}

/// The metrics in the classic text format. A metric that has no sample yet still shows
/// its name and type, so that dashboards find it.
pub(crate) fn render(handle: &PrometheusHandle) -> String {
    let mut text = handle.render();
    for (name, kind, help) in METRICS {
        let header = format!("# TYPE {name} ");
        if !text.lines().any(|line| line.starts_with(&header)) {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
        }
    }
    text
}

/// Counts refused credentials; the reason is one of the program's own words.
pub(crate) fn refused(why: &'static str) {
    counter!("l9_authentication_refusals_total", "reason" => why).increment(1);
}

/// Counts an answered request.
pub(crate) fn request(method: &Method, route: &'static str, status: StatusCode, took: Duration) {
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let status = status.as_u16().to_string();
    counter!("l9_http_requests_total", "method" => method, "route" => route, "status" => status).increment(1);
    histogram!("l9_http_request_duration_seconds", "method" => method, "route" => route).record(took.as_secs_f64());
}

/// Counts what was refused because there was too much of it, by limit.
pub(crate) fn rate_limited(limit: &'static str) {
    counter!("l9_rate_limited_total", "limit" => limit).increment(1);
}

/// Counts a WebSocket frame, `in` or `out`.
pub(crate) fn frame(direction: &'static str) {
    counter!("l9_websocket_frames_total", "direction" => direction).increment(1);
}

/// Counts the end of a WebSocket connection.
pub(crate) fn websocket_closed(reason: &'static str) {
    counter!("l9_websocket_closed_total", "reason" => reason).increment(1);
}

/// Something that counts in a gauge as long as it lives.
#[derive(Debug)]
pub(crate) struct Open {
    gauge: &'static str,
}

impl Open {
    /// An HTTP connection.
    pub(crate) fn http() -> Self {
        Self::count("l9_http_connections")
    }

    /// A WebSocket connection.
    pub(crate) fn websocket() -> Self {
        Self::count("l9_websocket_connections")
    }

    /// A run that a WebSocket connection follows.
    pub(crate) fn subscription() -> Self {
        Self::count("l9_websocket_subscriptions")
    }

    fn count(gauge: &'static str) -> Self {
        gauge!(gauge).increment(1.0);
        Self { gauge }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(self.gauge).decrement(1.0);
    }
}

/// Resident bytes, where the system tells (`/proc/self/statm`, proc(5)).
fn resident() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(as_f64(pages * 4096))
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
