//! Whatever was acknowledged is there after the process was killed.
#![cfg(all(feature = "sqlite", unix))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use l9_core::conformance::Chain;
use l9_core::conformance::chain::{tenant, verified};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Journal, Leases};
use support::open;

const FOLDER: &str = "L9_CRASH_FOLDER";
const RUNS: usize = 8;

/// The process that is killed: appends for ever, and says what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let data = open(Path::new(&folder)).await;
    let store = data.store("victim").await;
    let tenant = tenant("crash");
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..RUNS {
        let (store, mut chain) = (store.clone(), Chain::sealed_by(data.keyring.clone(), &tenant));
        tasks.spawn(async move {
            store.create(chain.created()).await.unwrap();
            say(&chain);
            let ttl = Duration::from_secs(600);
            let lease = store.acquire(&chain.tenant, chain.run, "victim", ttl).await.unwrap().unwrap();
            loop {
                store.append(chain.append(&lease, 1 + at % 3, 200)).await.unwrap();
                say(&chain);
            }
        });
    }
    tasks.join_all().await;
}

fn say(chain: &Chain) {
    let line = format!("ACK {} {} {} {}\n", chain.tenant, chain.run, chain.head.next, chain.head.hash);
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<(TenantId, RunId), (u64, String)> = HashMap::new();
    for round in 0..5_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = 40 + usize::try_from(round * 37).unwrap();
        let mut heard = 0;
        // Read to the end: what was said before the kill was acknowledged.
        for line in lines.map_while(Result::ok) {
            if let Some(told) = line.split("ACK ").nth(1) {
                let parts: Vec<&str> = told.split(' ').collect();
                let [tenant, run, next, hash] = parts[..] else { continue };
                if hash.len() != 64 {
                    continue;
                }
                let key = (TenantId::new(tenant).unwrap(), run.parse().unwrap());
                acknowledged.insert(key, (next.parse().unwrap(), hash.to_owned()));
                heard += 1;
                if heard == enough {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(heard >= enough, "the child stopped by itself after {heard} acknowledgements");
        let data = open(folder.path()).await;
        let store = data.store(&format!("survivor-{round}")).await;
        for ((tenant, run), (next, hash)) in &acknowledged {
            let records = store.read(tenant, *run, 0, usize::MAX).await.unwrap();
            let head = verified(&*data.keyring, &records);
            let index = usize::try_from(*next).unwrap() - 1;
            assert_eq!(
                records.get(index).map(|record| record.hash.to_string()).as_ref(),
                Some(hash),
                "run {run} lost records"
            );
            assert_eq!(store.run(tenant, *run).await.unwrap().unwrap().head, head, "run {run}");
        }
        let due = store.due(usize::MAX, Duration::ZERO).await.unwrap();
        assert!(
            acknowledged.keys().all(|(_, run)| due.iter().any(|task| task.run == *run)),
            "the dead node's runs are due"
        );
        data.database.close().await;
    }
}
