//! The root key is rotated beside running work: nothing fails to be read, everything is
//! sealed anew, the old key is destroyed; and whatever goes wrong on the way loses nothing.
#![cfg(all(feature = "sqlite", unix))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use l9_core::ErrorKind;
use l9_core::conformance::Chain;
use l9_core::conformance::chain::{tenant, verified};
use l9_core::entropy::SystemEntropy;
use l9_core::id::{CommandId, ScheduleId, TenantId};
use l9_core::journal::{DeadLetter, RunStore, Snapshot, StoredCommand};
use l9_core::memory::{MemoryStore, NewEntry, NewQuarantine, Query, Scope, Suspect};
use l9_core::run::{Sealer, open_artifact};
use l9_core::schedule::{Schedules, SeriesId, StoredSchedule};
use l9_core::stop::StoredStop;
use l9_core::time::{Clock, SystemClock, Timestamp};
use l9_core::tool::{Cause, ContractHash, Order, ToolChange, ToolLedger, ToolState};
use l9_core::vault::{OwnedPlace, Vault};
use l9_memory::embed::{Asking, Embeddable, Hashing, Worker};
use l9_memory::sqlite;
use l9_memory::vault::{Keyring, Keys, SealedRows, Use};

const LONG: Duration = Duration::from_secs(60);

trait Store: RunStore + ToolLedger + Schedules {}
impl<T: RunStore + ToolLedger + Schedules> Store for T {}

/// A process, as far as the database and the key file can tell.
struct Node {
    store: Arc<dyn Store>,
    memory: Arc<dyn MemoryStore>,
    vectors: Arc<dyn Embeddable>,
    keyring: Arc<Keyring>,
    rows: Arc<dyn SealedRows>,
}

impl Node {
    fn keys(&self) -> Keys {
        Keys::new(Arc::clone(&self.keyring), Arc::clone(&self.rows), clock())
    }

