//! Where nodes live: the database they share, the proxies before it, the ledger, the model
//! provider, and an observer that reads the journal without being a node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use l9::Runtime;
use l9_services::{Ledger, Postgres, Proxy, Redis};
use tempfile::TempDir;

use crate::script;
use crate::settings::{Settings, Store};
use crate::support::provider::Provider;

/// How long a lease lasts, in milliseconds: the least that is allowed.
pub(crate) const LEASE_MS: u64 = 5_000;

/// About how long the ledger takes to answer.
const LEDGER: Duration = Duration::from_millis(60);

/// A private PostgreSQL server, and a proxy before it for each node.
pub(crate) struct Database {
    pub(crate) server: Arc<Postgres>,
    pub(crate) proxies: Vec<Proxy>,
    url: String,
}

/// Everything around the nodes.
pub(crate) struct Site {
    pub(crate) ledger: Ledger,
    pub(crate) observer: Runtime,
    /// Another observer, whose clock stands long ago: what it makes was not looked at since.
    pub(crate) ancient: Runtime,
    /// Nodes share one file if there is none.
    pub(crate) database: Option<Database>,
    /// Each node has a queue of its own if there is none.
    pub(crate) redis: Option<Arc<Redis>>,
    provider: Provider,
    folder: TempDir,
}

impl Site {
    /// Builds one without nodes.
    pub(crate) async fn build(settings: &Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::start(LEDGER).await;
        let provider = Provider::answering(script::choices, Duration::from_millis(2)).await;
        script::prepare(folder.path(), ledger.address);
        std::fs::create_dir(folder.path().join("lives")).unwrap();
        let database = match settings.store {
            Store::Sqlite => None,
            Store::Postgres => Some(Database::start(settings.nodes).await),
        };
        let redis = match settings.wipes > 0 || settings.redis {
            false => None,
            true => Some(Arc::new(tokio::task::spawn_blocking(Redis::start).await.unwrap())),
        };
        let observer = outsider(folder.path(), database.as_ref(), None).await;
        let ancient = outsider(folder.path(), database.as_ref(), Some(0)).await;
        Self { ledger, observer, ancient, database, redis, provider, folder }
    }

    /// The folder of what the nodes say.
    pub(crate) fn lives(&self) -> PathBuf {
        self.folder.path().join("lives")
    }

    /// The environment of a node of that name at that place.
    pub(crate) fn environment(&self, place: usize, name: &str) -> Vec<(String, String)> {
        let folder = self.folder.path();
        // Over PostgreSQL nodes have nothing in common but the database and the key.
        let data = if self.database.is_some() { format!("data-{place}") } else { "data".to_owned() };
        let path = |name: &str| folder.join(name).display().to_string();
        let mut environment: Vec<(String, String)> = [
            ("L9_DATA_DIR", path(&data)),
            ("L9__STORAGE__ROOT_KEY", path("root.key")),
            ("L9__AGENTS__DIR", path("agents")),
            ("L9__TOOLS__DIR", path("tools")),
            ("L9__WORKERS__NODE", name.to_owned()),
            ("L9__WORKERS__LEASE_MS", LEASE_MS.to_string()),
            ("L9__SCHEDULER__POLL_MS", "100".to_owned()),
            // So few that calls of a run wait for each other.
            ("L9__WORKERS__CAPACITY__KEYED_WRITE", "1".to_owned()),
            ("L9__WORKERS__CAPACITY__OPAQUE_WRITE", "1".to_owned()),
            ("L9__WORKERS__CAPACITY__MODEL", "4".to_owned()),
            // Nobody sits by: an opaque write that was cut off is told to the agent as unknown.
            ("L9__EFFECTS__UNKNOWN", "tell".to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        environment.extend(self.provider.environment().map(|(name, value)| (name.to_owned(), value.to_owned())));
        if let Some(database) = &self.database {
            environment.push(("DATABASE_URL".to_owned(), database.url_through(place)));
            environment.push(("DATABASE_POOL_SIZE".to_owned(), "5".to_owned()));
        }
        if let Some(redis) = &self.redis {
            environment.push(("REDIS_URL".to_owned(), redis.url()));
            environment.push(("L9__WORKERS__QUEUE".to_owned(), "redis".to_owned()));
            environment.push(("L9__WORKERS__CLAIM_MS".to_owned(), "1000".to_owned()));
        }
        environment
    }
}

impl Database {
    async fn start(nodes: usize) -> Self {
        let server = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
        let (url, address) = (server.database(), SocketAddr::from(([127, 0, 0, 1], server.port())));
        let mut proxies = Vec::new();
        for _ in 0..nodes {
            proxies.push(Proxy::start(address).await);
        }
        Self { server: Arc::new(server), proxies, url }
    }

    fn url_through(&self, place: usize) -> String {
        let direct = format!("127.0.0.1:{}/", self.server.port());
        self.url.replace(&direct, &format!("{}/", self.proxies[place].address))
    }
}

/// One that is no node; under a seed its clock stands.
async fn outsider(folder: &Path, database: Option<&Database>, seed: Option<u64>) -> Runtime {
    let mut settings = l9::Settings {
        data_dir: folder.join("data"),
        root_key: Some(folder.join("root.key")),
        // A replay needs the contracts of the tools, and calls none.
        tools_dir: Some(folder.join("tools")),
        node: "observer".into(),
        seed,
        ..l9::Settings::default()
    };
    if let Some(database) = database {
        settings.storage = l9::Storage::Postgres;
        settings.postgres.url = database.url.as_str().into();
        settings.postgres.pool_size = 4;
    }
    Runtime::builder().settings(settings).build().await.unwrap()
}
