//! The stores of a system: which backend, opened with its keys, and how it is closed.

use std::fmt;
use std::sync::Arc;

use l9_core::Result;
use l9_core::entropy::Entropy;
use l9_core::evidence::AuditLog;
use l9_core::journal::RunStore;
use l9_core::memory::MemoryStore;
use l9_core::node::Roster;
use l9_core::schedule::Schedules;
use l9_core::time::Clock;
use l9_core::tool::ToolLedger;
use l9_core::vault::Vault;
use l9_memory::embed::{Asking, Embeddable};
use l9_memory::relations::Readable;
use l9_memory::vault::{Keyring, Keys};

use crate::settings::{Settings, Storage};

/// The stores of a system, opened.
pub(crate) struct Stores {
    pub(crate) runs: Arc<dyn RunStore>,
    pub(crate) log: Arc<dyn AuditLog>,
    pub(crate) tools: Arc<dyn ToolLedger>,
    pub(crate) roster: Arc<dyn Roster>,
    pub(crate) schedules: Arc<dyn Schedules>,
    pub(crate) memory: Arc<dyn MemoryStore>,
    /// What of the memories gets vectors.
    pub(crate) embeddable: Arc<dyn Embeddable>,
    /// What of the memories is read for what it states.
    pub(crate) readable: Arc<dyn Readable>,
    pub(crate) vault: Arc<dyn Vault>,
    /// The root keys, where there is a database that they seal.
    pub(crate) keys: Option<Keys>,
    pub(crate) close: Close,
    pub(crate) database: Option<String>,
}