    async fn census(&self) -> Vec<(Option<Use>, u64)> {
        self.keys().census().await.unwrap().into_iter().map(|key| (key.used, key.sealed)).collect()
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

fn asking() -> Arc<Asking> {
    Arc::new(Asking::new(Arc::new(Hashing::default()), clock(), LONG).unwrap())
}

/// Opens a node as the runtime does.
async fn sqlite(folder: &Path, name: &str) -> l9_core::Result<Node> {
    let database = sqlite::Database::open(&sqlite::Settings::at(folder.join("l9.db"))).await?;
    let path = folder.join("root.key");
    let keyring =
        Arc::new(if database.key_id().is_some() { Keyring::open(path) } else { Keyring::open_or_create(path) }?);
    database.bind_key(&keyring.key_id()).await?;
    let memory = sqlite::Memory::new(&database, clock(), Arc::new(SystemEntropy), keyring.clone());
    let memory = Arc::new(memory.with_embedder(asking()));
    let node = Node {
        store: Arc::new(sqlite::Store::open(&database, name).await?),
        memory: Arc::<sqlite::Memory>::clone(&memory),
        vectors: memory,
        keyring,
        rows: Arc::new(database),
    };
    node.keys().admit().await?;
    Ok(node)
}

fn entry(text: String, source: &str) -> NewEntry {
    NewEntry { text, source: Some(source.to_owned()), ..NewEntry::default() }
}

/// Something of every kind that is sealed.
struct Everything {
    tenant: TenantId,
    chain: Chain,
    artifact: l9_core::digest::Digest,
}

async fn fill(node: &Node, owner: &str, records: usize, memories: usize) -> Everything {
    let vault: Arc<dyn Vault> = node.keyring.clone();
    let tenant = tenant("rotation");
    let mut chain = Chain::sealed_by(Arc::clone(&vault), &tenant);
    node.store.create(chain.created()).await.unwrap();
    let lease = node.store.acquire(&tenant, chain.run, owner, LONG).await.unwrap().unwrap();
    let sealer = Sealer { vault: &*vault, entropy: &SystemEntropy };
    let artifact = sealer.artifact(&tenant, "large", b"a large value").unwrap();
    let id = artifact.id;
    let mut append = chain.append(&lease, records, 100);
    append.artifacts.push(artifact);
    let sealed = vault.seal(&tenant, &OwnedPlace::snapshot(chain.run, &chain.head).get(), b"state").unwrap();
    append.snapshot = Some(Snapshot { head: chain.head, sealed });
    node.store.append(append).await.unwrap();
    let sealed = vault.seal(&tenant, &OwnedPlace::command(chain.run, "c1").get(), b"command").unwrap();
    let command = StoredCommand { id: CommandId::new("c1").unwrap(), sealed };
    assert!(node.store.post(&tenant, chain.run, command).await.unwrap());
    let sealed = vault.seal(&TenantId::default_tenant(), &OwnedPlace::stop(tenant.as_str()).get(), b"order").unwrap();
    let scope = tenant.as_str().parse().unwrap();
    node.store.stop(StoredStop { scope, at: Timestamp::from_millis(1), sealed }).await.unwrap();
    let mut dead = Chain::sealed_by(Arc::clone(&vault), &tenant);
    node.store.create(dead.created()).await.unwrap();
    let sealed = vault.seal(&tenant, &OwnedPlace::dead(dead.run).get(), b"no sense").unwrap();
    let letter = DeadLetter { tenant: tenant.clone(), run: dead.run, at: Timestamp::from_millis(1), sealed };
    assert!(node.store.bury(letter).await.unwrap());
    node.store.record(vec![change().seal(&*vault, 1).unwrap()], Vec::new()).await.unwrap();
    store_schedule(node, &tenant).await;
    let new = (0..memories).map(|at| entry(format!("memory number{at} of the vault"), "notes.md")).collect();
    node.memory.remember(&tenant, new).await.unwrap();
    let worker = Worker::new(Arc::clone(&node.vectors), Arc::new(Hashing::default()), clock(), owner).unwrap();
    worker.finish().await.unwrap();
    assert_eq!(worker.status().await.unwrap().embedded, memories as u64);
    let suspect = Suspect::Source("elsewhere.md".into());
    let quarantine = NewQuarantine { suspect, reason: "it may be forged".into(), by: "ada".into() };
    node.memory.quarantine(&tenant, quarantine).await.unwrap();
    node.memory.snapshot(&tenant, None, "before", "ada").await.unwrap();
    Everything { tenant, chain, artifact: id }
}

async fn store_schedule(node: &Node, tenant: &TenantId) {
    let made = Timestamp::from_millis(1);
    let series = SeriesId::generate(made, &SystemEntropy, "series");
    let seal = |column| {
        let place = OwnedPlace::schedule(series.as_bytes(), column);
        node.keyring.seal(tenant, &place.get(), column.as_bytes()).unwrap()
    };
    let (id, definition, state) = (ScheduleId::new("daily").unwrap(), seal("definition"), seal("state"));
    let due_at = None;
    let new =
        StoredSchedule { tenant: tenant.clone(), id, series, version: 0, due_at, created_at: made, definition, state };
    node.store.create_schedule(new).await.unwrap();
}

fn change() -> ToolChange {
    ToolChange {
        tool: "rotation/tool".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        contract: ContractHash::of(&1).unwrap(),
        state: ToolState::Accepted,
        at: Timestamp::from_millis(1_700_000_000_123),
        order: Order { cause: Cause::Decision, by: "ada".into(), reason: "why".into(), signer: None, manifest: None },
    }
}

/// Opens all of it, through a node.
async fn opens(node: &Node, all: &Everything) {
    let (tenant, run, vault) = (&all.tenant, all.chain.run, &*node.keyring);
    let records = node.store.read(tenant, run, 0, usize::MAX).await.unwrap();
    assert_eq!(verified(vault, &records), all.chain.head);
    let sealed = node.store.artifact(tenant, all.artifact).await.unwrap().unwrap();
    assert_eq!(open_artifact(vault, tenant, all.artifact, &sealed).unwrap(), b"a large value");
    let snapshot = node.store.snapshot(tenant, run).await.unwrap().unwrap();
    let place = OwnedPlace::snapshot(run, &snapshot.head);
    assert_eq!(vault.open(tenant, &place.get(), &snapshot.sealed).unwrap(), b"state");
    let command = node.store.pending(tenant, run).await.unwrap().pop().unwrap();
    assert_eq!(vault.open(tenant, &OwnedPlace::command(run, "c1").get(), &command.sealed).unwrap(), b"command");
    let stops = node.store.stops().await.unwrap();
    let stop = stops.iter().find(|stop| stop.scope.as_str() == tenant.as_str()).unwrap();
    let place = OwnedPlace::stop(tenant.as_str());
    assert_eq!(vault.open(&TenantId::default_tenant(), &place.get(), &stop.sealed).unwrap(), b"order");
    let dead = node.store.dead(Some(tenant), 9).await.unwrap();
    assert_eq!(vault.open(tenant, &OwnedPlace::dead(dead[0].run).get(), &dead[0].sealed).unwrap(), b"no sense");
    let stored = node.store.changes(0, 9).await.unwrap();
    assert_eq!(ToolChange::open(vault, &stored[0]).unwrap(), change());
    let stored = node.store.schedule(tenant, &ScheduleId::new("daily").unwrap()).await.unwrap().unwrap();
    for (sealed, column) in [(&stored.definition, "definition"), (&stored.state, "state")] {
        let place = OwnedPlace::schedule(stored.series.as_bytes(), column);
        assert_eq!(vault.open(tenant, &place.get(), sealed).unwrap(), column.as_bytes());
    }
    assert_eq!(node.memory.quarantines(tenant).await.unwrap()[0].reason, "it may be forged");
    assert_eq!(node.memory.snapshots(tenant).await.unwrap()[0].name, "before");
    let query = Query { explain: true, ..Query::new("number3 vault", 3) };
    let hits = node.memory.search(&Scope::tenant(tenant.clone()), &query).await.unwrap();
    assert!(hits[0].why.as_ref().unwrap().meaning.is_some_and(|meaning| meaning > 0.9), "{:?}", hits[0].why);
    assert_eq!(hits[0].entry.entry.text, "memory number3 of the vault");
}

/// Two nodes work while a third rotates, twice.
async fn rotates_beside_running_work(nodes: [Node; 3]) {
    let [one, two, rotating] = nodes;
    let all = fill(&one, "one", 300, 200).await;
    let stop = AtomicBool::new(false);
    let (tenant, before) = (tenant("load"), rotating.keyring.keys());
    let works = async |node: &Node, name: &str| {
        let mut chain = Chain::sealed_by(node.keyring.clone(), &tenant);
        node.store.create(chain.created()).await.unwrap();
        let lease = node.store.acquire(&tenant, chain.run, name, LONG).await.unwrap().unwrap();
        let mut rounds = 0_u32;
        while !stop.load(Ordering::SeqCst) {
            node.store.append(chain.append(&lease, 2, 200)).await.unwrap();
            let new = vec![entry(format!("{name} round{rounds}"), name)];
            assert!(!node.memory.remember(&tenant, new.clone()).await.unwrap()[0].duplicate);
            // What is stored under tokens is found by them, whichever key seals.
            assert!(node.memory.remember(&tenant, new).await.unwrap()[0].duplicate);
            opens(node, &all).await;
            let records = node.store.read(&tenant, chain.run, 0, usize::MAX).await.unwrap();
            assert_eq!(verified(&*node.keyring, &records), chain.head);
            rounds += 1;
        }
        rounds
    };
    let rotate = async {
        let mut rotated = Vec::new();
        for _ in 0..2 {
            rotated.push(rotating.keys().rotate(&|_| {}).await.unwrap());
        }
        stop.store(true, Ordering::SeqCst);
        rotated
    };
    let (rounds, others, rotated) = tokio::join!(works(&one, "one"), works(&two, "two"), rotate);
    println!("{rounds} and {others} rounds beside {rotated:?}");
    assert!(rounds > 3 && others > 3, "{rounds} {others}");
    assert!(rotated[0].resealed > 300 + 400 && rotated[0].destroyed == [before[0].id.clone()], "{rotated:?}");
    assert_eq!(rotated[1].destroyed, [rotated[0].key.clone()]);
    let keys = rotating.keys().census().await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let tables: Vec<&str> = keys[0].tables.keys().copied().collect();
    assert_eq!(
        tables,
        [
            "artifacts",
            "entries",
            "inbox",
            "memory_snapshots",
            "quarantines",
            "records",
            "runs",
            "schedules",
            "snapshots",
            "stops",
            "tool_changes",
            "vectors"
        ]
    );
    opens(&one, &all).await;
    assert_eq!(one.memory.forget_source(&all.tenant, "notes.md").await.unwrap(), 200, "the source's token stays");
}

/// The columns of the file, whichever there are, that hold bytes sealed under a root key.
async fn under(id: &str, folder: &Path) -> Vec<String> {
    let address = format!("sqlite://{}", folder.join("l9.db").display());
    use sqlx::Connection as _;
    let mut database = sqlx::SqliteConnection::connect(&address).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c \
         WHERE t.type = 'table' AND c.type = 'BLOB' AND t.name <> 'root_keys'",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    assert!(columns.len() > 20, "{columns:?}");
    let mark = [&[1][..], &hex::decode(id).unwrap()].concat();
    let mut found = Vec::new();
    for (table, column) in columns {
        let sql = format!("SELECT count(*) FROM {table} WHERE substr({column}, 1, 5) = ?");
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(&mark).fetch_one(&mut database).await.unwrap();
        if rows > 0 {
            found.push(format!("{table}.{column}: {rows}"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_beside_running_work_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = [
        sqlite(folder.path(), "one").await.unwrap(),
        sqlite(folder.path(), "two").await.unwrap(),
        sqlite(folder.path(), "three").await.unwrap(),
    ];
    let old = first_key(folder.path());
    let id = nodes[0].keyring.keys()[0].id.clone();
    rotates_beside_running_work(nodes).await;
    is_gone(&old, folder.path());
    assert_eq!(under(&id, folder.path()).await, Vec::<String>::new(), "every sealed column is one of those rotated");
}

/// The first key of the folder's file, in hexadecimal.
fn first_key(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("root.key")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("key ")).unwrap()[..64].to_owned()
}

/// No file of the folder has a key.
fn is_gone(key: &str, folder: &Path) {
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!has(key.as_bytes()) && !has(&hex::decode(key).unwrap()), "{} has the old key", file.display());
    }
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;
    use l9_memory::postgres::{Database, Memory, Settings, Store};
    use l9_services::Postgres;

    async fn node(url: &str, key: &Path) -> Node {
        let database = Database::open(&Settings::at(url)).await.unwrap();
        let keyring = Arc::new(Keyring::open_or_create(key).unwrap());
        database.bind_key(&keyring.key_id()).await.unwrap();
        let memory = Memory::new(&database, clock(), Arc::new(SystemEntropy), keyring.clone());
        let memory = Arc::new(memory.with_embedder(asking()));
        let node = Node {
            store: Arc::new(Store::new(&database)),
            memory: Arc::<Memory>::clone(&memory),
            vectors: memory,
            keyring,
            rows: Arc::new(database),
        };
        node.keys().admit().await.unwrap();
        node
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keys_rotate_beside_running_work_in_postgresql() {
        let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::shared());
        let (url, key) = (server.database(), folder.path().join("root.key"));
        rotates_beside_running_work([node(&url, &key).await, node(&url, &key).await, node(&url, &key).await]).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_whose_copy_of_the_file_is_old_is_refused_until_it_is_copied() {
        let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::shared());
        let (url, key, copy) = (server.database(), folder.path().join("root.key"), folder.path().join("copy.key"));
        let here = node(&url, &key).await;
        std::fs::copy(&key, &copy).unwrap();
        let there = node(&url, &copy).await;
        let all = fill(&there, "there", 5, 5).await;
        // The key that comes reaches the other node before it seals.
        let next = here.keys().prepare().unwrap();
        assert_eq!(here.keys().prepare().unwrap(), next, "it is one");
        place(&key, &copy);
        let rotated = here.keys().rotate(&|_| {}).await.unwrap();
        assert_eq!(rotated.key, next);
        opens(&there, &all).await;
        let error = there.memory.remember(&all.tenant, vec![entry("late".into(), "x")]).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("retired"), "{error}");
        place(&key, &copy);
        clock().sleep(Duration::from_millis(300)).await;
        there.memory.remember(&all.tenant, vec![entry("late".into(), "x")]).await.unwrap();
        opens(&there, &all).await;
    }
}

/// Puts a file in another's place, as whoever copies it should.
fn place(from: &Path, to: &Path) {
    let beside = to.with_extension("new");
    std::fs::copy(from, &beside).unwrap();
    std::fs::rename(beside, to).unwrap();
}

/// A key file of the first form: 64 hex digits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_first_form_rotates_and_its_tokens_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (path, root) = (folder.path().join("root.key"), "5a".repeat(32));
    std::fs::write(&path, format!("{root}\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let node = sqlite(folder.path(), "one").await.unwrap();
    let all = fill(&node, "one", 20, 20).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{root}\n"), "it stays until it rotates");
    // The first memories of a tenant come while others rotate already, from one who has
    // not looked at the file.
    let stale = Keyring::open(&path).unwrap();
    let late = tenant("late");
    let token = |keyring: &Keyring, whose: &TenantId| keyring.token(whose, "memory.source", b"notes.md");
    let (before, of_late) = (token(&node.keyring, &all.tenant), token(&stale, &late));
    let other = sqlite(folder.path(), "two").await.unwrap();
    let first = AtomicBool::new(true);
    let began = |_: &_| {
        if first.swap(false, Ordering::SeqCst) {
            let kept = other.memory.remember(&late, vec![entry("first words".into(), "notes.md")]);
            // The other handle looked at the file a moment ago, and does not now.
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(kept)).unwrap();
        }
    };
    node.keys().rotate(&began).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&root) && !text.contains("bare"), "the old key is gone");
    for keyring in [&*node.keyring, &Keyring::open(&path).unwrap()] {
        assert_eq!(token(keyring, &all.tenant), before);
    }
    opens(&node, &all).await;
    assert_eq!(node.memory.forget_source(&all.tenant, "notes.md").await.unwrap(), 20);
    assert_eq!(node.memory.forget_source(&late, "notes.md").await.unwrap(), 1, "{of_late}");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o600
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_key_file_is_refused_and_what_it_would_seal_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    let node = sqlite(folder.path(), "one").await.unwrap();
    let all = fill(&node, "one", 5, 5).await;
    let backup = std::fs::read(&path).unwrap();
    let stale = sqlite(folder.path(), "stale").await.unwrap();
    node.keys().prepare().unwrap();
    let rotated = node.keys().rotate(&|_| {}).await.unwrap();
    opens(&stale, &all).await;
    let newest = folder.path().join("newest");
    std::fs::copy(&path, &newest).unwrap();
    // The file of before is put back.
    let old = folder.path().join("old");
    std::fs::write(&old, backup).unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(&old, &path).unwrap();
    let error = sqlite(folder.path(), "late").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("retired") && error.to_string().contains("newest backup"), "{error}");
    // Who runs already seals under it again, and the database takes none of it.
    clock().sleep(Duration::from_millis(300)).await;
    let error = stale.memory.remember(&all.tenant, vec![entry("lost".into(), "x")]).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("retired"), "{error}");
    opens(&stale, &all).await;
    std::fs::rename(&newest, &path).unwrap();
    clock().sleep(Duration::from_millis(300)).await;
    stale.memory.remember(&all.tenant, vec![entry("kept".into(), "x")]).await.unwrap();
    assert_eq!(stale.keyring.keys()[0].id, rotated.key);
    // One of another database is refused as before.
    let other = tempfile::tempdir().unwrap();
    Keyring::open_or_create(other.path().join("root.key")).unwrap();
    place(&other.path().join("root.key"), &path);
    let error = sqlite(folder.path(), "late").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = stale.keys().rotate(&|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("another database"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_does_not_open_keeps_the_old_key() {
    use sqlx::{ConnectOptions as _, Connection as _};
    let folder = tempfile::tempdir().unwrap();
    let node = sqlite(folder.path(), "one").await.unwrap();
    let all = fill(&node, "one", 5, 5).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("l9.db"));
    let mut raw = options.connect().await.unwrap();
    let damage = "UPDATE artifacts SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)";
    sqlx::raw_sql(damage).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let error = node.keys().rotate(&|_| {}).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("artifacts"), "{error}");
    let census = node.census().await;
    assert!(matches!(census[..], [(Some(Use::Opens), _), (Some(Use::Seals), _)]), "{census:?}");
    let hits = node.memory.search(&Scope::tenant(all.tenant.clone()), &Query::new("number3", 1)).await.unwrap();
    assert_eq!(hits.len(), 1);
    let beside = sqlite(folder.path(), "two").await.unwrap();
    let (first, second) = (node.keys(), beside.keys());
    let (none, nothing) = (|_: &_| {}, |_: &_| {});
    let (one, two) = tokio::join!(first.rotate(&none), second.rotate(&nothing));
    let errors = [one.unwrap_err(), two.unwrap_err()];
    assert!(errors.iter().any(|error| error.to_string().contains("another process rotates")), "{errors:?}");
}

