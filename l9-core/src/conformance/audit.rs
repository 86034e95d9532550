//! What every store of the audit tree must do. The cases share one log, as all tenants
//! of a store do, so each begins by taking up what waits.

use std::sync::Arc;
use std::time::Duration;

use super::PlainVault;
use super::chain::{Chain, tenant};
use crate::ErrorKind;
use crate::digest::Digest;
use crate::evidence::{
    AuditLog, Entry, Extension, Prover, Report, Sequencer, Settings, SignedCheckpoint, SignedHorizon, SigningKey,
    Trust, export, leaf_hash, verify_bundle, verify_consistency, verify_inclusion, verify_tree,
};
use crate::id::{RunId, TenantId};
use crate::journal::{Lease, RunStore};
use crate::time::{Clock, SystemClock, Timestamp};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(80);
const OWNER: &str = "conformance-audit";

/// A store of runs and of the tree over them.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The runs.
    pub runs: Arc<dyn RunStore>,
    /// The tree.
    pub log: Arc<dyn AuditLog>,
}

/// Every case.
pub async fn all(stores: &Stores) {
    every_record_gets_one_leaf_in_the_order_of_its_run(stores).await;
    proofs_hold_at_every_checkpoint(stores).await;
    an_extension_is_fenced_and_whole(stores).await;
    one_owner_leads_at_a_time(stores).await;
    another_key_is_refused(stores).await;
    sequencers_that_compete_lose_nothing(stores).await;
    a_bundle_verifies_and_the_tree_is_rebuilt_from_the_records(stores).await;
    the_furthest_horizon_counts(stores).await;
}

fn key() -> SigningKey {
    SigningKey::new("conformance.test/log", &[42; 32]).expect("a key")
}

fn sequencer(stores: &Stores, owner: &str, records: usize) -> Sequencer {
    let settings = Settings { records, lease_ms: 60_000, ..Settings::default() };
    Sequencer::new(Arc::clone(&stores.log), key(), Arc::new(SystemClock::default()), owner.into(), settings)
}

/// Takes up what waits, and lets go again.
async fn settle(stores: &Stores) -> u64 {
    let done = sequencer(stores, OWNER, 256).advance().await.expect("sequenced");
    stores.log.lead(OWNER, &key().public().to_string(), Duration::ZERO).await.expect("given up");
    done
}

async fn started(stores: &Stores, tenant: &TenantId) -> (Chain, Lease) {
    let mut chain = Chain::new(tenant);
    stores.runs.create(chain.created()).await.expect("created");
    let lease = stores.runs.acquire(tenant, chain.run, OWNER, LONG).await.expect("asked").expect("free");
    (chain, lease)
}

async fn newest(stores: &Stores) -> SignedCheckpoint {
    let newest = stores.log.newest(1).await.expect("read").pop().expect("a checkpoint");
    SignedCheckpoint::open(key().public(), &newest.note).expect("signed")
}

async fn leaves(stores: &Stores, tenant: &TenantId, run: RunId) -> Vec<u64> {
    stores.log.leaves_of(tenant, run, 0, 10_000).await.expect("read")
}

/// Records of several runs, appended by turns.
pub async fn every_record_gets_one_leaf_in_the_order_of_its_run(stores: &Stores) {
    settle(stores).await;
    let tenant = tenant("leaves");
    let (mut one, first) = started(stores, &tenant).await;
    let (mut two, second) = started(stores, &tenant).await;
    for count in 1..6 {
        stores.runs.append(one.append(&first, count, 20)).await.expect("appended");
        stores.runs.append(two.append(&second, 7 - count, 20)).await.expect("appended");
    }
    assert!(leaves(stores, &tenant, one.run).await.is_empty(), "nothing has a leaf before it is sequenced");
    assert!(settle(stores).await >= one.head.next + two.head.next);
    assert_eq!(settle(stores).await, 0, "nothing gets a second leaf");
    for chain in [&one, &two] {
        let leaves = leaves(stores, &tenant, chain.run).await;
        assert_eq!(leaves.len() as u64, chain.head.next);
        assert!(leaves.is_sorted_by(|one, next| one < next), "{leaves:?}");
        let some = stores.log.leaves_of(&tenant, chain.run, 2, 3).await.expect("read");
        assert_eq!(some, leaves[2..5]);
        let records = stores.runs.read(&tenant, chain.run, 0, 100).await.expect("read");
        for (record, leaf) in records.iter().zip(leaves) {
            let entry =
                Entry { position: leaf, tenant: tenant.clone(), run: chain.run, seq: record.seq, hash: record.hash };
            assert_eq!(stores.log.entries(leaf, 1).await.expect("read"), [entry]);
        }
    }
    let size = newest(stores).await.checkpoint.size;
    let all = stores.log.entries(0, 100_000).await.expect("read");
    assert!(all.iter().map(|entry| entry.position).eq(0..size), "leaves are dense");
    assert!(stores.log.entries(size, 10).await.expect("read").is_empty());
    assert!(stores.log.leaves_of(&tenant, Chain::new(&tenant).run, 0, 9).await.expect("read").is_empty());
}

