//! Settings of features that this build does not have: refused where believing in them
//! would be dangerous, warned about otherwise.

use super::problem::Problem;
use super::sections::Config;

/// A variable of a feature that is not there.
struct Absent {
    name: &'static str,
    /// Whether the value asks for the feature at all.
    asks: fn(&str) -> bool,
    /// Whether going on without it would be dangerous.
    refuse: bool,
    /// What is not there.
    what: &'static str,
}

const TRACES: &str = "this build exports no traces or error reports";

const ABSENT: &[Absent] = &[
    Absent { name: "SENTRY_DSN", asks: is_set, refuse: false, what: TRACES },
    Absent { name: "DATADOG_API_KEY", asks: is_set, refuse: false, what: TRACES },
    Absent { name: "OTEL_EXPORTER_OTLP_ENDPOINT", asks: is_set, refuse: false, what: TRACES },
    Absent {
        name: "L9_ENABLE_WEBHOOK_INGESTION",
        asks: is_on,
        refuse: false,
        what: "this build takes no webhooks yet",
    },
    Absent {
        name: "L9_ENABLE_TOOL_AUDIT",
        asks: is_off,
        refuse: true,
        what: "this build always journals the arguments of tools",
    },
    Absent { name: "VPS_CADDY_CONFIG", asks: is_set, refuse: false, what: "only the deployment scripts read it" },
    Absent { name: "VPS_SYSTEMD_SERVICE", asks: is_set, refuse: false, what: "only the deployment scripts read it" },
];

fn is_set(value: &str) -> bool {
    !value.trim().is_empty()
}

fn is_on(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

fn is_off(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off")
}

/// The names of the variables that are known and have nothing behind them.
pub(super) fn names() -> Vec<&'static str> {
    ABSENT.iter().map(|absent| absent.name).collect()
}

/// What a variable asks for that is not there: `Ok` a warning, `Err` a refusal.
pub(super) fn judge(name: &str, value: &str) -> Option<Result<Problem, Problem>> {
    let absent = ABSENT.iter().find(|absent| absent.name == name && (absent.asks)(value))?;
    let problem = Problem::new(format!("{name} is set, but {}", absent.what), format!("remove {name}"));
    Some(if absent.refuse { Err(problem) } else { Ok(problem) })
}

/// What a configuration asks for that is not there, whatever the command.
pub(super) fn refuse(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(url) = &config.storage.database_url else { return problems };
    if url.is_in_memory() {
        problems.push(Problem::new(
            "storage.database_url asks for a database in memory, which would be gone with the process",
            "use sqlite:PATH, or remove DATABASE_URL to store in the data folder",
        ));
    }
    if url.names().is_none() {
        // Never the whole address: it may hold a password.
        problems.push(Problem::new(
            format!("storage.database_url has the scheme {:?}: there is no such database here", url.scheme()),
            "use sqlite:PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or remove DATABASE_URL to store in the data folder",
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_never_accepted_in_silence() {
        assert!(matches!(judge("SENTRY_DSN", "https://x"), Some(Ok(_))));
        assert!(matches!(judge("L9_ENABLE_TOOL_AUDIT", "false"), Some(Err(_))));
        assert!(judge("L9_ENABLE_TOOL_AUDIT", "true").is_none());
    }

    #[test]
    fn a_refused_database_url_does_not_show_its_password() {
        let mut config = Config::default();
        config.storage.database_url = Some("mysql://u:hunter2@h/db".into());
        let problems = refuse(&config);
        assert!(problems[0].message.contains("mysql"));
        assert!(!problems[0].message.contains("hunter2"));
    }
}
