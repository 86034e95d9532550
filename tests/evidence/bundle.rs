//! What real bundles prove.

use std::collections::BTreeMap;
use std::time::Duration;

use l9::ErrorKind;
use l9::erasure::Erasing;
use l9::evidence::BundleHead;
use l9::kernel::Changes;
use l9::run::Event;

use crate::system::{Evidence, System, second_opinion};

fn accepted(evidence: &[&Evidence]) {
    for one in evidence {
        let verdict = one.verify();
        assert!(verdict.ok, "{:?}", verdict.faults);
    }
    assert_eq!(second_opinion(evidence), vec![None; evidence.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_proved_with_every_body_and_artifact() {
    let system = System::open().await;
    system.run().await;
    let head = system.head().await;
    let run = system.run().await;
    system.run().await;
    let evidence = system.evidence(run, Some(head)).await;
    let again = system.evidence(run, None).await;
    accepted(&[&evidence, &again]);
    let verdict = evidence.verify();
    let row = system.runtime.store().run(&system.runtime.principal().tenant, run).await.unwrap().unwrap();
    assert_eq!((verdict.records, verdict.bodies), (row.head.next, row.head.next));
    assert!(verdict.artifacts >= 2, "{verdict:?}");
    assert!(verdict.trusted.is_some_and(|size| size < verdict.checkpoint.unwrap().size));
    assert_eq!(evidence.bytes, again.bytes, "the same evidence is the same bytes");
    let report = system.runtime.verify().await.unwrap();
    assert!(report.is_whole() && report.tree.unwrap().size >= 3 * row.head.next);
    system.runtime.shutdown().await;
}

/// The rule by which a verifier finds artifacts, without knowing kinds, is that of the events.
#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_found_by_form_as_they_are_by_kind() {
    let system = System::open().await;
    let run = system.run().await;
    let (tenant, vault) = (system.runtime.principal().tenant, system.runtime.vault());
    let mut wanted = BTreeMap::new();
    for record in system.runtime.store().read(&tenant, run, 0, 1_000).await.unwrap() {
        let open = record.open(&**vault).unwrap();
        let event = Event::decode(&record.kind, record.version, &open.payload).unwrap();
        wanted.extend(event.artifacts().into_iter().map(|id| (id, ())));
    }
    let evidence = system.evidence(run, None).await;
    assert_eq!(evidence.verify().artifacts, wanted.len() as u64);
    system.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_proved_with_what_it_shares() {
    let system = System::open().await;
    let parent = system.run().await;
    let principal = system.runtime.principal();
    let started = system.runtime.engine().fork(&principal, parent, 4, &Changes::default(), None).await.unwrap();
    let handle = system.runtime.engine().handle(&principal, started.run).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), handle.outcome()).await.unwrap().unwrap();
    let evidence = system.evidence(started.run, None).await;
    accepted(&[&evidence]);
    let verdict = evidence.verify();
    assert_eq!(verdict.run, Some(started.run));
    assert!(verdict.records > 5);
    system.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_covered_by_the_published_horizon() {
    let system = System::open().await;
    let run = system.run().await;
    let tenant = system.runtime.principal().tenant;
    let head = system.head().await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let dry = system.runtime.audit().expire(&tenant, Duration::ZERO, true, None).await.unwrap();
    assert_eq!((dry.runs, system.runtime.audit().log().horizon(&tenant).await.unwrap()), (1, None));
    let done = system.runtime.audit().expire(&tenant, Duration::ZERO, false, None).await.unwrap();
    assert_eq!((done.runs, done.records), (1, dry.records));
    let kept = system.run().await;
    let (gone, kept) = (system.evidence(run, Some(head)).await, system.evidence(kept, None).await);
    accepted(&[&gone, &kept]);
    let verdict = gone.verify();
    assert_eq!((verdict.bodies, verdict.expired, verdict.artifacts), (0, done.records, 0));
    let head: BundleHead = serde_json::from_slice(kept.bytes.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(head.horizon, None, "what is whole needs no horizon");
    assert!(system.runtime.verify().await.unwrap().is_whole());
    system.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_covered_by_a_signed_statement() {
    let system = System::open().await;
    let (run, tenant) = (system.run().await, system.runtime.principal().tenant);
    let principal = system.runtime.principal();
    let started = system.runtime.engine().fork(&principal, run, 4, &Changes::default(), None).await.unwrap();
    let handle = system.runtime.engine().handle(&principal, started.run).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), handle.outcome()).await.unwrap().unwrap();
    let head = system.head().await;
    let asked = Erasing {
        subject: "the end".into(),
        by: "person:ada".into(),
        reason: "a test".into(),
        mentions: true,
        dry: true,
    };
    let would = system.runtime.erase(&tenant, &asked).await.unwrap();
    assert_eq!((would.runs.len(), would.statements.len(), would.records), (2, 0, 0));
    let whole = system.evidence(run, None).await;
    assert_eq!(whole.verify().erased, 0, "a dry run erases nothing");
    let done = system.runtime.erase(&tenant, &Erasing { dry: false, ..asked.clone() }).await.unwrap();
    assert_eq!((done.runs.len(), done.statements.len(), done.residue.is_clean()), (2, 2, true));
    let kept = system.run().await;
    let all = [
        system.evidence(run, Some(head.clone())).await,
        system.evidence(started.run, Some(head)).await,
        system.evidence(kept, None).await,
    ];
    accepted(&[&all[0], &all[1], &all[2]]);
    let verdicts = all.each_ref().map(|evidence| evidence.verify());
    assert!(verdicts.iter().all(|verdict| verdict.ok && verdict.expired == 0));
    assert_eq!((verdicts[0].bodies, verdicts[0].artifacts, verdicts[2].erased), (0, 0, 0));
    assert_eq!(verdicts[0].erased + verdicts[1].erased - 4, done.records, "the fork shares four records");
    let handle = system.runtime.engine().handle(&principal, run).await.unwrap();
    assert_eq!(handle.outcome().await.unwrap_err().kind(), ErrorKind::Expired);
    assert!(system.runtime.verify().await.unwrap().is_whole());
    system.runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_is_proved_as_open() {
    let system = System::open().await;
    let principal = system.runtime.principal();
    let agent = "scribe".parse().unwrap();
    // Nothing advances it: the runtime is not started.
    let started =
        system.runtime.engine().start_agent(&principal, &agent, "write", l9::StartOptions::default()).await.unwrap();
    let evidence = system.evidence(started.run, None).await;
    accepted(&[&evidence]);
    assert_eq!(evidence.verify().records, 1);
    system.runtime.shutdown().await;
}
