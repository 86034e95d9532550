//! What version 1 wrote is verified for ever.

use std::path::PathBuf;

use l9::evidence::{Order, Standstill, VerifyingKey, verify_statement};

use crate::system::{Evidence, second_opinion};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/evidence/fixtures").join(name)
}

fn frozen() -> Evidence {
    let read = |name| std::fs::read_to_string(fixture(name)).unwrap();
    Evidence {
        bytes: read("v1.evidence").into_bytes(),
        key: read("v1.vkey").trim().parse().unwrap(),
        head: Some(read("v1.head")),
    }
}

#[test]
fn a_bundle_of_version_one_still_verifies() {
    let evidence = frozen();
    let verdict = evidence.verify();
    assert!(verdict.ok, "{:?}", verdict.faults);
    assert!(verdict.records > 5 && verdict.trusted.is_some());
    assert_eq!(second_opinion(&[&evidence]), [None]);
}

/// A standstill as the first versions handed it out, and the same with its order.
#[test]
fn statements_of_version_one_still_verify() {
    let read = |name| std::fs::read_to_string(fixture(name)).unwrap();
    let key: VerifyingKey = read("v1.statement.vkey").trim().parse().unwrap();
    for (name, within_ms) in [("v1.standstill", None), ("v1.statement", Some(5_000))] {
        let bytes = read(name).into_bytes();
        let verdict = verify_statement(&bytes, &key);
        assert!(verdict.ok, "{name}: {:?}", verdict.faults);
        assert_eq!(verdict.order.and_then(|order| order.within_ms), within_ms);
        assert_eq!(second_opinion(&[&Evidence { bytes, key: key.clone(), head: None }]), [None], "{name}");
    }
    let before = Order { by: "person:ada".into(), reason: "it mails everybody".into(), within_ms: None };
    let standstill = Standstill::open(&key, &read("v1.standstill")).unwrap();
    assert_eq!(standstill.order, before.digest().unwrap(), "who has the words can show that they were meant");
}

/// Writes the fixtures of the newest version; to be run once, when the form is settled.
#[tokio::test]
#[ignore = "it writes tests/evidence/fixtures, once per version of the form"]
async fn write_the_fixtures() {
    let runtime = l9::Runtime::builder().in_memory().seed(1).build().await.unwrap();
    let (tenant, mut runs) = (runtime.principal().tenant, Vec::new());
    let mut head = None;
    for question in ["What is 2 + 2?", "What is 3 * 4?"] {
        let handle = runtime.run("researcher", question).await.unwrap();
        runs.push(handle.run());
        handle.outcome().await.unwrap();
        head = head.or(runtime.audit().checkpoint().await.unwrap());
    }
    let head = head.unwrap();
    let bundle = runtime.audit().export(&tenant, runs[1], &[head.checkpoint.size]).await.unwrap();
    std::fs::create_dir_all(fixture("")).unwrap();
    std::fs::write(fixture("v1.evidence"), bundle.bytes).unwrap();
    std::fs::write(fixture("v1.head"), head.note).unwrap();
    std::fs::write(fixture("v1.vkey"), format!("{}\n", runtime.audit().key().await.unwrap())).unwrap();
    runtime.shutdown().await;
}
