//! Statements about emergency stops: what real ones say, and that nothing else passes for
//! one, with both verifiers.

use std::time::Duration;

use l9::Runtime;
use l9::digest::{Digest, sha256};
use l9::evidence::{
    Checkpoint, Horizon, Order, SigningKey, Standstill, StatementVerdict, Turn, VerifyingKey, is_statement,
    verify_statement,
};
use l9::id::TenantId;
use l9::stop::Scope;
use l9::time::Timestamp;

use crate::system::{Evidence, System, second_opinion};

fn verify(bytes: &[u8], key: &VerifyingKey) -> StatementVerdict {
    assert!(is_statement(bytes), "it is not taken for one: {}", String::from_utf8_lossy(bytes));
    verify_statement(bytes, key)
}

/// What both verifiers accept.
fn accepted(statement: &str, key: &VerifyingKey) -> StatementVerdict {
    let verdict = verify(statement.as_bytes(), key);
    assert!(verdict.ok, "{:?}", verdict.faults);
    let evidence = Evidence { bytes: statement.into(), key: key.clone(), head: None };
    assert_eq!(second_opinion(&[&evidence]), [None], "{statement}");
    verdict
}

/// That no verifier accepts any of these, whatever they take it for.
fn rejected(forgeries: &[(String, Vec<u8>)], key: &VerifyingKey) {
    let evidence = |bytes: &[u8]| Evidence { bytes: bytes.to_vec(), key: key.clone(), head: None };
    let all: Vec<Evidence> = forgeries.iter().map(|(_, bytes)| evidence(bytes)).collect();
    let second = second_opinion(&all.iter().collect::<Vec<_>>());
    let mut missed = Vec::new();
    for ((name, bytes), second) in forgeries.iter().zip(second) {
        let faults = match is_statement(bytes) {
            true => verify_statement(bytes, key).faults,
            false => evidence(bytes).verify().faults,
        };
        missed.extend(faults.is_empty().then(|| format!("{name}: accepted")));
        missed.extend(second.is_none().then(|| format!("{name}: accepted by the second verifier")));
    }
    assert!(missed.is_empty(), "{missed:#?}");
    println!("{} forged statements rejected by both verifiers", forgeries.len());
}

fn order() -> Order {
    Order { by: "person:ada".into(), reason: "it \"mails\"\n everybody, é".into(), within_ms: Some(5_000) }
}

fn quiet(order: &Order) -> Standstill {
    let time = Timestamp::from_millis;
    let (since, at) = (time(1_767_225_600_000), time(1_767_225_600_300));
    let (scope, order) = (Scope::All, order.digest().unwrap());
    Standstill { turn: Turn::Quiet, scope, since, at, size: 42, root: sha256(&[b"a tree"]), order }
}

