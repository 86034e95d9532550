//! Vectors of layers that are declared unsealed, kept and searched by pgvector.
//!
//! The table is made when a layer is declared, not by a migration: databases without the
//! extension stay as they are. A vector is the parts of its code as 16-bit floats, which hold
//! them exactly, so that the database compares what the sealed index compares.

use std::collections::HashSet;
use std::fmt::Write as _;

use async_trait::async_trait;
use l9_core::digest::{Digest, sha256};
use l9_core::id::TenantId;
use l9_core::memory::{Layer, Query, Space};
use l9_core::{Error, Result};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::database::Database;
use super::memory::uuid;
use crate::kept::{Unsealed as Kept, Value, layer_number};
use crate::retrieval::Near;
use crate::vectors::{Code, turned};

/// The oldest version of the extension that goes on looking where a filter leaves few.
const OLDEST: (u32, u32) = (0, 8);
/// The most dimensions that its index takes of 16-bit floats.
const MOST_DIMENSIONS: usize = 4000;
/// The most neighbours that its index may be told to look at first.
const MOST_LOOKED_AT: usize = 1000;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS unsealed_vectors (
    tenant text COLLATE \"C\" NOT NULL,
    id bytea NOT NULL,
    embedder text COLLATE \"C\" NOT NULL,
    layer bigint NOT NULL,
    vector halfvec NOT NULL,
    PRIMARY KEY (tenant, id, embedder),
    FOREIGN KEY (tenant, id) REFERENCES entries (tenant, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS unsealed_vectors_by_layer ON unsealed_vectors (layer)";

const INSERT: &str = "INSERT INTO unsealed_vectors (tenant, id, embedder, layer, vector) \
    SELECT e.tenant, e.id, $3, e.layer, $4::text::halfvec FROM entries e WHERE e.tenant = $1 AND e.id = $2 \
    ON CONFLICT DO NOTHING";

/// An entry of a layer of `$1` that is about nobody.
const OPEN: &str = "e.layer = ANY ($1) AND NOT EXISTS (SELECT 1 FROM entry_subjects s \
    WHERE s.tenant = e.tenant AND s.id = e.id)";

/// Open vectors of one embedder.
#[derive(Debug)]
pub struct Unsealed {
    database: Database,
    layers: Vec<Layer>,
    /// The embedder's name as a literal.
    embedder: String,
    dimensions: usize,
}

impl Unsealed {
    /// Brings the database in line with the layers that are declared: what lies open of others
    /// is removed, and what is sealed of these, so that it is made anew. Nothing is given if no
    /// layer is declared.
    ///
    /// # Errors
    /// `Invalid` without an embedder, for one of too many dimensions, or if the database has no
    /// pgvector of version 0.8 or newer.
    pub async fn open(database: &Database, layers: &[Layer], space: Option<&Space>) -> Result<Option<Self>> {
        let mut connection = database.connect().await?;
        let opened = match (layers, space) {
            ([], _) => {
                close(&mut connection).await.map_err(|error| database.fault(error))?;
                None
            }
            (_, None) => {
                let mend = "set an embedder, or leave the layers out";
                return Err(Error::invalid(format!(
                    "memory.unsealed_layers names layers, and memory.embedder is none: {mend}"
                )));
            }
            (layers, Some(space)) => {
                check(&mut connection, database, space).await?;
                let new = Self {
                    database: database.clone(),
                    layers: layers.to_vec(),
                    embedder: format!("'{}'", space.name().replace('\'', "''")),
                    dimensions: space.dimensions(),
                };
                new.arrange(&mut connection).await.map_err(|error| database.fault(error))?;
                Some(new)
            }
        };
        drop(connection.close().await);
        Ok(opened)
    }

    async fn arrange(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Self { embedder, dimensions, .. } = self;
        let mut layers: Vec<i64> = self.layers.iter().copied().map(layer_number).collect();
        layers.sort_unstable();
        layers.dedup();
        let mut transaction = connection.begin().await?;
        super::schema::lock(&mut transaction).await?;
        sqlx::raw_sql(TABLE).execute(&mut *transaction).await?;
        let index = format!("unsealed_near_{}", &sha256(&[embedder.as_bytes()]).to_string()[..16]);
        let sql = format!(
            "CREATE INDEX IF NOT EXISTS {index} ON unsealed_vectors \
             USING hnsw ((vector::halfvec({dimensions})) halfvec_cosine_ops) WHERE embedder = {embedder}"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        self.drop_indexes(&mut transaction, &index).await?;
        let others = sqlx::query("DELETE FROM unsealed_vectors WHERE layer <> ALL ($1)").bind(&layers);
        let removed = others.execute(&mut *transaction).await?.rows_affected();
        let declared = layers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        let noted = "INSERT INTO meta (name, value) VALUES ('unsealed_layers', $1) ON CONFLICT (name) \
                     DO UPDATE SET value = excluded.value WHERE meta.value <> excluded.value";
        if sqlx::query(noted).bind(declared).execute(&mut *transaction).await?.rows_affected() > 0 {
            let sealed =
                format!("DELETE FROM vectors v USING entries e WHERE v.tenant = e.tenant AND v.id = e.id AND {OPEN}");
            sqlx::query(AssertSqlSafe(sealed)).bind(&layers).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        if removed > 0 {
            sqlx::raw_sql("VACUUM unsealed_vectors").execute(connection).await?;
        }
        Ok(())
    }

    /// Drops the indexes of embedders that have no vectors any more.
    async fn drop_indexes(&self, connection: &mut PgConnection, but: &str) -> Result<(), sqlx::Error> {
        let others: Vec<String> = sqlx::query_scalar(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() \
             AND tablename = 'unsealed_vectors' AND indexname LIKE 'unsealed\\_near\\_%' AND indexname <> $1",
        )
        .bind(but)
        .fetch_all(&mut *connection)
        .await?;
        if others.is_empty() {
            return Ok(());
        }
        let used = format!("SELECT EXISTS (SELECT 1 FROM unsealed_vectors WHERE embedder <> {})", self.embedder);
        if !sqlx::query_scalar::<_, bool>(AssertSqlSafe(used)).fetch_one(&mut *connection).await? {
            let drop = format!("DROP INDEX {}", others.join(", "));
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(connection).await?;
        }
        Ok(())
    }

    async fn rows(&self, mut query: QueryBuilder<Postgres>, settings: &str) -> Result<Vec<Near>> {
        let read = Box::pin(async {
            let mut transaction = self.database.pool().begin().await?;
            sqlx::raw_sql(AssertSqlSafe(settings.to_owned())).execute(&mut *transaction).await?;
            // Planned each time: a plan for any tenant may leave the index aside.
            let rows = query.build().persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            rows.iter().map(near).collect()
        });
        self.database.within(read).await
    }
}

#[async_trait]
impl Kept for Unsealed {
    fn holds(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    async fn open_of(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let sql = format!("SELECT e.id FROM entries e WHERE {OPEN} AND e.tenant = $2 AND e.id = ANY ($3)");
        let layers: Vec<i64> = self.layers.iter().copied().map(layer_number).collect();
        let ask = sqlx::query(AssertSqlSafe(sql)).bind(layers).bind(tenant.as_str()).bind(bytes(ids));
        let found = self.database.within(ask.fetch_all(self.database.pool())).await?;
        found.iter().map(|row| uuid(row, 0)).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    fn insert(&self) -> &'static str {
        INSERT
    }

    fn form(&self, code: &Code) -> Value {
        Value::Text(form(code.parts()))
    }

    async fn indexed(
        &self,
        tenant: &TenantId,
        (agent, session): (Option<Digest>, Option<Digest>),
        asked: &Query,
        vector: &[f32],
        k: usize,
    ) -> Result<Vec<Near>> {
        let Self { embedder, dimensions, .. } = self;
        let to = format!("u.vector::halfvec({dimensions}) <=> {}::halfvec({dimensions})", literal(vector)?);
        let mut query = QueryBuilder::new(format!(
            "SELECT u.id, 1 - ({to}) FROM unsealed_vectors u JOIN entries e ON e.tenant = u.tenant AND e.id = u.id \
             WHERE u.embedder = {embedder} AND u.tenant = "
        ));
        query.push_bind(tenant.as_str());
        if let Some(agent) = agent {
            query.push(" AND (e.agent IS NULL OR e.agent = ").push_bind(agent.as_bytes().to_vec()).push(")");
        }
        if let Some(session) = session {
            query.push(" AND e.session = ").push_bind(session.as_bytes().to_vec());
        }
        if let Some(layer) = asked.layer {
            query.push(" AND u.layer = ").push_bind(layer_number(layer));
        }
        if let Some(time) = asked.as_of {
            query.push(" AND e.recorded_at <= ").push_bind(time.as_millis());
        }
        if let Some(time) = asked.valid_at {
            query.push(" AND coalesce(e.valid_from <= ").push_bind(time.as_millis());
            query.push(", TRUE) AND coalesce(e.valid_to > ").push_bind(time.as_millis()).push(", TRUE)");
        }
        if asked.as_of.is_none() && asked.valid_at.is_none() {
            query.push(" AND e.standing = 0");
        }
        query.push(format!(" ORDER BY {to} LIMIT {k}"));
        let looked_at = k.saturating_mul(2).min(MOST_LOOKED_AT);
        let settings = format!("SET LOCAL hnsw.iterative_scan = relaxed_order; SET LOCAL hnsw.ef_search = {looked_at}");
        self.rows(query, &settings).await
    }

    async fn compared(&self, tenant: &TenantId, ids: &[Uuid], vector: &[f32], k: usize) -> Result<Vec<Near>> {
        let Self { embedder, .. } = self;
        // No index orders by this, so that none is used.
        let mut query = QueryBuilder::new(format!(
            "SELECT u.id, 1 - (u.vector <=> {}::halfvec) AS similarity FROM unsealed_vectors u \
             WHERE u.embedder = {embedder} AND u.tenant = ",
            literal(vector)?
        ));
        query.push_bind(tenant.as_str()).push(" AND u.id = ANY (").push_bind(bytes(ids));
        query.push(format!(") ORDER BY similarity DESC, u.id LIMIT {k}"));
        self.rows(query, "SET LOCAL jit = off").await
    }
}

/// Removes what lies open, if anything does: it is made anew, and sealed.
async fn close(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let there = sqlx::query_scalar::<_, bool>("SELECT to_regclass('unsealed_vectors') IS NOT NULL");
    if !there.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let any = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT 1 FROM unsealed_vectors)");
    if any.fetch_one(&mut *connection).await? {
        sqlx::raw_sql("TRUNCATE unsealed_vectors").execute(&mut *connection).await?;
    }
    let forget = sqlx::raw_sql("DELETE FROM meta WHERE name = 'unsealed_layers'");
    forget.execute(connection).await.map(drop)
}

/// Refuses a database whose pgvector cannot do what is asked of it, and says who can mend that.
async fn check(connection: &mut PgConnection, database: &Database, space: &Space) -> Result<()> {
    let refuse = |found: String, mend: &str| {
        let shown = database.shown();
        Err(Error::invalid(format!("memory.unsealed_layers needs pgvector 0.8 or newer in {shown}: {found}. {mend}")))
    };
    let (extension, offered, reachable): (Option<String>, Option<String>, bool) = sqlx::query_as(
        "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector'), \
         (SELECT default_version::text FROM pg_available_extensions WHERE name = 'vector'), \
         to_regtype('halfvec') IS NOT NULL",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| database.fault(error))?;
    let Some(version) = extension else {
        return match offered {
            Some(offered) => refuse(
                format!("its server offers version {offered}, and the database does not have it"),
                "Have a superuser run CREATE EXTENSION vector in that database, or leave the layers out",
            ),
            None => refuse(
                "its server does not have it".to_owned(),
                "Have who runs the server install it and a superuser run CREATE EXTENSION vector in that database, or leave the layers out",
            ),
        };
    };
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
        return refuse(
            format!("version {version} is there"),
            "Have who runs the server install a newer one and a superuser run ALTER EXTENSION vector UPDATE, or leave the layers out",
        );
    }
    if !reachable {
        return refuse(
            format!("version {version} is there, in a schema that L9's user does not see"),
            "Have a superuser run ALTER EXTENSION vector SET SCHEMA public, or leave the layers out",
        );
    }
    if space.dimensions() > MOST_DIMENSIONS {
        let (name, dimensions) = (space.name(), space.dimensions());
        return Err(Error::invalid(format!(
            "the embedder {name} makes vectors of {dimensions} dimensions, and pgvector indexes {MOST_DIMENSIONS} at most: use another, or leave memory.unsealed_layers out"
        )));
    }
    Ok(())
}

/// A vector of a query as a literal: digits and signs, nothing of anybody's.
fn literal(vector: &[f32]) -> Result<String> {
    Ok(format!("'{}'", form(turned(vector)?)))
}

/// The form in which pgvector reads a vector.
fn form<T: std::fmt::Display>(parts: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("[");
    for (at, part) in parts.into_iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        // Writing to a text does not fail.
        let _ = write!(out, "{comma}{part}");
    }
    out.push(']');
    out
}

fn bytes(ids: &[Uuid]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.as_bytes().as_slice()).collect()
}

fn near(row: &PgRow) -> Result<Near, sqlx::Error> {
    Ok(Near { id: uuid(row, 0)?, similarity: row.try_get::<f64, _>(1)? as f32 })
}
