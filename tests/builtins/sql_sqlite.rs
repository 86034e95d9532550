//! `sql/query` over a SQLite file: what comes out, and what must not be possible.

use std::path::Path;
use std::time::Instant;

use l9::Runtime;
use l9::run::Outcome;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use super::support::{Called, by_an_agent, call, fault, reading};

const SCHEMA: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, amount REAL, paid BOOLEAN, note BLOB);
    INSERT INTO orders VALUES (1, 'Ilse', 12.5, 1, x'00ff'), (2, 'Bram', 9007199254740993, 0, NULL),
                              (3, 'Åse', NULL, 1, NULL);
    CREATE VIEW paid AS SELECT id, customer FROM orders WHERE paid;
    CREATE VIRTUAL TABLE words USING fts5(text);
    INSERT INTO words VALUES ('the lighthouse has a green lamp');";

struct Sales {
    folder: TempDir,
    runtime: Runtime,
}

impl Sales {
    async fn open(timeout_ms: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fill(&folder.path().join("sales.db"), SCHEMA).await;
        fill(&folder.path().join("other.db"), "CREATE TABLE secret (word TEXT); INSERT INTO secret VALUES ('x');")
            .await;
        let runtime = reading(&url(&folder), timeout_ms).build().await.unwrap();
        Self { folder, runtime }
    }

    async fn ask(&self, sql: &str) -> Called {
        self.ask_with(&json!({"database": "sales", "sql": sql})).await
    }

    async fn ask_with(&self, arguments: &Value) -> Called {
        call(&self.runtime, "sql/query", arguments).await
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("sales.db")).unwrap()
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("sales.db").display())
}