/// Small checkpoints, so that there are many.
pub async fn proofs_hold_at_every_checkpoint(stores: &Stores) {
    settle(stores).await;
    let tenant = tenant("proofs");
    let (mut chain, lease) = started(stores, &tenant).await;
    let sequencer = sequencer(stores, OWNER, 7);
    for count in [1, 2, 30, 1, 300] {
        stores.runs.append(chain.append(&lease, count, 20)).await.expect("appended");
        sequencer.advance().await.expect("sequenced");
    }
    let hashes = stores.log.entries(0, 100_000).await.expect("read");
    let checkpoints = stores.log.newest(30).await.expect("read");
    assert!(checkpoints.is_sorted_by(|one, next| one.checkpoint.size > next.checkpoint.size) && checkpoints.len() >= 5);
    let now = &checkpoints[0];
    let mut prover = Prover::new(Arc::clone(&stores.log), now.clone());
    for older in &checkpoints {
        let proof = prover.consistency(older.checkpoint.size).await.expect("proved");
        assert_eq!(proof.root, older.checkpoint.root);
        let (size, root) = (now.checkpoint.size, &now.checkpoint.root);
        verify_consistency((older.checkpoint.size, &older.checkpoint.root), (size, root), &proof.hashes)
            .expect("it holds");
        assert_eq!(stores.log.covering(older.checkpoint.size).await.expect("read").as_ref(), Some(older));
        let mut past = Prover::new(Arc::clone(&stores.log), older.clone());
        for leaf in [0, older.checkpoint.size / 2, older.checkpoint.size - 1] {
            let proof = past.inclusion(leaf).await.expect("proved");
            let hash = leaf_hash(&hashes[usize::try_from(leaf).expect("small")].hash);
            verify_inclusion(leaf, older.checkpoint.size, &hash, &proof.hashes, &older.checkpoint.root)
                .expect("it holds");
        }
        assert_eq!(past.inclusion(older.checkpoint.size).await.expect_err("beyond").kind(), ErrorKind::NotFound);
    }
    assert_eq!(stores.log.covering(now.checkpoint.size + 1).await.expect("read"), None);
    stores.log.lead(OWNER, &key().public().to_string(), Duration::ZERO).await.expect("given up");
}

/// What does not fit changes nothing.
pub async fn an_extension_is_fenced_and_whole(stores: &Stores) {
    settle(stores).await;
    let tenant = tenant("fenced");
    started(stores, &tenant).await;
    let entries = stores.log.pending(1).await.expect("read");
    let before = newest(stores).await;
    let signer = key().public().to_string();
    let lead = stores.log.lead(OWNER, &signer, LONG).await.expect("asked").expect("free");
    assert_eq!(lead.size, before.checkpoint.size);
    let size = lead.size + entries.len() as u64;
    let checkpoint = crate::evidence::Checkpoint::sign(&key(), size, Digest::ZERO, Timestamp::EPOCH);
    let fits = Extension { epoch: lead.epoch, from: lead.size, entries, tiles: Vec::new(), checkpoint };
    let refused = async |extension: Extension| stores.log.extend(extension).await.expect_err("refused").kind();
    assert_eq!(refused(Extension { epoch: lead.epoch - 1, ..fits.clone() }).await, ErrorKind::Fenced);
    assert_eq!(refused(Extension { epoch: lead.epoch + 1, ..fits.clone() }).await, ErrorKind::Fenced);
    assert_eq!(refused(Extension { from: lead.size - 1, ..fits.clone() }).await, ErrorKind::Conflict);
    let mut wrong = fits.clone();
    wrong.entries[0].position += 1_000;
    refused(wrong).await;
    assert_eq!(newest(stores).await, before);
    assert!(!stores.log.pending(9).await.expect("read").is_empty());
    stores.log.lead(OWNER, &signer, Duration::ZERO).await.expect("given up");
    assert!(settle(stores).await > 0);
}

