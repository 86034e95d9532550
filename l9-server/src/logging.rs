//! Log lines on standard error: JSON for machines, text for people.
//!
//! A JSON line has `timestamp level module message agent_id task_id correlation_id
//! duration_ms`, null where unknown, and whatever else was logged. Every line passes the
//! redactor, so that a configured secret never stands in one, and neither does personal data
//! that is known by its form.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use l9::redact::{Redactor, personal};
use l9::time::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, LogFormat, Problem};

/// What spans and events call the fields of the contract.
const ALIASES: &[(&str, &str)] =
    &[("agent", "agent_id"), ("run", "task_id"), ("run_id", "task_id"), ("elapsed_ms", "duration_ms")];

/// Fields that every JSON line has.
const ALWAYS: &[&str] = &["agent_id", "task_id", "correlation_id", "duration_ms"];

/// Starts logging. `fallback` is the level when none is configured.
///
/// # Errors
/// When the configured level is not one.
pub(crate) fn init(config: &Config, fallback: &str, redactor: Arc<dyn Redactor>) -> Result<(), Problem> {
    let filter = filter(config.log.level.as_deref().unwrap_or(fallback))?;
    let lines = Lines { format: config.log.format, clock: SystemClock::default(), redactor };
    // A second initialisation in one process changes nothing.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    Ok(())
}

/// A filter of levels and `module=level` directives.
///
/// # Errors
/// When a word is no level.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, Problem> {
    // A bare word that is no level would name a module, and mostly is a slip of the keys.
    let slip =
        directives.split(',').find(|word| !word.contains(['=', '[']) && word.trim().parse::<LevelFilter>().is_err());
    let filter = match slip {
        Some(word) => Err(format!("{:?} is not a level", word.trim())),
        // What this library logs holds whole messages of servers that nobody vouches for.
        None => EnvFilter::try_new(format!("rmcp=off,{directives}")).map_err(|error| error.to_string()),
    };
    filter.map_err(|why| {
        Problem::new(
            format!("log.level is {directives:?}: {why}"),
            "use error, warn, info, debug or trace, or directives such as info,l9_core=debug",
        )
    })
}

/// The layer that writes the lines.
struct Lines {
    format: LogFormat,
    clock: SystemClock,
    redactor: Arc<dyn Redactor>,
}

/// The fields of one span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(known)) = span.extensions_mut().get_mut::<SpanFields>()
        {
            let mut fields = Fields::default();
            values.record(&mut fields);
            known.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().iter().rev() {
            if let Some(SpanFields(known)) = span.extensions().get::<SpanFields>() {
                fields.0.extend(known.clone());
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = line(self.format, &self.clock, metadata.level().as_str(), metadata.target(), fields.0);
        let mut line = clean(&*self.redactor, &line);
        line.push('\n');
        // Standard error may be closed; a log line is never worth a failure.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// A line without secrets and personal data.
fn clean(redactor: &dyn Redactor, line: &str) -> String {
    personal::mask(&redactor.redact(line)).into_owned()
}

/// One line, without its end.
fn line(format: LogFormat, clock: &dyn Clock, level: &str, module: &str, mut fields: Map<String, Value>) -> String {
    let message = fields.remove("message").unwrap_or(Value::Null);
    let timestamp = clock.now().to_string();
    match format {
        LogFormat::Json => {
            let mut object = Map::new();
            object.insert("timestamp".into(), timestamp.into());
            object.insert("level".into(), level.to_lowercase().into());
            object.insert("module".into(), module.into());
            object.insert("message".into(), message);
            for name in ALWAYS {
                object.insert((*name).into(), fields.remove(*name).unwrap_or(Value::Null));
            }
            for (name, value) in fields {
                object.entry(name).or_insert(value);
            }
            Value::Object(object).to_string()
        }
        LogFormat::Text => {
            let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), one_line);
            let rest: String = fields.iter().map(|(name, value)| format!(" {name}={}", plain(value))).collect();
            format!("{timestamp} {level:>5} {module}: {}{rest}", plain(&message))
        }
    }
}

/// A text without control characters: nobody writes a second line or a colour into the log.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = ALIASES.iter().find(|(from, _)| *from == field.name()).map_or(field.name(), |(_, to)| to);
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_every_field_of_the_contract() {
        let mut fields = Map::new();
        fields.insert("message".into(), "hello".into());
        fields.insert("task_id".into(), "r1".into());
        fields.insert("attempt".into(), 2.into());
        let line = line(LogFormat::Json, &SystemClock::default(), "INFO", "l9_core::run", fields);
        let line: Map<String, Value> = serde_json::from_str(&line).unwrap();
        for name in ["timestamp", "level", "module", "message", "agent_id", "task_id", "correlation_id", "duration_ms"]
        {
            assert!(line.contains_key(name), "{name}");
        }
        assert_eq!((line["level"].as_str(), line["task_id"].as_str()), (Some("info"), Some("r1")));
        assert_eq!((&line["agent_id"], &line["attempt"]), (&Value::Null, &json!(2)));
    }

    #[test]
    fn a_line_has_neither_secrets_nor_personal_data_and_stays_what_it_is() {
        let secret = secrecy::SecretString::from("hunter2-hunter2".to_owned());
        let secrets = l9::redact::KnownSecrets::new([&secret]);
        for format in [LogFormat::Json, LogFormat::Text] {
            let mut fields = Map::new();
            fields.insert("message".into(), "ada@example.org said hunter2-hunter2, call +49 30 1234567".into());
            fields.insert("task_id".into(), "0190a5d2-1234-7abc-8def-0123456789ab".into());
            fields.insert("bytes".into(), 1_764_374_330_123_u64.into());
            fields.insert("from".into(), "127.0.0.1:48820".into());
            let line = line(format, &SystemClock::default(), "INFO", "l9_core::run", fields);
            let clean = clean(&secrets, &line);
            let masked = line
                .replace("ada@example.org", "[email]")
                .replace("hunter2-hunter2", "[redacted]")
                .replace("+49 30 1234567", "[phone]");
            assert_eq!(clean, masked);
            assert!(!clean.contains("ada@") && !clean.contains("hunter2"));
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in ["info", "WARN", "off", "info,l9_core=debug", "l9_core=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["loud", "info,l9_core", "l9_core=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_line_is_one_line() {
        let mut fields = Map::new();
        fields.insert("message".into(), "first\n2026 INFO forged\u{1b}[31m".into());
        let line = line(LogFormat::Text, &SystemClock::default(), "WARN", "m", fields);
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
    }
}