fn key() -> SigningKey {
    SigningKey::new("l9.local/log", &[3; 32]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_stated_with_who_when_why_and_how_soon() {
    let system = System::open().await;
    system.run().await;
    let (audit, key) = (system.runtime.audit(), system.key().public().clone());
    let scope = Scope::Tenant(TenantId::default_tenant());
    let wait = Duration::from_secs(60);
    let (stopped, stated) = audit.stop(scope.clone(), "person:ada", "it mails everybody", wait).await.unwrap();
    let stated = stated.unwrap();
    let verdict = accepted(&stated, &key);
    let said = Order { by: "person:ada".into(), reason: "it mails everybody".into(), within_ms: Some(60_000) };
    assert_eq!((verdict.order.as_ref(), verdict.in_time), (Some(&said), Some(true)));
    let standstill = verdict.standstill.unwrap();
    assert_eq!(
        (standstill.turn, standstill.since, Some(standstill.at)),
        (Turn::Quiet, stopped.stop.at, stopped.quiet_at)
    );
    let (_, note) = stated.split_once('\n').unwrap();
    assert_eq!(audit.log().statements().await.unwrap(), [note], "the log keeps no words of it");
    assert_eq!(accepted(note, &key).order, None, "and the note alone holds as well");

    // Asked again, the first order stands, and no time is left that could have been kept.
    let (_, again) = audit.stop(scope.clone(), "person:bob", "another reason", Duration::ZERO).await.unwrap();
    let verdict = accepted(&again.unwrap(), &key);
    assert_eq!(verdict.order.map(|order| (order.by, order.within_ms)), Some((said.by, Some(0))));
    assert_eq!(verdict.in_time, Some(verdict.standstill.unwrap().took_ms() == 0));

    let (_, lifted) = audit.unstop(&scope, "person:eve", "it is mended").await.unwrap();
    let verdict = accepted(&lifted, &key);
    let standstill = verdict.standstill.unwrap();
    assert_eq!((standstill.turn, standstill.since, verdict.in_time), (Turn::Lifted, stopped.stop.at, None));
    assert_eq!(verdict.order.map(|order| (order.by, order.reason)), Some(("person:eve".into(), "it is mended".into())));
    system.runtime.shutdown().await;
}

/// Clocks of nodes differ; what a seeded process takes for now lies long before any real order.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_behind_states_the_time_of_the_order() {
    let system = System::open().await;
    system.runtime.audit().stop(Scope::All, "person:ada", "a drill", Duration::from_secs(60)).await.unwrap();
    system.runtime.shutdown().await;
    let behind = Runtime::builder().data_dir(system.folder.path()).seed(7).build().await.unwrap();
    let again = behind.audit().stop(Scope::All, "person:bob", "a drill", Duration::from_secs(60)).await.unwrap();
    let (stopped, stated) = (again.0, again.1.unwrap());
    assert!(stopped.quiet_at.unwrap() < stopped.stop.at, "the clock is not behind");
    let standstill = accepted(&stated, system.key().public()).standstill.unwrap();
    assert_eq!((standstill.since, standstill.at), (stopped.stop.at, stopped.stop.at));
    behind.shutdown().await;
}

#[test]
fn a_byte_changed_anywhere_in_a_statement_is_noticed() {
    let (key, order) = (key(), order());
    let statement = order.state(&quiet(&order).sign(&key)).unwrap();
    assert_eq!(accepted(&statement, key.public()).in_time, Some(true));
    let bytes = statement.into_bytes();
    // Each line is a field or the signature; the first one holds three.
    let fields = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(fields, 10, "{}", String::from_utf8_lossy(&bytes));
    let flipped = |at: usize, bit: usize| {
        let mut other = bytes.clone();
        other[at] ^= 1 << bit;
        (format!("byte {at} bit {bit}"), other)
    };
    let every: Vec<_> = (0..bytes.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))).collect();
    for (at, bit) in &every {
        let (name, other) = flipped(*at, *bit);
        let faults = match is_statement(&other) {
            true => verify_statement(&other, key.public()).faults,
            false => Evidence { bytes: other, key: key.public().clone(), head: None }.verify().faults,
        };
        assert!(!faults.is_empty(), "{name}");
    }
    // The second verifier is slow: one bit of each byte.
    rejected(&(0..bytes.len()).map(|at| flipped(at, at % 8)).collect::<Vec<_>>(), key.public());
    rejected(
        &(0..bytes.len()).map(|at| (format!("cut at {at}"), bytes[..at].to_vec())).collect::<Vec<_>>(),
        key.public(),
    );
}

#[test]
fn nobody_without_the_key_forges_a_statement() {
    let (key, order) = (key(), order());
    let (other, same_name) =
        (SigningKey::unnamed(&[9; 32]).unwrap(), SigningKey::new(key.public().name(), &[9; 32]).unwrap());
    let note = quiet(&order).sign(&key);
    let whole = order.state(&note).unwrap();
    let (line, _) = whole.split_once('\n').unwrap();
    let lifted = Standstill { turn: Turn::Lifted, ..quiet(&order) }.sign(&key);
    let by = |by: &str| Order { by: by.into(), ..order.clone() };
    let mut forgeries: Vec<(String, Vec<u8>)> = Vec::new();
    let mut with = |name: &str, text: String| forgeries.push((name.to_owned(), text.into_bytes()));
    with("another key", order.state(&quiet(&order).sign(&other)).unwrap());
    with("another key of the same name", order.state(&quiet(&order).sign(&same_name)).unwrap());
    with("another person", by("person:eve").state(&note).unwrap());
    with("no person", by("").state(&note).unwrap());
    with("another reason", Order { reason: "a drill".into(), ..order.clone() }.state(&note).unwrap());
    with("another time", Order { within_ms: Some(60_000), ..order.clone() }.state(&note).unwrap());
    with("no time", Order { within_ms: None, ..order.clone() }.state(&note).unwrap());
    with("the order of another member", whole.replacen('}', ",\"zebra\":1}", 1));
    with("the order with a space", whole.replacen(':', ": ", 1));
    with("the order twice", format!("{line}\n{whole}"));
    with("the order alone", format!("{line}\n"));
    with("the order with another note's signature", format!("{line}\n{}", resigned(&note, &lifted)));
    with("a note with another's signature", resigned(&note, &lifted));
    with("a line more", format!("{whole}\n"));
    with("something before", format!("\n{whole}"));
    with("two notes", format!("{whole}{note}"));
    with("other line ends", whole.replace('\n', "\r\n"));
    with("a byte order mark", format!("\u{feff}{whole}"));
    with("said to be lifted", whole.replacen("/quiet\n", "/lifted\n", 1));
    with("for one tenant", whole.replacen("\n*\n", "\nacme\n", 1));
    with(
        "in capitals",
        whole.replace(&quiet(&order).order.to_string(), &quiet(&order).order.to_string().to_uppercase()),
    );
    rejected(&forgeries, key.public());
}