/// The sequencer's lease.
pub async fn one_owner_leads_at_a_time(stores: &Stores) {
    settle(stores).await;
    let signer = key().public().to_string();
    let lead = async |owner: &str, ttl: Duration| stores.log.lead(owner, &signer, ttl).await.expect("asked");
    let first = lead(OWNER, LONG).await.expect("free");
    assert_eq!(lead("conformance-other", LONG).await, None);
    assert_eq!(lead(OWNER, SHORT).await, Some(first), "renewed under the same epoch");
    lead("conformance-other", Duration::ZERO).await;
    assert_eq!(lead("conformance-other", LONG).await, None, "only its owner gives it up");
    SystemClock::default().sleep(SHORT + SHORT).await;
    let second = lead("conformance-other", LONG).await.expect("it has run out");
    assert_eq!(second.epoch, first.epoch + 1);
    lead("conformance-other", Duration::ZERO).await;
    assert_eq!(lead(OWNER, LONG).await.expect("given up").epoch, first.epoch + 2);
    lead(OWNER, Duration::ZERO).await;
}

/// A log has one key.
pub async fn another_key_is_refused(stores: &Stores) {
    let other = SigningKey::new("conformance.test/log", &[43; 32]).expect("a key");
    let refused = stores.log.lead(OWNER, &other.public().to_string(), LONG).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains(&key().public().to_string()), "{refused}");
}

/// Two sequencers and two writers at once.
pub async fn sequencers_that_compete_lose_nothing(stores: &Stores) {
    settle(stores).await;
    let tenant = tenant("compete");
    let write = async || {
        let (mut chain, lease) = started(stores, &tenant).await;
        for at in 0..30 {
            stores.runs.append(chain.append(&lease, 1 + at % 3, 20)).await.expect("appended");
        }
        chain
    };
    let take = async |owner: &'static str| {
        for _ in 0..40 {
            // Who was fenced or came second looks again.
            let _ = sequencer(stores, owner, 5).advance().await;
            stores.log.lead(owner, &key().public().to_string(), Duration::ZERO).await.expect("given up");
            SystemClock::default().sleep(Duration::from_millis(1)).await;
        }
    };
    let (one, two, (), ()) = tokio::join!(write(), write(), take("conformance-one"), take("conformance-two"));
    settle(stores).await;
    for chain in [one, two] {
        assert_eq!(leaves(stores, &tenant, chain.run).await.len() as u64, chain.head.next);
    }
    let mut report = Report::default();
    verify_tree(&stores.log, Some(key().public()), &mut report).await.expect("read");
    assert!(report.is_whole(), "{report:?}");
}

/// From the database to a verdict.
pub async fn a_bundle_verifies_and_the_tree_is_rebuilt_from_the_records(stores: &Stores) {
    let tenant = tenant("bundle");
    let (mut chain, lease) = started(stores, &tenant).await;
    settle(stores).await;
    let held = newest(stores).await;
    stores.runs.append(chain.append(&lease, 40, 100)).await.expect("appended");
    let run = (&tenant, chain.run);
    let early = export(&*stores.runs, &stores.log, &PlainVault, run, &[]).await.expect_err("not covered");
    assert_eq!(early.kind(), ErrorKind::Conflict);
    settle(stores).await;
    let key = key();
    let trust = Trust { key: key.public(), head: Some(&held.note) };
    for from in [vec![], vec![held.checkpoint.size]] {
        let bundle = export(&*stores.runs, &stores.log, &PlainVault, run, &from).await.expect("exported");
        let verdict = verify_bundle(&bundle.bytes, &trust);
        assert!(verdict.ok, "{:?}", verdict.faults);
        assert_eq!((verdict.records, verdict.bodies, verdict.trusted), (41, 41, Some(held.checkpoint.size)));
    }
    let mut report = Report::default();
    verify_tree(&stores.log, Some(key.public()), &mut report).await.expect("read");
    let tree = report.tree.clone().expect("looked at");
    assert!(report.is_whole() && tree.size >= 41 && tree.root.is_some(), "{report:?}");
}

/// Horizons only reach further.
pub async fn the_furthest_horizon_counts(stores: &Stores) {
    let (tenant, other) = (tenant("horizon"), tenant("horizon"));
    assert_eq!(stores.log.horizon(&tenant).await.expect("read"), None);
    let horizon = |before: i64| SignedHorizon {
        tenant: tenant.clone(),
        before: Timestamp::from_millis(before),
        note: format!("note {before}"),
    };
    for before in [5, 9, 7, 9] {
        stores.log.publish(horizon(before)).await.expect("published");
    }
    assert_eq!(stores.log.horizon(&tenant).await.expect("read"), Some(horizon(9)));
    assert_eq!(stores.log.horizon(&other).await.expect("read"), None);
}
