//! The parameters of a statement: which types they have, and their values as those.
//!
//! The server infers the types, as it does for a constant that stands in a parameter's place, and
//! its own input functions read the values: nothing here knows how a type is written. A value
//! never becomes a part of a statement.

use l9_core::tool::ToolFault;
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgStatement, PgTypeInfo};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, Row as _, SqlSafeStr as _, Statement as _, Type,
    TypeInfo as _, ValueRef as _,
};

use super::Postgres;
use crate::builtin::sql::engine::{miscounted, said};

impl Postgres {
    /// Parses a statement. Its parameters have the types that the server infers; one whose value
    /// is none of its type has the value's own.
    pub(super) async fn prepare(
        &self,
        connection: &mut PgConnection,
        sql: &str,
        params: &[Value],
    ) -> Result<PgStatement, ToolFault> {
        let statement = match parse(connection, sql, &[]).await {
            Err(error @ sqlx::Error::Database(_)) if !params.is_empty() => {
                // What stands around it may say nothing, as in `$1 IS NULL`.
                let own: Vec<PgTypeInfo> = params.iter().map(own).collect();
                parse(connection, sql, &own).await.map_err(|_| self.refused(error))?
            }
            parsed => parsed.map_err(|error| self.refused(error))?,
        };
        let kinds = kinds(&statement);
        if kinds.len() != params.len() {
            return Err(miscounted(kinds.len(), params.len(), "$1"));
        }
        let Some(other) = kinds.iter().zip(params).position(|(kind, param)| !fits(kind, param)) else {
            return Ok(statement);
        };
        let chosen =
            kinds.iter().zip(params).map(|(kind, param)| if fits(kind, param) { kind.clone() } else { own(param) });
        let chosen: Vec<PgTypeInfo> = chosen.collect();
        parse(connection, sql, &chosen).await.map_err(|error| {
            let (kind, at) = (kinds[other].name().to_lowercase(), other + 1);
            unfit(format!(
                "${at} is {kind} here and params has {} for it: {}",
                params[other],
                self.refused(error).message
            ))
        })
    }

    /// The values as the types of a statement's parameters.
    pub(super) async fn bind(
        &self,
        connection: &mut PgConnection,
        statement: &PgStatement,
        params: &[Value],
    ) -> Result<PgArguments, ToolFault> {
        let mut arguments = PgArguments::default();
        let kinds = kinds(statement);
        if kinds.is_empty() {
            return Ok(arguments);
        }
        let encoded = encode(connection, kinds, params).await.map_err(|error| {
            let value = is_about_a_value(&error);
            let fault = self.refused(error);
            if value { unfit(fault.message) } else { fault }
        })?;
        for value in encoded {
            arguments.add(value).map_err(said)?;
        }
        Ok(arguments)
    }
}

/// Parses within the transaction, which goes on where that fails.
async fn parse(connection: &mut PgConnection, sql: &str, kinds: &[PgTypeInfo]) -> sqlx::Result<PgStatement> {
    connection.execute("SAVEPOINT l9_parameters").await?;
    let parsed = connection.prepare_with(AssertSqlSafe(sql.to_owned()).into_sql_str(), kinds).await;
    if let Err(sqlx::Error::Database(_)) = &parsed {
        connection.execute("ROLLBACK TO SAVEPOINT l9_parameters").await?;
    }
    // Within a savepoint nothing else runs.
    connection.execute("RELEASE SAVEPOINT l9_parameters").await?;
    parsed
}

/// Lets the server read the texts of the values, and takes what it made of them.
async fn encode(connection: &mut PgConnection, kinds: &[PgTypeInfo], params: &[Value]) -> sqlx::Result<Vec<Encoded>> {
    let oids = kinds.iter().map(|kind| kind.oid().map_or(0, |oid| oid.0));
    // Of no particular length, or a `char` would be of one.
    let names: Vec<String> = oids.map(|oid| format!("pg_catalog.format_type({oid}, -1)")).collect();
    let names = AssertSqlSafe(format!("SELECT {}", names.join(", ")));
    let names = sqlx::query(names).persistent(false).fetch_one(&mut *connection).await?;
    let mut casts = Vec::with_capacity(kinds.len());
    let mut texts = PgArguments::default();
    for (at, param) in params.iter().enumerate() {
        casts.push(format!("CAST(${} AS {})", at + 1, names.try_get::<&str, _>(at)?));
        texts.add(text(param)).map_err(sqlx::Error::Encode)?;
    }
    let casts = AssertSqlSafe(format!("SELECT {}", casts.join(", ")));
    let row = sqlx::query_with(casts, texts).persistent(false).fetch_one(connection).await?;
    let encoded = kinds.iter().enumerate().map(|(at, kind)| {
        let value = row.try_get_raw(at)?;
        let bytes = if value.is_null() { None } else { Some(value.as_bytes().map_err(sqlx::Error::Decode)?.to_vec()) };
        Ok(Encoded { kind: kind.clone(), bytes })
    });
    encoded.collect()
}