const FOLDER: &str = "L9_ROTATION_FOLDER";
const DIES_AT: &str = "L9_ROTATION_DIES_AT";

/// The process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let at: u64 = std::env::var(DIES_AT).unwrap().parse().unwrap();
    let node = sqlite(&PathBuf::from(folder), &format!("child-{at}")).await.unwrap();
    let steps = std::sync::atomic::AtomicU64::new(0);
    let step = |_: &_| {
        if steps.fetch_add(1, Ordering::SeqCst) == at {
            std::process::abort();
        }
    };
    node.keys().rotate(&step).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_died_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = sqlite(folder.path(), "one").await.unwrap();
    let old = first_key(folder.path());
    let all = fill(&node, "one", 300, 100).await;
    let run = |at: u64| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["child", "--exact", "--nocapture"]).env(FOLDER, folder.path()).env(DIES_AT, at.to_string());
        child.output().unwrap().status.success()
    };
    let mut keys = Vec::new();
    for at in 0..8 {
        assert!(!run(0), "it dies once something more is sealed anew");
        opens(&node, &all).await;
        node.memory.remember(&all.tenant, vec![entry(format!("after {at}"), "x")]).await.unwrap();
        keys.push(node.keyring.keys().last().unwrap().id.clone());
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "one key is made, however often it dies: {keys:?}");
    assert!(run(u64::MAX), "it ends");
    assert_eq!(node.census().await.len(), 1);
    opens(&node, &all).await;
    is_gone(&old, folder.path());
}