impl Stores {
    /// Opens what the settings name.
    pub(crate) async fn open(
        settings: &Settings,
        owner: &str,
        (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
        asking: Option<&Arc<Asking>>,
    ) -> Result<Self> {
        match settings.storage {
            Storage::InMemory => {
                let runs = Arc::new(l9_memory::in_memory::Store::new(Arc::clone(clock)));
                let memory = l9_memory::in_memory::Memory::new(Arc::clone(clock), Arc::clone(entropy))
                    .with_quota(settings.memory_quota)
                    .beside(Arc::clone(&runs));
                let memory = Arc::new(match asking {
                    Some(asking) => memory.with_embedder(Arc::clone(asking)),
                    None => memory,
                });
                Ok(Self {
                    log: Arc::<l9_memory::in_memory::Store>::clone(&runs),
                    tools: Arc::<l9_memory::in_memory::Store>::clone(&runs),
                    roster: Arc::<l9_memory::in_memory::Store>::clone(&runs),
                    schedules: Arc::<l9_memory::in_memory::Store>::clone(&runs),
                    runs,
                    embeddable: Arc::<l9_memory::in_memory::Memory>::clone(&memory),
                    readable: Arc::<l9_memory::in_memory::Memory>::clone(&memory),
                    memory,
                    vault: Arc::new(Keyring::ephemeral()),
                    keys: None,
                    close: Close::Nothing,
                    database: None,
                })
            }
            Storage::Sqlite => Self::sqlite(settings, owner, (clock, entropy), asking).await,
            Storage::Postgres => Self::postgres(settings, (clock, entropy), asking).await,
        }
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(
        settings: &Settings,
        owner: &str,
        (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
        asking: Option<&Arc<Asking>>,
    ) -> Result<Self> {
        use l9_memory::sqlite;

        let path = settings.database_path();
        let database = sqlite::Database::open(&sqlite::Settings::at(&path)).await?;
        let key = settings.root_key_path();
        let keyring = match database.key_id() {
            Some(_) => Keyring::open(&key)?,
            None => Keyring::open_or_create(&key)?,
        };
        database.bind_key(&keyring.key_id()).await?;
        let keyring = Arc::new(keyring);
        let keys = keys(settings, &keyring, Arc::new(database.clone()), clock);
        keys.admit().await?;
        let vault: Arc<dyn Vault> = keyring;
        let runs = Arc::new(sqlite::Store::open(&database, owner).await?);
        let memory = sqlite::Memory::new(&database, Arc::clone(clock), Arc::clone(entropy), Arc::clone(&vault))
            .with_quota(settings.memory_quota);
        let memory = Arc::new(match asking {
            Some(asking) => memory.with_embedder(Arc::clone(asking)),
            None => memory,
        });
        Ok(Self {
            log: Arc::<sqlite::Store>::clone(&runs),
            tools: Arc::<sqlite::Store>::clone(&runs),
            roster: Arc::<sqlite::Store>::clone(&runs),
            schedules: Arc::<sqlite::Store>::clone(&runs),
            runs,
            embeddable: Arc::<sqlite::Memory>::clone(&memory),
            readable: Arc::<sqlite::Memory>::clone(&memory),
            memory,
            vault,
            keys: Some(keys),
            close: Close::Sqlite(database),
            database: Some(path.display().to_string()),
        })
    }

    #[cfg(not(feature = "sqlite"))]
    async fn sqlite(
        _: &Settings,
        _: &str,
        _: (&Arc<dyn Clock>, &Arc<dyn Entropy>),
        _: Option<&Arc<Asking>>,
    ) -> Result<Self> {
        Err(l9_core::Error::invalid("this build has no SQLite: turn the feature `sqlite` on, or build in memory"))
    }

    #[cfg(feature = "postgres")]
    async fn postgres(
        settings: &Settings,
        (clock, entropy): (&Arc<dyn Clock>, &Arc<dyn Entropy>),
        asking: Option<&Arc<Asking>>,
    ) -> Result<Self> {
        use l9_memory::postgres;

        let database = postgres::Database::open(&settings.postgres).await?;
        let key = settings.root_key_path();
        let keyring = match database.key_id() {
            Some(bound) if !key.exists() => return Err(key_is_elsewhere(database.shown(), &bound, &key)),
            Some(_) => Keyring::open(&key)?,
            None => Keyring::open_or_create(&key)?,
        };
        database.bind_key(&keyring.key_id()).await?;
        let keyring = Arc::new(keyring);
        let keys = keys(settings, &keyring, Arc::new(database.clone()), clock);
        keys.admit().await?;
        let vault: Arc<dyn Vault> = keyring;
        let memory = postgres::Memory::new(&database, Arc::clone(clock), Arc::clone(entropy), Arc::clone(&vault))
            .with_quota(settings.memory_quota);
        let memory = match asking {
            Some(asking) => memory.with_embedder(Arc::clone(asking)),
            None => memory,
        };
        let layers = &settings.embedding.unsealed_layers;
        let space = asking.map(|asking| asking.embedder().space());
        let memory = Arc::new(match postgres::Unsealed::open(&database, layers, space).await? {
            Some(unsealed) => memory.with_unsealed(Arc::new(unsealed)),
            None => memory,
        });
        let runs = Arc::new(postgres::Store::new(&database));
        Ok(Self {
            log: Arc::<postgres::Store>::clone(&runs),
            tools: Arc::<postgres::Store>::clone(&runs),
            roster: Arc::<postgres::Store>::clone(&runs),
            schedules: Arc::<postgres::Store>::clone(&runs),
            runs,
            embeddable: Arc::<postgres::Memory>::clone(&memory),
            readable: Arc::<postgres::Memory>::clone(&memory),
            memory,
            vault,
            keys: Some(keys),
            database: Some(database.shown().to_owned()),
            close: Close::Postgres(database),
        })
    }

    #[cfg(not(feature = "postgres"))]
    async fn postgres(_: &Settings, _: (&Arc<dyn Clock>, &Arc<dyn Entropy>), _: Option<&Arc<Asking>>) -> Result<Self> {
        Err(l9_core::Error::invalid("this build has no PostgreSQL: turn the feature `postgres` on"))
    }
}

/// The root keys of a database, and of the secrets that are sealed in a file beside it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn keys(
    settings: &Settings,
    keyring: &Arc<Keyring>,
    rows: Arc<dyn l9_memory::vault::SealedRows>,
    clock: &Arc<dyn Clock>,
) -> Keys {
    let vault: Arc<dyn Vault> = Arc::<Keyring>::clone(keyring);
    let secrets = l9_tools::secrets::Sealed::at(settings.sealed_secrets_path(), vault);
    Keys::new(Arc::clone(keyring), rows, Arc::clone(clock)).beside(Arc::new(SealedSecrets(secrets)))
}

/// The file of sealed secrets, as a rotation sees it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug)]
struct SealedSecrets(l9_tools::secrets::Sealed);

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl l9_memory::vault::Beside for SealedSecrets {
    fn name(&self) -> &'static str {
        "secrets"
    }

    fn sealed(&self) -> Result<Vec<Vec<u8>>> {
        self.0.sealed()
    }

    fn reseal(&self) -> Result<u64> {
        self.0.reseal()
    }
}

#[cfg(feature = "postgres")]
fn key_is_elsewhere(database: &str, bound: &str, key: &std::path::Path) -> l9_core::Error {
    l9_core::Error::not_found(format!(
        "the root key file {} is missing, and the database {database} is sealed under root key {bound}: copy the file from \
         another node or from its backup",
        key.display()
    ))
}

/// What closes the stores.
pub(crate) enum Close {
    Nothing,
    #[cfg(feature = "sqlite")]
    Sqlite(l9_memory::sqlite::Database),
    #[cfg(feature = "postgres")]
    Postgres(l9_memory::postgres::Database),
}

impl Close {
    pub(crate) async fn run(&self) {
        match self {
            Self::Nothing => {}
            #[cfg(feature = "sqlite")]
            Self::Sqlite(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => database.close().await,
        }
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Close")
    }
}
