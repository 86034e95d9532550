//! `sql/query` over PostgreSQL: what comes out, and what must not be possible.

use std::sync::Arc;
use std::time::Instant;

use l9::Runtime;
use l9_services::Postgres;
use serde_json::{Value, json};

use super::support::{Called, call, fault, reading};

const SCHEMA: &str = "
    CREATE TABLE orders (id int8 PRIMARY KEY, customer text, amount numeric(20, 4), paid bool, note bytea, placed date,
                         weight float8, tags text[]);
    INSERT INTO orders VALUES (1, 'Ilse', 12.5, true, '\\x00ff', '2026-03-01', 0.5, '{a,b}'),
                              (9007199254740993, NULL, NULL, false, NULL, NULL, 'NaN', NULL);
    CREATE SEQUENCE numbers;
    CREATE FUNCTION sneak() RETURNS int LANGUAGE plpgsql VOLATILE SECURITY DEFINER
        AS $$ BEGIN DELETE FROM orders; RETURN 1; END $$;";

struct Sales {
    server: Arc<Postgres>,
    database: String,
    runtime: Runtime,
}

impl Sales {
    /// A database of its own with the orders in it, read by a role that may only read.
    async fn open(timeout_ms: u64) -> Self {
        let server = Postgres::shared();
        let database = server.database();
        let name = name_of(&database);
        let _ = server.sql(&name, SCHEMA);
        let role = format!("reader_of_{name}");
        let grants = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'only-reads'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
        );
        let _ = server.sql(&name, &grants);
        let url = as_role(&server, &name, &role, "only-reads");
        let runtime = reading(&url, timeout_ms).build().await.unwrap();
        Self { server, database: name, runtime }
    }

    async fn ask(&self, sql: &str) -> Called {
        self.ask_with(&json!({"database": "sales", "sql": sql})).await
    }

    async fn ask_with(&self, arguments: &Value) -> Called {
        call(&self.runtime, "sql/query", arguments).await
    }

    /// What the owner sees.
    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database, statement)
    }
}

fn name_of(url: &str) -> String {
    let (_, name) = url.rsplit_once('/').unwrap();
    name.split('?').next().unwrap().to_owned()
}

fn as_role(server: &Postgres, database: &str, role: &str, password: &str) -> String {
    format!("postgresql://{role}:{password}@127.0.0.1:{}/{database}?sslmode=disable", server.port())
}

