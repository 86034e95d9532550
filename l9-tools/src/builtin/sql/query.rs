//! The tool: which database is meant, and a question and an answer in types.

use std::collections::BTreeMap;
use std::sync::Arc;

use l9_core::Result;
use l9_core::tool::{ArgRole, EffectClass, Limits};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::engine::{self, Engine, Question};
use super::settings::Databases;
use crate::native::{self, Fault, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The database's name.
    #[schemars(length(min = 1, max = 64))]
    database: String,
    /// One statement that reads: SELECT, VALUES or WITH … SELECT. Parameters are $1, $2, … in
    /// PostgreSQL and ?1, ?2, … in SQLite.
    #[schemars(length(min = 1, max = 20_000))]
    sql: String,
    /// The parameters' values, in order. PostgreSQL reads them as what they are compared with;
    /// write $1::date and the like where nothing tells.
    #[serde(default)]
    #[schemars(schema_with = "params")]
    params: Vec<Value>,
    /// The most rows to return.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    limit: u32,
}

fn params(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "maxItems": 100,
        "items": {"type": ["null", "boolean", "number", "string"]}
    })
}

fn hundred() -> u32 {
    100
}

/// The `sql/query` tool over these databases. Nothing is connected to before a call.
///
/// # Errors
/// `Invalid` for a database whose name, address or figures cannot be used.
pub fn sql_query(databases: &Databases) -> Result<NativeTool> {
    let engines = databases.iter().map(|(name, settings)| Ok((name.clone(), engine::open(name, settings)?)));
    let engines: Arc<BTreeMap<String, Arc<dyn Engine>>> = Arc::new(engines.collect::<Result<_>>()?);
    let tool = native::tool(
        "sql/query",
        "1.1.0",
        "Reads a SQL database (SQLite or PostgreSQL) that the operator has named, with one SELECT. It cannot change \
         anything. Tables and columns are in information_schema.columns (PostgreSQL) or sqlite_schema (SQLite). Give \
         values as parameters. Returns columns and rows; truncated says that there were more.",
    )
    .title("Query a database")
    .effect(EffectClass::Read)
    .arg("/database", ArgRole::Target.into())
    .arg("/sql", ArgRole::Body.into())
    .arg("/params", ArgRole::Body.into())
    .limits(Limits { wall_ms: 60_000, input_bytes: 256 << 10, depth: 6, output_bytes: 2 << 20, ..Limits::default() })
    .handler(move |_, asked: Asked| {
        let engines = Arc::clone(&engines);
        async move { ask(&engines, asked).await }
    });
    Ok(tool)
}

async fn ask(engines: &BTreeMap<String, Arc<dyn Engine>>, asked: Asked) -> native::Result<Answer> {
    let Asked { database, sql, params, limit } = asked;
    let Some(engine) = engines.get(&database) else { return Err(unknown(engines, &database)) };
    Ok(engine.ask(Question { sql, params, rows: limit as usize }).await?)
}

fn unknown(engines: &BTreeMap<String, Arc<dyn Engine>>, database: &str) -> Fault {
    if engines.is_empty() {
        return Fault::invalid_input(format!("there is no database {database:?}: none is set, see tools.databases"));
    }
    let known: Vec<&str> = engines.keys().map(String::as_str).collect();
    Fault::invalid_input(format!("there is no database {database:?}: use one of {}", known.join(", ")))
}