async fn fill(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn values_keep_their_types_and_parameters_are_bound() {
    let sales = Sales::open(10_000).await;
    let answer = sales.ask("SELECT id, customer, amount, note FROM orders ORDER BY id").await.unwrap();
    assert_eq!(
        answer,
        json!({
            "columns": [
                {"name": "id", "type": "integer"}, {"name": "customer", "type": "text"},
                {"name": "amount", "type": "real"}, {"name": "note", "type": "blob"}
            ],
            "rows": [[1, "Ilse", 12.5, "AP8="], [2, "Bram", 9007199254740992_i64, null], [3, "Åse", null, null]],
            "row_count": 3, "truncated": false, "cut_values": 0
        })
    );
    let bound = json!({
        "database": "sales", "sql": "SELECT customer FROM paid WHERE customer = ?1 OR id = ?2",
        "params": ["' OR 1=1 --", 3]
    });
    assert_eq!(sales.ask_with(&bound).await.unwrap()["rows"], json!([["Åse"]]));
    for (sql, params) in [("SELECT ?1, ?2", json!([1])), ("SELECT ?1", json!([])), ("SELECT 1", json!([1]))] {
        let asked = json!({"database": "sales", "sql": sql, "params": params});
        let (code, fault) = sales.ask_with(&asked).await.unwrap_err();
        assert!(code == "invalid_input" && fault.contains("give one for each"), "{sql}: {code} {fault}");
    }
    for (sql, params, name) in [
        ("SELECT :name", json!(["x"]), ":name"),
        ("SELECT 1 WHERE 1 = @id", json!([]), "@id"),
        ("SELECT ?1, $name", json!(["x", "y"]), "$name"),
        ("SELECT $2", json!(["x"]), "$2"),
        ("SELECT $0", json!(["x"]), "$0"),
    ] {
        let asked = json!({"database": "sales", "sql": sql, "params": params});
        let (code, fault) = sales.ask_with(&asked).await.unwrap_err();
        let why = format!("the parameter {name} has a name: write ?1, ?2");
        assert!(code == "invalid_input" && fault.contains(&why), "{sql}: {code} {fault}");
    }
    for (sql, params, row) in [
        ("SELECT $2, $1, $2", json!(["a", "b"]), json!(["b", "a", "b"])),
        ("SELECT ?, ?", json!(["a", "b"]), json!(["a", "b"])),
        ("SELECT ?2, ?1", json!(["a", "b"]), json!(["b", "a"])),
    ] {
        let asked = json!({"database": "sales", "sql": sql, "params": params});
        assert_eq!(sales.ask_with(&asked).await.unwrap()["rows"], json!([row]), "{sql}");
    }
    let mixed = json!({"database": "sales", "sql": "SELECT ?2, ?", "params": ["a", "b", "c"]});
    let (code, fault) = sales.ask_with(&mixed).await.unwrap_err();
    assert!(code == "invalid_input" && fault.contains("some parameters have a number"), "{code} {fault}");
    for (sql, rows) in [
        ("SELECT 9007199254740992, 9007199254740991", json!([["9007199254740992", 9007199254740991_i64]])),
        ("SELECT text FROM words WHERE words MATCH 'lamp'", json!([["the lighthouse has a green lamp"]])),
        (
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n",
            json!([[6]]),
        ),
        ("SELECT name FROM sqlite_schema WHERE type = 'view'", json!([["paid"]])),
        ("SELECT name FROM pragma_table_info('orders') LIMIT 1", json!([["id"]])),
        ("SELECT 1 WHERE 0; -- nothing\n", json!([])),
    ] {
        assert_eq!(sales.ask(sql).await.unwrap()["rows"], rows, "{sql}");
    }
}

#[tokio::test]
async fn whatever_does_more_than_read_is_refused_and_the_file_stays_as_it_was() {
    let sales = Sales::open(10_000).await;
    let before = sales.bytes();
    let other = sales.folder.path().join("other.db").display().to_string();
    for sql in [
        "DELETE FROM orders RETURNING id".to_owned(),
        "INSERT INTO orders (id) VALUES (9) RETURNING id".to_owned(),
        "WITH old AS (SELECT 1) DELETE FROM orders RETURNING id".to_owned(),
        "CREATE TABLE mine (a)".to_owned(),
        "CREATE TEMP TABLE mine (a)".to_owned(),
        "DROP TABLE orders".to_owned(),
        format!("ATTACH DATABASE '{other}' AS other"),
        "ATTACH DATABASE ':memory:' AS other".to_owned(),
        "PRAGMA writable_schema = ON".to_owned(),
        "PRAGMA query_only = OFF".to_owned(),
        "PRAGMA temp_store_directory = '.'".to_owned(),
        "PRAGMA journal_mode = DELETE".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        "INSERT INTO words (words) VALUES ('optimize')".to_owned(),
        format!("VACUUM INTO '{other}.copy'"),
        "BEGIN IMMEDIATE".to_owned(),
        "REINDEX".to_owned(),
    ] {
        let (code, message) = fault(sales.ask(&sql).await);
        // What gives no rows is not even begun.
        let refused = (code == "failed" && message.contains("not authorized")) || code == "invalid_input";
        assert!(refused, "{sql}: {code} {message}");
    }
    assert_eq!(sales.bytes(), before);
    assert!(!Path::new(&format!("{other}.copy")).exists());
}

#[tokio::test]
async fn two_statements_are_not_one() {
    let sales = Sales::open(10_000).await;
    for sql in
        ["SELECT 1; SELECT 2", "SELECT 1; DELETE FROM orders", "SELECT id FROM orders; SELECT customer FROM orders"]
    {
        let (code, message) = fault(sales.ask(sql).await);
        assert!(code == "invalid_input" || message.contains("not authorized"), "{sql}: {code} {message}");
    }
    let (code, message) = fault(sales.ask("-- nothing").await);
    assert_eq!(code, "invalid_input", "{message}");
}

#[tokio::test]
async fn a_query_that_never_ends_is_ended_and_leaves_no_thread_behind() {
    let sales = Sales::open(300).await;
    let began = Instant::now();
    let endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let (code, message) = fault(sales.ask(endless).await);
    assert!(code == "limit.time" && message.contains("300 ms"), "{code} {message}");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    // Its thread ends with it; only a machine that is very busy takes longer to see that.
    let still = || {
        std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
            let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
            names.filter(|name| name.starts_with("l9-sql")).count()
        })
    };
    while still() > 0 {
        assert!(began.elapsed().as_secs() < 60, "{} threads still run", still());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn large_values_and_many_rows_stay_within_bounds_and_say_so() {
    let sales = Sales::open(10_000).await;
    for sql in ["SELECT zeroblob(1073741824)", "SELECT hex(zeroblob(1073741))  || hex(zeroblob(10737418))"] {
        let (code, message) = fault(sales.ask(sql).await);
        assert!(code == "failed" && message.contains("too big"), "{sql}: {message}");
    }
    let cut = sales.ask("SELECT zeroblob(10000000), 1").await.unwrap();
    assert_eq!((&cut["cut_values"], &cut["truncated"]), (&json!(1), &json!(false)));
    let many = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let first = sales.ask_with(&json!({"database": "sales", "sql": many, "limit": 7})).await.unwrap();
    assert_eq!((&first["row_count"], &first["truncated"], &first["rows"][6]), (&json!(7), &json!(true), &json!([7])));
    let wide = format!("SELECT {} FROM ({many}) LIMIT 10000", vec!["hex(zeroblob(500))"; 60].join(", "));
    let wide = sales.ask_with(&json!({"database": "sales", "sql": wide, "limit": 10_000})).await.unwrap();
    assert!(wide["truncated"] == json!(true) && wide.to_string().len() < (1 << 20), "{}", wide.to_string().len());
}

#[tokio::test]
async fn faults_name_what_is_wrong_and_what_there_is() {
    let sales = Sales::open(10_000).await;
    let (code, message) = fault(sales.ask_with(&json!({"database": "stock", "sql": "SELECT 1"})).await);
    assert!(code == "invalid_input" && message.contains("stock") && message.contains("use one of sales"), "{message}");
    let (code, message) = fault(sales.ask("SELECT colour FROM orders").await);
    assert!(code == "failed" && message.contains("no such column: colour"), "{message}");
    let none = Runtime::builder().in_memory().build().await.unwrap();
    let (code, message) = fault(call(&none, "sql/query", &json!({"database": "sales", "sql": "SELECT 1"})).await);
    assert!(code == "invalid_input" && message.contains("tools.databases"), "{message}");
    let gone = reading("sqlite:nowhere/at/all.db", 500).build().await.unwrap();
    let (code, message) = fault(call(&gone, "sql/query", &json!({"database": "sales", "sql": "SELECT 1"})).await);
    assert!(code == "unavailable" && message.contains("cannot be opened"), "{code} {message}");
    let error = reading("mysql://me:hunter2@h/db", 500).build().await.unwrap_err().to_string();
    assert!(error.contains("tools.databases.sales.url") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn an_agent_reads_rows_as_data_that_nobody_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    fill(&folder.path().join("sales.db"), SCHEMA).await;
    let asked = json!({"database": "sales", "sql": "SELECT customer FROM orders WHERE id = ?1", "params": [1]});
    let result = by_an_agent(reading(&url(&folder), 10_000), "sql/query", &asked).await;
    assert!(matches!(result.outcome, Outcome::Ok { .. }), "{result:?}");
    assert!(!result.label.untrusted.is_empty(), "{result:?}");
}