#[tokio::test]
async fn values_keep_their_types_and_parameters_are_bound() {
    let sales = Sales::open(10_000).await;
    let answer = sales.ask("SELECT * FROM orders ORDER BY id").await.unwrap();
    assert_eq!(
        answer["rows"],
        json!([
            [1, "Ilse", "12.5000", true, "AP8=", "2026-03-01", 0.5, "{a,b}"],
            ["9007199254740993", null, null, false, null, null, "NaN", null]
        ])
    );
    let types: Vec<&str> = answer["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["int8", "text", "numeric", "bool", "bytea", "date", "float8", "text[]"]);
    for (sql, params, rows) in [
        ("SELECT customer FROM orders WHERE id = $1", json!([1]), json!([["Ilse"]])),
        ("SELECT customer FROM orders WHERE customer = $1", json!(["' OR true --"]), json!([])),
        (
            "SELECT id FROM orders WHERE placed = $1::date AND weight < $2 AND paid = $3",
            json!(["2026-03-01", 0.6, true]),
            json!([[1]]),
        ),
        (
            "SELECT id AS a, id AS a FROM orders WHERE $1::text IS NULL ORDER BY 1 LIMIT 1",
            json!([null]),
            json!([[1, 1]]),
        ),
        ("WITH big AS (SELECT sum(amount) AS s FROM orders) SELECT s FROM big; ", json!([]), json!([["12.5000"]])),
        ("VALUES (1, 'x'), (2, 'y') -- two rows", json!([]), json!([[1, "x"], [2, "y"]])),
        ("TABLE orders LIMIT 0", json!([]), json!([])),
    ] {
        let asked = json!({"database": "sales", "sql": sql, "params": params});
        assert_eq!(sales.ask_with(&asked).await.unwrap()["rows"], rows, "{sql}");
    }
}

#[tokio::test]
async fn parameters_are_what_they_are_compared_with() {
    let sales = Sales::open(10_000).await;
    let _ = sales.sql(
        "CREATE TYPE mood AS ENUM ('glad', 'sad');
         CREATE TABLE things (i2 int2, i4 int4, i8 int8, n numeric, r float4, d float8, b bool, t text, c char(3),
                              u uuid, j jsonb, at timestamptz, on_day date, m mood, many int4[], raw bytea);
         INSERT INTO things VALUES (2, 4, 9007199254740993, 0.1, 0.1, 0.1, true, '7', 'abc',
             'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', '2026-03-01 12:00+00', '2026-03-01', 'glad',
             '{1,2}', '\\x00ff');
         GRANT SELECT ON things TO public",
    );
    let ask = async |what: &str, params: Value| {
        let sql = format!("SELECT i4 FROM things WHERE {what}");
        sales.ask_with(&json!({"database": "sales", "sql": sql, "params": params})).await
    };
    for (what, params) in [
        ("i2 = $1 AND i4 = $2 AND i8 = $3", json!([2, 4, "9007199254740993"])),
        ("i4 = $1 AND i4 < $2 AND i2 > $3", json!(["4", 4.5, -3_000_000_000_i64])),
        ("i4 = ANY($1) OR $2 = ANY(many)", json!(["{5,6}", 2])),
        ("n = $1 AND r = $2 AND d = $3", json!([0.1, 0.1, "0.1"])),
        ("n < $1 AND d < $2", json!([1, 1e300])),
        ("b = $1 AND b IS NOT DISTINCT FROM $2", json!([true, "yes"])),
        ("t = $1 AND c = $2 AND c <> $3", json!(["7", "abc", "abd"])),
        ("u = $1", json!(["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"])),
        ("j = $1 AND j -> 'a' = $2 AND j @> $1", json!(["{\"a\": 1}", 1])),
        ("at = $1 AND at > $2 AND on_day = $3", json!(["2026-03-01T13:00:00+01:00", "2026-03-01", "2026-03-01"])),
        ("at - on_day < $1 AND m = $2 AND raw = $3", json!(["1 day", "glad", "\\x00ff"])),
        ("(i4 = $1) IS NULL AND (t = $2) IS NULL AND (at = $3) IS NULL", json!([null, null, null])),
        ("$1 IS NULL AND $2 IS NOT NULL", json!([null, 5])),
        ("left(t || 'more', $1) = '7mo' AND i4 * $2 > 4", json!([3, 1.5])),
    ] {
        let answer = ask(what, params).await;
        assert_eq!(answer.as_ref().map(|answer| &answer["rows"]), Ok(&json!([[4]])), "{what}");
    }
    for (what, params, why) in [
        ("u = $1", json!(["x"]), "invalid input syntax for type uuid: \\\"x\\\" (SQLSTATE 22P02); give a value"),
        ("at = $1", json!(["yesterday or so"]), "invalid input syntax for type timestamp with time zone"),
        ("on_day = $1", json!([20_260_301]), "$1 is date here and params has 20260301 for it"),
        ("i4 = $1 AND t = $2", json!([4, 7]), "$2 is text here and params has 7 for it"),
        ("i4 = $1", json!([true]), "operator does not exist: integer = boolean"),
        ("i4 = $1", json!(["four"]), "type integer: \\\"four\\\""),
        ("j = $1", json!(["a"]), "invalid input syntax for type json"),
        ("m = $1", json!(["angry"]), "invalid input value for enum mood"),
        ("i4 = $2", json!([4]), "has 2 parameters and params has 1"),
        ("i4 = $1", json!([4, 5]), "has 1 parameters and params has 2"),
        ("i4 = $1", json!([]), "has 1 parameters and params has 0"),
    ] {
        let (code, message) = fault(ask(what, params).await);
        assert!(code == "invalid_input" && message.contains(why), "{what}: {code} {message}");
    }
    // By itself a value is what it is in JSON.
    let own =
        json!({"database": "sales", "sql": "SELECT $1, $2, $3, $4", "params": [3_000_000_000_i64, 0.5, true, "x"]});
    assert_eq!(sales.ask_with(&own).await.unwrap()["rows"], json!([[3_000_000_000_i64, 0.5, true, "x"]]));
    // A parameter opens no way out of the transaction.
    let out = json!({"database": "sales", "sql": "SELECT set_config($1, 'off', false), sneak()", "params": ["transaction_read_only"]});
    let (_, message) = fault(sales.ask_with(&out).await);
    assert!(message.contains("must be set before any query"), "{message}");
}

#[tokio::test]
async fn whatever_does_more_than_read_is_refused_and_nothing_changes() {
    let sales = Sales::open(10_000).await;
    for (sql, why) in [
        ("WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone", "data-modifying"),
        ("DELETE FROM orders RETURNING id", "syntax error"),
        ("INSERT INTO orders (id) VALUES (7) RETURNING id", "syntax error"),
        ("SELECT sneak()", "read-only transaction"),
        ("SELECT nextval('numbers')", "read-only transaction"),
        ("SELECT setval('numbers', 9)", "permission denied"),
        ("SELECT * FROM orders FOR UPDATE", "FOR UPDATE"),
        ("SELECT pg_read_file('/etc/passwd')", "permission denied"),
        ("SELECT pg_ls_dir('.')", "permission denied"),
        ("SELECT lo_import('/etc/passwd')", "permission denied"),
        ("SELECT pg_reload_conf()", "permission denied"),
        ("SELECT set_config('transaction_read_only', 'off', false), sneak()", "must be set before any query"),
        ("SELECT query_to_xml('DELETE FROM orders', true, true, '')", "not allowed in a non-volatile"),
        ("COPY orders TO PROGRAM 'true'", "one statement that gives rows"),
        ("COPY (SELECT 1) TO STDOUT", "one statement that gives rows"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "one statement that gives rows"),
        ("SET default_transaction_read_only = off", "one statement that gives rows"),
        ("COMMIT", "one statement that gives rows"),
        ("DO $$ BEGIN DELETE FROM orders; END $$", "one statement that gives rows"),
        ("CALL nothing()", "does not exist"),
        ("SHOW server_version", "syntax error"),
        ("EXPLAIN ANALYZE DELETE FROM orders", "syntax error"),
        ("SELECT 1; DELETE FROM orders", "multiple commands"),
        ("SELECT 1) AS a(c1), (SELECT 2", "syntax error"),
        ("SELECT 1 INTO mine", "one statement that gives rows"),
        ("CREATE TEMP TABLE mine (a int)", "one statement that gives rows"),
    ] {
        let (code, message) = fault(sales.ask(sql).await);
        assert!(message.contains(why), "{sql}: {code} {message}");
    }
    assert_eq!(sales.sql("SELECT count(*) FROM orders"), "2");
    assert_eq!(sales.sql("SELECT last_value, is_called FROM numbers"), "1|f");
}

#[tokio::test]
async fn sessions_of_others_cannot_be_ended() {
    let sales = Sales::open(10_000).await;
    let others =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user AND usename IS NOT NULL";
    let stop = Stop::default();
    // A session of the owner, to have one that could be ended.
    let url = sales.server.url(&sales.database);
    let session = tokio::spawn(hold(url, Arc::clone(&stop)));
    stop.0.notified().await;
    let (code, message) = fault(call(&sales.runtime, "sql/query", &json!({"database": "sales", "sql": others})).await);
    assert!(code == "failed" && message.contains("must be a"), "{code} {message}");
    stop.1.notify_one();
    assert_eq!(session.await.unwrap(), 1, "the session still answers");
}

/// Told when the session is there, and when it may go.
type Stop = Arc<(tokio::sync::Notify, tokio::sync::Notify)>;

async fn hold(url: String, stop: Stop) -> i32 {
    use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
    let mut connection = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
    stop.0.notify_one();
    stop.1.notified().await;
    sqlx::query_scalar("SELECT 1").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_role_that_may_do_more_than_read_is_not_used() {
    let sales = Sales::open(10_000).await;
    let name = &sales.database;
    let ask = |url: String| async move {
        let runtime = reading(&url, 10_000).build().await.unwrap();
        fault(call(&runtime, "sql/query", &json!({"database": "sales", "sql": "SELECT 1"})).await)
    };
    let (code, message) = ask(sales.server.url(name)).await;
    assert!(code == "failed" && message.contains("superuser") && message.contains("granted CONNECT"), "{message}");
    for group in ["pg_execute_server_program", "pg_read_server_files", "pg_signal_backend"] {
        let role = format!("mighty_{group}_{name}");
        let _ = sales.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT {group} TO {role}"));
        let (code, message) = ask(as_role(&sales.server, name, &role, "x")).await;
        assert!(code == "failed" && message.contains(group), "{message}");
    }
    // One that may become a mighty one by itself, within a SELECT too.
    for might in ["superuser", "replication"] {
        let (boss, role) = (format!("boss_{might}_{name}"), format!("under_{might}_{name}"));
        let _ = sales
            .sql(&format!("CREATE ROLE {boss} {might}; CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT {boss} TO {role}"));
        let (code, message) = ask(as_role(&sales.server, name, &role, "x")).await;
        assert!(code == "failed" && message.contains(might), "{message}");
    }
    // dblink connects elsewhere on its own, past the transaction.
    assert!(sales.ask("SELECT 1").await.is_ok());
    let _ = sales.sql("CREATE EXTENSION dblink");
    let (code, message) = fault(sales.ask("SELECT 1").await);
    assert!(code == "failed" && message.contains("functions of dblink"), "{message}");
    let _ = sales.sql("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM public");
    assert!(sales.ask("SELECT 1").await.is_ok());
}

#[tokio::test]
async fn a_query_that_never_ends_is_ended_by_the_server() {
    let sales = Sales::open(300).await;
    for sql in [
        "WITH RECURSIVE n(i) AS (VALUES (1::numeric) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        "SELECT pg_sleep(3600)",
        "SELECT set_config('statement_timeout', '0', false), pg_sleep(3600)",
    ] {
        let began = Instant::now();
        let (code, message) = fault(sales.ask(sql).await);
        assert!(code == "limit.time" && message.contains("300 ms"), "{sql}: {code} {message}");
        assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    }
    // Nothing of it goes on at the server.
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'l9 sql/query' AND datname = current_database()";
    let began = Instant::now();
    while sales.sql(running) != "0" {
        assert!(began.elapsed().as_secs() < 60, "sessions are still there");
    }
}

/// The most memory that this process ever had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn large_values_are_cut_at_the_server_and_many_rows_say_so() {
    let sales = Sales::open(20_000).await;
    let before = peak_kib();
    let large = sales.ask("SELECT repeat('x', 100000000), repeat('y', 3)").await.unwrap();
    assert_eq!((&large["cut_values"], large["rows"][0][0].as_str().unwrap().len()), (&json!(1), 64 << 10));
    assert_eq!(large["rows"][0][1], "yyy");
    // It never came here whole.
    assert!(peak_kib() < before + (64 << 10), "{} KiB, then {} KiB", before, peak_kib());
    let (code, message) = fault(sales.ask("SELECT repeat('x', 2147483647)").await);
    assert!(code == "failed" && message.contains("requested length too large"), "{message}");
    let bytes = sales.ask("SELECT decode(repeat('00', 1000000), 'hex')").await.unwrap();
    assert_eq!(bytes["cut_values"], 1);
    let many = json!({"database": "sales", "sql": "SELECT generate_series(1, 100000000)", "limit": 7});
    let many = sales.ask_with(&many).await.unwrap();
    assert_eq!((&many["row_count"], &many["truncated"], &many["rows"][6]), (&json!(7), &json!(true), &json!([7])));
    let wide = "SELECT repeat('x', 60000), repeat('y', 60000) FROM generate_series(1, 1000)";
    let wide = sales.ask_with(&json!({"database": "sales", "sql": wide, "limit": 10_000})).await.unwrap();
    assert!(wide["truncated"] == json!(true) && wide.to_string().len() < (1 << 20), "{}", wide.to_string().len());
}

#[tokio::test]
async fn faults_name_what_is_wrong_and_never_the_password() {
    let sales = Sales::open(10_000).await;
    let (code, message) = fault(sales.ask("SELECT nothing FROM orders").await);
    assert!(code == "failed" && message.contains("nothing") && message.contains("42703"), "{message}");
    let url = as_role(&sales.server, &sales.database, "nobody_of_that_name", "hunter2-hunter2");
    let runtime = reading(&url, 1_000).build().await.unwrap();
    let (code, message) = fault(call(&runtime, "sql/query", &json!({"database": "sales", "sql": "SELECT 1"})).await);
    assert!(code == "unavailable" && !message.contains("hunter2"), "{code} {message}");
}