/// A value in the binary form of its type.
struct Encoded {
    kind: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Type<sqlx::Postgres> for Encoded {
    fn type_info() -> PgTypeInfo {
        <String as Type<sqlx::Postgres>>::type_info()
    }
}

impl Encode<'_, sqlx::Postgres> for Encoded {
    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.clone())
    }

    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }
}

fn kinds(statement: &PgStatement) -> &[PgTypeInfo] {
    match statement.parameters() {
        Some(Either::Left(kinds)) => kinds,
        _ => &[],
    }
}

/// Whether a value may be one of a type. Texts may be of any, as constants are; numbers and flags
/// are not taken for dates, texts and the like.
fn fits(kind: &PgTypeInfo, value: &Value) -> bool {
    let is_text_of = |reads: fn(&str) -> bool| text(value).is_some_and(|text| reads(&text));
    match (value, kind.name()) {
        (Value::Number(_), "INT2") => is_text_of(|text| text.parse::<i16>().is_ok()),
        (Value::Number(_), "INT4") => is_text_of(|text| text.parse::<i32>().is_ok()),
        (Value::Number(_), "INT8") => is_text_of(|text| text.parse::<i64>().is_ok()),
        (Value::Number(_), kind) => {
            matches!(kind, "FLOAT4" | "FLOAT8" | "NUMERIC" | "MONEY" | "OID" | "JSON" | "JSONB")
        }
        (Value::Bool(_), kind) => matches!(kind, "BOOL" | "JSON" | "JSONB"),
        _ => true,
    }
}

/// The type of a value by itself.
fn own(value: &Value) -> PgTypeInfo {
    match value {
        Value::Bool(_) => <bool as Type<sqlx::Postgres>>::type_info(),
        Value::Number(number) if number.as_i64().is_some() => <i64 as Type<sqlx::Postgres>>::type_info(),
        Value::Number(_) => <f64 as Type<sqlx::Postgres>>::type_info(),
        _ => <String as Type<sqlx::Postgres>>::type_info(),
    }
}

/// A value as the server's input functions read it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // Without an exponent, and a whole one without a fraction.
        Value::Number(number) if number.is_f64() => number.as_f64().map(|real| real.to_string()),
        other => Some(other.to_string()),
    }
}

/// Data that are wrong, or not what a domain takes.
fn is_about_a_value(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

fn unfit(what: impl Into<String>) -> ToolFault {
    let mend = "give a value of the type that it is compared with, or cast it in sql, such as $1::date";
    ToolFault::new("invalid_input", format!("{}; {mend}", what.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_without_exponents() {
        for (value, read) in [
            (json!(5), "5"),
            (json!(5.0), "5"),
            (json!(-0.125), "-0.125"),
            (json!(1e21), "1000000000000000000000"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(true), "true"),
            (json!("5"), "5"),
        ] {
            assert_eq!(text(&value).as_deref(), Some(read));
        }
        assert_eq!(text(&Value::Null), None);
    }

    #[test]
    fn a_value_fits_what_it_may_be_without_a_cast() {
        let fits = |kind: &'static str, value: Value| fits(&PgTypeInfo::with_name(kind), &value);
        for (kind, value) in [
            ("INT2", json!(32_767)),
            ("INT4", json!(-2_147_483_648_i64)),
            ("INT8", json!(7.0)),
            ("NUMERIC", json!(0.1)),
            ("BOOL", json!(true)),
            ("JSONB", json!(true)),
            ("UUID", json!("text")),
            ("DATE", Value::Null),
        ] {
            assert!(fits(kind, value.clone()), "{kind} {value}");
        }
        for (kind, value) in [
            ("INT2", json!(32_768)),
            ("INT4", json!(0.5)),
            ("INT8", json!(1e300)),
            ("TEXT", json!(1)),
            ("DATE", json!(20_260_301)),
            ("BOOL", json!(1)),
            ("INT4", json!(true)),
        ] {
            assert!(!fits(kind, value.clone()), "{kind} {value}");
        }
    }
}
