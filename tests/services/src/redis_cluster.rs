//! A Redis Cluster: three servers that share the keys, and a replica of each.

use std::fmt;

use crate::postgres::{free_port, pause};
use crate::redis::{PASSWORD, Redis};

/// How many servers share the keys.
const MASTERS: usize = 3;
/// How many slots there are.
const SLOTS: usize = 16_384;
/// How often something is looked for that comes by itself, every 20 milliseconds.
const TRIES: u32 = 1_500;

/// A cluster of this process. A server that does not answer for half a second is given up by the
/// others, and its replica takes its place.
pub struct RedisCluster {
    /// The masters, then the replica of each.
    servers: Vec<Redis>,
}

impl RedisCluster {
    /// A cluster of one's own, once all of it is served.
    ///
    /// # Panics
    /// When it does not come up; the message says what to install.
    #[must_use]
    pub fn start() -> Self {
        let buses: Vec<u16> = (0..2 * MASTERS).map(|_| free_port()).collect();
        let settings = |bus: &u16| {
            let bus = bus.to_string();
            [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "500",
                "--masterauth",
                PASSWORD,
                "--cluster-port",
                &bus,
            ]
            .map(str::to_owned)
            .to_vec()
        };
        let cluster = Self { servers: buses.iter().map(|bus| Redis::with(settings(bus))).collect() };
        for (at, server) in cluster.servers.iter().enumerate() {
            if at < MASTERS {
                let slots = |at: usize| at * SLOTS / MASTERS;
                let (first, last) = (slots(at), slots(at + 1) - 1);
                does(server, &format!("CLUSTER SET-CONFIG-EPOCH {}\r\nCLUSTER ADDSLOTSRANGE {first} {last}", at + 1));
            }
            if at > 0 {
                let port = cluster.servers[0].port();
                does(server, &format!("CLUSTER MEET 127.0.0.1 {port} {}", buses[0]));
            }
        }
        let all = 2 * MASTERS;
        let knows = |server: &Redis| says(server, "CLUSTER NODES").matches("connected").count() == all;
        wait("the servers know each other", || cluster.servers.iter().all(knows));
        for at in 0..MASTERS {
            does(&cluster.servers[MASTERS + at], &format!("CLUSTER REPLICATE {}", name(&cluster.servers[at])));
        }
        let serves = |server: &Redis| says(server, "CLUSTER INFO").contains("cluster_state:ok");
        let follows = |server: &Redis| says(server, "INFO replication").contains("master_link_status:up");
        wait("all of the cluster is served", || {
            cluster.servers.iter().all(serves) && cluster.servers[MASTERS..].iter().all(follows)
        });
        cluster
    }

    /// The address of the first servers, without the password.
    #[must_use]
    pub fn bare_url(&self) -> String {
        let urls: Vec<String> = self.servers[..MASTERS].iter().map(Redis::bare_url).collect();
        urls.join(",")
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A server of it, which shares the keys with others.
    #[must_use]
    pub fn one(&self) -> &Redis {
        &self.servers[0]
    }

    /// The server that serves a key now.
    ///
    /// # Panics
    /// When nobody does.
    #[must_use]
    pub fn owner(&self, key: &str) -> &Redis {
        self.serving(key).unwrap_or_else(|| panic!("nobody serves {key}"))
    }

    /// A key that some server has and that ends like this.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn key_like(&self, end: &str) -> String {
        let keys = self.servers.iter().map(|server| says(server, "KEYS *")).collect::<String>();
        let found = keys.lines().map(str::trim).find(|line| line.ends_with(end)).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no key ends with {end}: {keys}"))
    }

    /// Waits until another server than this one, which was stopped, serves a key.
    ///
    /// # Panics
    /// When none does.
    pub fn wait_for_another(&self, key: &str) {
        wait("another serves the key", || self.serving(key).is_some());
    }

    /// A server that serves a key and takes writes. One that is of another slot sends elsewhere, one
    /// that is away says nothing.
    fn serving(&self, key: &str) -> Option<&Redis> {
        let answers = |server: &Redis| says(server, &format!("TYPE {key}"));
        let has = |said: &str| ["+none", "+hash", "+zset", "+string"].iter().any(|kind| said.contains(kind));
        let serves = |server: &&Redis| has(&answers(server)) && says(server, "ROLE").contains("master");
        self.servers.iter().find(serves)
    }
}

/// The name that a server has in its cluster.
fn name(server: &Redis) -> String {
    let said = says(server, "CLUSTER MYID");
    let name = said.lines().map(str::trim).find(|line| line.len() == 40);
    name.unwrap_or_else(|| panic!("no name of a server: {said:?}")).to_owned()
}

/// What a server answers; nothing while it is away.
fn says(server: &Redis, command: &str) -> String {
    server.asks(command).unwrap_or_default()
}

fn does(server: &Redis, commands: &str) {
    let answer = says(server, commands);
    assert!(!answer.is_empty() && !answer.contains("\r\n-"), "{commands:?} came to {answer:?}");
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if holds() {
            return;
        }
        pause();
    }
    panic!("it does not come that {what}: a cluster needs Redis 7 or newer");
}

impl fmt::Debug for RedisCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCluster").field("servers", &self.servers).finish()
    }
}