/// A note's text under another's signature.
fn resigned(note: &str, other: &str) -> String {
    let (text, signature) = (note.rsplit_once("\n\n").unwrap().0, other.rsplit_once("\n\n").unwrap().1);
    format!("{text}\n\n{signature}")
}

/// The operator has the key and may sign what cannot be: it is refused all the same.
#[test]
fn a_statement_that_contradicts_itself_is_refused_whoever_signed_it() {
    let (key, order) = (key(), order());
    let mut forgeries: Vec<(String, Vec<u8>)> = Vec::new();
    let mut with = |name: &str, order: &Order, change: &dyn Fn(&mut Standstill)| {
        let mut standstill = quiet(order);
        change(&mut standstill);
        forgeries.push((format!("{name}, alone"), standstill.sign(&key).into_bytes()));
        forgeries.push((name.to_owned(), order.state(&standstill.sign(&key)).unwrap().into_bytes()));
    };
    let time = Timestamp::from_millis;
    with("quiet before it was ordered", &order, &|quiet| quiet.at = time(quiet.since.as_millis() - 1));
    with("lifted before it was ordered", &order, &|quiet| (quiet.turn, quiet.at) = (Turn::Lifted, time(1)));
    with("before 1970", &order, &|quiet| quiet.since = time(-1));
    with("in a year that JSON rounds", &order, &|quiet| quiet.at = time(1 << 53));
    with("of a tree that JSON rounds", &order, &|quiet| quiet.size = 1 << 53);
    with("the root of something over nothing", &order, &|quiet| quiet.size = 0);
    with("the root of nothing over something", &order, &|quiet| quiet.root = sha256(&[]));
    let mut worded = |name: &str, order: &Order, turn: Turn| {
        let standstill = Standstill { turn, ..quiet(order) };
        forgeries.push((name.to_owned(), order.state(&standstill.sign(&key)).unwrap().into_bytes()));
    };
    worded("a lift with a time for quiet", &order, Turn::Lifted);
    worded("nobody ordered it", &Order { by: " ".into(), ..order.clone() }, Turn::Quiet);
    worded("for no reason", &Order { reason: "\n".into(), ..order.clone() }, Turn::Quiet);
    worded("a time that JSON rounds", &Order { within_ms: Some(1 << 53), ..order.clone() }, Turn::Quiet);
    let text = |lines: &[&str]| key.sign(&format!("{}\n", lines.join("\n"))).into_bytes();
    let (name, root) = (format!("{}/quiet", key.public().name()), "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=");
    let hash = Digest::ZERO.to_string();
    let mut signed = |what: &str, lines: &[&str]| forgeries.push((what.to_owned(), text(lines)));
    signed("a number with a plus", &[&name, "*", "+1", "2", "3", root, &hash]);
    signed("a number with a zero before it", &[&name, "*", "1", "02", "3", root, &hash]);
    signed("a number that is none", &[&name, "*", "1", "2", "", root, &hash]);
    signed("a number beyond 64 bits", &[&name, "*", "1", "99999999999999999999", "3", root, &hash]);
    signed("a tenant that is none", &[&name, "A tenant", "1", "2", "3", root, &hash]);
    signed("a root that is too short", &[&name, "*", "1", "2", "3", "LXEW", &hash]);
    signed("a digest in capitals", &[&name, "*", "1", "2", "3", root, &hash.replace('0', "A")]);
    signed("a line too few", &[&name, "*", "1", "2", "3", root]);
    signed("a line too many", &[&name, "*", "1", "2", "3", root, &hash, "more"]);
    signed("another log's name", &["l9.local/other/quiet", "*", "1", "2", "3", root, &hash]);
    signed("another turn", &["l9.local/log/loud", "*", "1", "2", "3", root, &hash]);
    let (size, root, at) = (7, sha256(&[b"x"]), time(9));
    forgeries.push(("a checkpoint".into(), Checkpoint::sign(&key, size, root, at).note.into_bytes()));
    let horizon = Horizon { tenant: TenantId::default_tenant(), before: time(5), at, size, root };
    forgeries.push(("a horizon".into(), horizon.sign(&key).into_bytes()));
    rejected(&forgeries, key.public());
    assert!(forgeries.len() >= 30, "only {}", forgeries.len());

    // What is only odd is said, and not refused.
    let late = Standstill { at: time(1_767_225_605_001), ..quiet(&order) };
    assert_eq!(accepted(&order.state(&late.sign(&key)).unwrap(), key.public()).in_time, Some(false));
    let empty = Standstill { size: 0, root: sha256(&[]), ..quiet(&order) };
    assert_eq!(accepted(&order.state(&empty.sign(&key)).unwrap(), key.public()).in_time, Some(true));
}
