//! What a chaos run is told: `L9_CHAOS="--store postgres --kills 200 --restarts 3"`.

use std::path::PathBuf;

use crate::support;

/// Where the nodes keep their journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// One file on one machine.
    Sqlite,
    /// A server, behind a proxy for each node.
    Postgres,
}

/// How much is done to whom.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) store: Store,
    /// Whether nodes queue and hint each other in a Redis server.
    pub(crate) redis: bool,
    pub(crate) kills: u32,
    pub(crate) nodes: usize,
    pub(crate) freezes: u32,
    /// Restarts of the database's server, and how often connections to it are cut.
    pub(crate) restarts: u32,
    pub(crate) cuts: u32,
    /// How often that Redis loses everything.
    pub(crate) wipes: u32,
    pub(crate) seed: u64,
    /// How many clients start runs, one after another each.
    pub(crate) clients: u32,
    pub(crate) program: PathBuf,
    /// Whether nodes heed the fences: only a build with failpoints can leave them out.
    pub(crate) fences: bool,
}

impl Settings {
    /// What the ordinary tests do over a SQLite file.
    pub(crate) fn sqlite() -> Self {
        Self {
            store: Store::Sqlite,
            redis: false,
            kills: 30,
            nodes: 3,
            freezes: 1,
            restarts: 0,
            cuts: 0,
            wipes: 0,
            seed: 1,
            clients: 24,
            program: env!("CARGO_BIN_EXE_l9-server").into(),
            fences: true,
        }
    }

    /// What they do over a PostgreSQL server.
    pub(crate) fn postgres() -> Self {
        Self { store: Store::Postgres, kills: 20, restarts: 1, cuts: 3, clients: 48, ..Self::sqlite() }
    }

    /// What they do with a queue in Redis.
    pub(crate) fn redis() -> Self {
        Self { kills: 12, freezes: 0, wipes: 8, ..Self::sqlite() }
    }

    /// A cluster: nodes over a PostgreSQL and a Redis server, to which nothing happens by itself.
    pub(crate) fn cluster() -> Self {
        Self { redis: true, kills: 0, freezes: 0, restarts: 0, cuts: 0, ..Self::postgres() }
    }

    /// The same by nodes that heed no fence.
    pub(crate) fn unfenced(self) -> Self {
        Self { fences: false, program: support::crash_server(), ..self }
    }

    /// What the environment asks for.
    pub(crate) fn asked() -> Self {
        let asked = std::env::var("L9_CHAOS").unwrap_or_default();
        let words: Vec<&str> = asked.split_whitespace().collect();
        let pairs: Vec<(&str, &str)> =
            words.chunks(2).map(|pair| (pair[0], pair.get(1).copied().unwrap_or(""))).collect();
        let on_postgres = pairs.contains(&("--store", "postgres"));
        let mut settings = if on_postgres { Self::postgres() } else { Self::sqlite() };
        for (name, value) in pairs {
            let number = || value.parse().unwrap_or_else(|_| panic!("{name} {value}: a number is wanted"));
            match (name, value) {
                ("--store", "sqlite" | "postgres") => {}
                ("--fences", "on") => {}
                ("--fences", "off") => settings = settings.unfenced(),
                ("--kills", _) => settings.kills = number(),
                ("--nodes", _) => settings.nodes = number() as usize,
                ("--freezes", _) => settings.freezes = number(),
                ("--restarts", _) if on_postgres => settings.restarts = number(),
                ("--cuts", _) if on_postgres => settings.cuts = number(),
                ("--wipes", _) => settings.wipes = number(),
                ("--clients", _) => settings.clients = number(),
                ("--seed", _) => settings.seed = number().into(),
                ("--program", _) => settings.program = value.into(),
                _ => panic!(
                    "{name} {value} means nothing: use --store sqlite or postgres, --fences on or off, --kills, \
                     --nodes, --freezes, --wipes, --clients, --seed, --program, and with PostgreSQL --restarts and --cuts"
                ),
            }
        }
        settings
    }
}
