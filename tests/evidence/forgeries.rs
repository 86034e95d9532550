//! Forgeries, each named and each rejected by both verifiers. First what somebody without
//! the log's key may try, then what its operator may.

use std::collections::BTreeSet;
use std::time::Duration;

use l9::digest::{Digest, hmac, sha256};
use l9::erasure::Erasing;
use l9::evidence::{Checkpoint, Erased, Erasure, Horizon, SignedCheckpoint, SigningKey, leaf_hash, root_of_some};
use l9::id::TenantId;
use l9::json;
use l9::time::Timestamp;
use serde_json::{Value, json};

use crate::system::{Evidence, System, second_opinion};

/// A bundle in parts.
#[derive(Clone)]
struct Parts {
    head: Value,
    records: Vec<Value>,
    artifacts: Vec<Value>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let head = lines.next().unwrap();
        let count = usize::try_from(head["records"].as_u64().unwrap()).unwrap();
        let records = lines.by_ref().take(count).collect();
        Self { head, records, artifacts: lines.collect() }
    }

    fn bytes(&self) -> Vec<u8> {
        let lines = std::iter::once(&self.head).chain(&self.records).chain(&self.artifacts);
        lines.flat_map(|line| [json::canonical(line).unwrap(), b"\n".to_vec()].concat()).collect()
    }

    /// The counts are what the lines are.
    fn counted(mut self) -> Self {
        self.head["records"] = json!(self.records.len());
        self.head["artifacts"] = json!(self.artifacts.len());
        self
    }

    /// Every hash and link from a record on is made anew, as whoever knows the format can.
    fn relinked(mut self, from: usize) -> Self {
        for at in from..self.records.len() {
            if at > 0 {
                self.records[at]["prev"] = self.records[at - 1]["hash"].clone();
            }
            let tenant = self.head["tenant"].clone();
            let record = &mut self.records[at];
            let mut header = json!({"format": "l9.record.1", "tenant": tenant});
            for name in ["at", "epoch", "kind", "run", "seq", "version"] {
                header[name] = record[name].clone();
            }
            let digest = |name: &str| record[name].as_str().unwrap().parse::<Digest>().unwrap();
            let (commitment, prev) = (digest("commitment"), digest("prev"));
            let hash = sha256(&[&json::canonical(&header).unwrap(), commitment.as_bytes(), prev.as_bytes()]);
            record["hash"] = json!(hash);
        }
        self
    }

    /// The root that the records and the proof give.
    fn root(&self, size: u64) -> Digest {
        let leaf = |record: &Value| {
            let hash: Digest = record["hash"].as_str().unwrap().parse().unwrap();
            (record["leaf"].as_u64().unwrap(), leaf_hash(&hash))
        };
        let leaves: Vec<(u64, Digest)> = self.records.iter().map(leaf).collect();
        let proof: Vec<Digest> = serde_json::from_value(self.head["proof"].clone()).unwrap();
        root_of_some(size, &leaves, &proof).unwrap()
    }
}

/// Another value of the same form.
fn flip(value: &mut Value) {
    *value = match value.take() {
        Value::Number(number) => json!(number.as_i64().unwrap() ^ 1),
        Value::String(text) if text.len() > 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            json!(format!("{}{}", if text.starts_with('0') { '1' } else { '0' }, &text[1..]))
        }
        Value::String(text) => json!(text.replacen(['e', 'a'], "o", 1) + "x"),
        other => other,
    };
}

/// A note with a word of its text or signature changed.
fn tampered(note: &str, from: &str, to: &str) -> Value {
    let changed = note.replacen(from, to, 1);
    assert_ne!(changed, note, "{from:?} does not stand in the note");
    json!(changed)
}

type Forgery = (String, Evidence);

struct Forger {
    real: Evidence,
    parts: Parts,
    made: Vec<Forgery>,
}

impl Forger {
    fn new(real: Evidence) -> Self {
        let parts = Parts::of(&real.bytes);
        assert_eq!(parts.bytes(), real.bytes, "taken apart and put together it is the same");
        Self { real, parts, made: Vec::new() }
    }

    fn bytes(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.made.push((name.into(), Evidence { bytes, ..self.real.clone() }));
    }

    fn parts(&mut self, name: impl Into<String>, change: impl FnOnce(&mut Parts)) {
        let mut parts = self.parts.clone();
        change(&mut parts);
        self.bytes(name, parts.bytes());
    }

    /// Everything made is another thing, and both verifiers reject it.
    fn judge(self) -> usize {
        let names: BTreeSet<&String> = self.made.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), self.made.len(), "each has a name of its own");
        let mut missed = Vec::new();
        let all: Vec<&Evidence> = self.made.iter().map(|(_, evidence)| evidence).collect();
        for ((name, evidence), second) in self.made.iter().zip(second_opinion(&all)) {
            let verdict = evidence.verify();
            let changed =
                evidence.bytes != self.real.bytes || evidence.head != self.real.head || evidence.key != self.real.key;
            if !changed {
                missed.push(format!("{name}: nothing is forged"));
            }
            if verdict.ok || verdict.faults.is_empty() {
                missed.push(format!("{name}: accepted"));
            }
            if second.is_none() {
                missed.push(format!("{name}: accepted by the second verifier"));
            }
        }
        assert!(missed.is_empty(), "{missed:#?}");
        println!("{} forgeries rejected by both verifiers", self.made.len());
        self.made.len()
    }
}

async fn real() -> (System, Evidence) {
    let system = System::open().await;
    // Two older checkpoints at least, so that there are two proofs of consistency.
    system.run().await;
    system.head().await;
    system.run().await;
    let head = system.head().await;
    let run = system.run().await;
    system.run().await;
    let evidence = system.evidence(run, Some(head)).await;
    assert!(evidence.verify().ok);
    (system, evidence)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_key_forges_a_bundle() {
    let (system, real) = real().await;
    let mut forger = Forger::new(real);
    fields(&mut forger);
    structure(&mut forger);
    bytes(&mut forger);
    trust(&mut forger, &system);
    let made = forger.judge();
    assert!(made >= 60, "only {made}");
    system.runtime.shutdown().await;
}

/// Each field of each kind of line.
fn fields(forger: &mut Forger) {
    let note = forger.parts.head["checkpoint"].as_str().unwrap().to_owned();
    let size = note.lines().nth(1).unwrap().to_owned();
    let origin = note.lines().next().unwrap().to_owned();
    for name in ["artifacts", "records", "run", "tenant", "format", "end"] {
        forger.parts(format!("head: {name} flipped"), |parts| flip(&mut parts.head[name]));
    }
    forger.parts("head: a closed run is said to be open", |parts| parts.head["end"] = json!("open"));
    forger.parts("head: another member", |parts| parts.head["zebra"] = json!(1));
    forger.parts("head: no consistency", |parts| drop(parts.head.as_object_mut().unwrap().remove("consistency")));
    forger.parts("head: proof hash flipped", |parts| flip(&mut parts.head["proof"][0]));
    for (what, from, to) in [
        ("size", size.as_str(), "9"),
        ("time", "time 1", "time 2"),
        ("origin", origin.as_str(), "l9.local/other"),
        ("key's name", &format!("\u{2014} {origin}"), "\u{2014} other"),
        ("last newline", "\n\n", "\n"),
    ] {
        forger.parts(format!("checkpoint: {what} changed"), |parts| {
            parts.head["checkpoint"] = tampered(&note, from, to);
        });
    }
    let root = note.lines().nth(2).unwrap();
    let other = if root.starts_with('A') { "B" } else { "A" };
    forger.parts("checkpoint: root changed", |parts| {
        parts.head["checkpoint"] = tampered(&note, root, &format!("{other}{}", &root[1..]));
    });
    let signature = note.trim_end().rsplit(' ').next().unwrap();
    let flipped =
        format!("{}{}{}", &signature[..20], if &signature[20..21] == "A" { "B" } else { "A" }, &signature[21..]);
    forger.parts("checkpoint: signature changed", |parts| {
        parts.head["checkpoint"] = tampered(&note, signature, &flipped);
    });
    for name in ["at", "epoch", "kind", "version", "seq", "run", "leaf", "commitment", "hash", "prev"] {
        for at in [0, 5] {
            forger.parts(format!("record {at}: {name} flipped"), |parts| flip(&mut parts.records[at][name]));
        }
    }
    for name in ["key", "payload"] {
        forger.parts(format!("record 5: body's {name} flipped"), |parts| flip(&mut parts.records[5]["body"][name]));
    }
    forger.parts("record 5: another member", |parts| parts.records[5]["zebra"] = json!(1));
    forger.parts("record 5: no body and no horizon", |parts| parts.records[5]["body"] = Value::Null);
    for name in ["artifact", "key", "value"] {
        forger.parts(format!("artifact 0: {name} flipped"), |parts| flip(&mut parts.artifacts[0][name]));
    }
    for name in ["from", "root"] {
        forger.parts(format!("consistency: {name} flipped"), |parts| flip(&mut parts.head["consistency"][1][name]));
    }
    forger.parts("consistency: hash flipped", |parts| flip(&mut parts.head["consistency"][1]["hashes"][0]));
}

/// What is dropped, swapped, repeated, cut or made anew.
fn structure(forger: &mut Forger) {
    let last = forger.parts.records.len() - 1;
    for (name, at) in [("first", 0), ("fifth", 5), ("last", last)] {
        forger.parts(format!("the {name} record dropped, counts adapted"), |parts| {
            parts.records.remove(at);
            *parts = parts.clone().counted();
        });
        forger.parts(format!("the {name} record dropped, everything relinked"), |parts| {
            parts.records.remove(at);
            for (seq, record) in parts.records.iter_mut().enumerate() {
                record["seq"] = json!(seq);
            }
            *parts = parts.clone().counted().relinked(0);
        });
    }
    forger.parts("the tail cut, said to be open", |parts| {
        parts.records.truncate(last - 2);
        parts.head["end"] = json!("open");
        *parts = parts.clone().counted();
    });
    forger.parts("two records swapped", |parts| parts.records.swap(4, 5));
    forger.parts("a record twice", |parts| {
        let twice = parts.records[5].clone();
        parts.records.insert(5, twice);
        *parts = parts.clone().counted();
    });
    forger.parts("two leaves swapped", |parts| {
        let (four, five) = (parts.records[4]["leaf"].clone(), parts.records[5]["leaf"].clone());
        (parts.records[4]["leaf"], parts.records[5]["leaf"]) = (five, four);
    });
    forger.parts("all leaves one on", |parts| {
        for record in &mut parts.records {
            record["leaf"] = json!(record["leaf"].as_u64().unwrap() + 1);
        }
    });
    forger.parts("a leaf beyond the checkpoint", |parts| parts.records[last]["leaf"] = json!(1_u64 << 40));
    forger.parts("two bodies swapped", |parts| {
        let (four, five) = (parts.records[4]["body"].clone(), parts.records[5]["body"].clone());
        (parts.records[4]["body"], parts.records[5]["body"]) = (five, four);
    });
    forger.parts("another time, everything relinked", |parts| {
        parts.records[5]["at"] = json!(parts.records[5]["at"].as_i64().unwrap() + 1);
        *parts = parts.clone().relinked(5);
    });
    forger.parts("another payload, committed to anew and relinked", |parts| {
        let payload = parts.records[5]["body"]["payload"].as_str().unwrap().replacen(':', ": ", 1);
        let key: Digest = parts.records[5]["body"]["key"].as_str().unwrap().parse().unwrap();
        parts.records[5]["commitment"] = json!(hmac(key.as_bytes(), &[payload.as_bytes()]));
        parts.records[5]["body"]["payload"] = json!(payload);
        *parts = parts.clone().relinked(5);
    });
    forger.parts("another tenant, everything relinked", |parts| {
        parts.head["tenant"] = json!("other");
        *parts = parts.clone().relinked(0);
    });
    forger.parts("an artifact dropped", |parts| {
        parts.artifacts.remove(0);
        *parts = parts.clone().counted();
    });
    forger.parts("artifacts swapped", |parts| parts.artifacts.swap(0, 1));
    forger.parts("an artifact twice", |parts| {
        let twice = parts.artifacts[0].clone();
        parts.artifacts.insert(0, twice);
        *parts = parts.clone().counted();
    });
    forger.parts("an artifact that nobody asked for", |parts| {
        let id = hmac(&[0; 32], &[b"\"x\""]);
        parts.artifacts.push(json!({"artifact": id, "key": Digest::ZERO, "value": "\"x\""}));
        parts.artifacts.sort_by_key(|artifact| artifact["artifact"].to_string());
        *parts = parts.clone().counted();
    });
    forger.parts("proof too short", |parts| drop(parts.head["proof"].as_array_mut().unwrap().pop()));
    forger.parts("proof too long", |parts| parts.head["proof"].as_array_mut().unwrap().push(json!(Digest::ZERO)));
    forger.parts("proof swapped", |parts| parts.head["proof"].as_array_mut().unwrap().swap(0, 1));
    forger.parts("consistency swapped", |parts| parts.head["consistency"].as_array_mut().unwrap().swap(0, 1));
    forger.parts("consistency too short", |parts| {
        drop(parts.head["consistency"][1]["hashes"].as_array_mut().unwrap().pop());
    });
    forger.parts("a horizon that nobody needs", |parts| parts.head["horizon"] = parts.head["checkpoint"].clone());
}

/// The same values in other bytes, and bytes that are no values.
fn bytes(forger: &mut Forger) {
    let real = forger.real.bytes.clone();
    let text = String::from_utf8(real.clone()).unwrap();
    forger.bytes("nothing", Vec::new());
    forger.bytes("an empty line", b"\n".to_vec());
    forger.bytes("the last newline cut", real[..real.len() - 1].to_vec());
    forger.bytes("cut in the middle", real[..real.len() / 2].to_vec());
    forger.bytes("a line more", [real.as_slice(), b"{}\n"].concat());
    forger.bytes("an empty line more", [real.as_slice(), b"\n"].concat());
    forger.bytes("a byte order mark", [b"\xef\xbb\xbf".as_slice(), &real].concat());
    forger.bytes("other line ends", text.replace('\n', "\r\n").into_bytes());
    forger.bytes("a space", text.replacen(':', ": ", 1).into_bytes());
    forger.bytes("another escape", text.replacen("\\n", "\\u000a", 1).into_bytes());
    forger.bytes("hex in capitals", {
        let hash = forger.parts.records[5]["hash"].as_str().unwrap();
        text.replace(hash, &hash.to_uppercase()).into_bytes()
    });
    forger.bytes("a run in capitals", {
        let run = forger.parts.head["run"].as_str().unwrap();
        text.replacen(run, &run.to_uppercase(), 1).into_bytes()
    });
    forger.bytes("a member twice", text.replacen("\"leaf\":", "\"leaf\":1,\"leaf\":", 1).into_bytes());
    forger.bytes("members in another order", {
        let line = text.lines().nth(3).unwrap();
        let (first, rest) = line[1..].split_once(',').unwrap();
        text.replacen(line, &format!("{{{},{first}}}", &rest[..rest.len() - 1]), 1).into_bytes()
    });
    forger.bytes("a fraction", text.replacen("\"version\":1", "\"version\":1.0", 1).into_bytes());
    forger.bytes("an integer that JSON rounds", {
        let at = forger.parts.records[5]["at"].to_string();
        text.replacen(&format!("\"at\":{at}"), "\"at\":9007199254740993", 1).into_bytes()
    });
    forger.bytes("not UTF-8", {
        let mut other = real.clone();
        let at = text.find("payload").unwrap() + 12;
        other[at] = 0xff;
        other
    });
}

/// Other keys and other heads.
fn trust(forger: &mut Forger, system: &System) {
    let real = forger.real.clone();
    let (own, other) = (system.key(), SigningKey::unnamed(&[9; 32]).unwrap());
    let same_name = SigningKey::new(own.public().name(), &[9; 32]).unwrap();
    let mut with = |name: &str, evidence: Evidence| forger.made.push((name.to_owned(), evidence));
    with("another key", Evidence { key: other.public().clone(), ..real.clone() });
    with("another key of the same name", Evidence { key: same_name.public().clone(), ..real.clone() });
    let head = SignedCheckpoint::open(own.public(), real.head.as_deref().unwrap()).unwrap().checkpoint;
    let headed = |signer: &SigningKey, size: u64, root: Digest| Evidence {
        head: Some(Checkpoint::sign(signer, size, root, head.at).note),
        ..real.clone()
    };
    with("a trusted head of another key", headed(&same_name, head.size, head.root));
    with("a trusted head of another root", headed(&own, head.size, Digest::ZERO));
    with("a trusted head beyond the checkpoint", headed(&own, 1 << 30, head.root));
    with("a trusted head that is no note", Evidence { head: Some("head".into()), ..real.clone() });
    let now =
        SignedCheckpoint::open(own.public(), forger.parts.head["checkpoint"].as_str().unwrap()).unwrap().checkpoint;
    let mut with = |name: &str, evidence: Evidence| forger.made.push((name.to_owned(), evidence));
    with("a trusted head of the same size and another root", headed(&own, now.size, Digest::ZERO));
    let consistency = forger.parts.head["consistency"].as_array().unwrap();
    let gap = (1..now.size).find(|size| consistency.iter().all(|older| older["from"] != json!(size))).unwrap();
    let mut with = |name: &str, evidence: Evidence| forger.made.push((name.to_owned(), evidence));
    with("a trusted head without a proof from it", headed(&own, gap, head.root));
    // The checkpoint of before, with a good signature: it does not cover the run.
    let stale = real.head.clone().unwrap();
    forger.parts("a stale checkpoint", |parts| parts.head["checkpoint"] = json!(stale));
    forger.parts("a checkpoint signed with another key", |parts| {
        parts.head["checkpoint"] = json!(Checkpoint::sign(&same_name, now.size, now.root, now.at).note);
    });
    forger.parts("a checkpoint over another root", |parts| {
        parts.head["checkpoint"] = json!(Checkpoint::sign(&other, now.size, Digest::ZERO, now.at).note);
    });
}

/// The operator has the key, so only a head that was kept elsewhere shows these.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_forges_nothing_that_a_kept_head_does_not_show() {
    let (system, real) = real().await;
    let key = system.key();
    let mut forger = Forger::new(real.clone());
    let now =
        SignedCheckpoint::open(key.public(), forger.parts.head["checkpoint"].as_str().unwrap()).unwrap().checkpoint;
    let mut signed = |name: &str, change: &dyn Fn(&mut Parts)| {
        let mut parts = forger.parts.clone();
        change(&mut parts);
        // Proofs of consistency cannot be made over a past that was changed.
        parts.head["consistency"] = json!([]);
        let root = parts.root(now.size);
        parts.head["checkpoint"] = json!(Checkpoint::sign(&key, now.size, root, now.at).note);
        let unheld = Evidence { bytes: parts.bytes(), head: None, ..real.clone() };
        let verdict = unheld.verify();
        assert!(verdict.ok, "{name} is a good forgery: {:?}", verdict.faults);
        forger.bytes(name, parts.bytes());
    };
    signed("a record changed, chain and tree made anew", &|parts| {
        parts.records[5]["at"] = json!(parts.records[5]["at"].as_i64().unwrap());
        parts.records[5]["version"] = json!(2);
        *parts = parts.clone().relinked(5);
    });
    signed("a payload changed, chain and tree made anew", &|parts| {
        let body = &parts.records[5]["body"];
        let payload = body["payload"].as_str().unwrap().replacen(':', ": ", 1);
        let secret: Digest = body["key"].as_str().unwrap().parse().unwrap();
        parts.records[5]["commitment"] = json!(hmac(secret.as_bytes(), &[payload.as_bytes()]));
        parts.records[5]["body"]["payload"] = json!(payload);
        *parts = parts.clone().relinked(5);
    });
    forger.parts("a log that shows another tree of the same size", |parts| {
        parts.head["proof"][0] = json!(Digest::ZERO);
        let root = parts.root(now.size);
        parts.head["checkpoint"] = json!(Checkpoint::sign(&key, now.size, root, now.at).note);
    });
    assert_eq!(forger.judge(), 3);
    system.runtime.shutdown().await;
}

/// A body that is missing must be covered.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_goes_missing_without_a_horizon_that_covers_it() {
    let system = System::open().await;
    let run = system.run().await;
    let tenant = system.runtime.principal().tenant;
    tokio::time::sleep(Duration::from_millis(5)).await;
    system.runtime.audit().expire(&tenant, Duration::ZERO, false, None).await.unwrap();
    let real = system.evidence(run, None).await;
    assert!(real.verify().ok);
    let key = system.key();
    let mut forger = Forger::new(real);
    let horizon = Horizon::open(key.public(), forger.parts.head["horizon"].as_str().unwrap()).unwrap();
    let closed = forger.parts.records.last().unwrap()["at"].as_i64().unwrap();
    let other = SigningKey::new(key.public().name(), &[9; 32]).unwrap();
    forger.parts("no horizon", |parts| drop(parts.head.as_object_mut().unwrap().remove("horizon")));
    forger.parts("a horizon that is a checkpoint", |parts| parts.head["horizon"] = parts.head["checkpoint"].clone());
    forger.parts("a horizon of another key", |parts| parts.head["horizon"] = json!(horizon.sign(&other)));
    let mut with = |name: &str, horizon: Horizon| {
        forger.parts(name, |parts| parts.head["horizon"] = json!(horizon.sign(&key)));
    };
    with("a horizon of another tenant", Horizon { tenant: TenantId::new("other").unwrap(), ..horizon.clone() });
    with("a horizon just before the end", Horizon { before: Timestamp::from_millis(closed), ..horizon.clone() });
    with("a horizon of a tree to come", Horizon { size: 1 << 30, ..horizon.clone() });
    with("a horizon of another tree", Horizon { root: Digest::ZERO, ..horizon.clone() });
    let note = forger.parts.head["horizon"].as_str().unwrap().to_owned();
    forger.parts("a horizon moved", |parts| parts.head["horizon"] = tampered(&note, "\ndefault\n", "\ndefault2\n"));
    forger.parts("the tail of an expired run cut", |parts| {
        parts.records.pop();
        parts.head["end"] = json!("open");
        *parts = parts.clone().counted();
    });
    assert_eq!(forger.judge(), 9);
    system.runtime.shutdown().await;
}

/// An erasure covers its own run of its own tenant and tree, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_erased_that_no_statement_covers() {
    let system = System::open().await;
    let (run, tenant) = (system.run().await, system.runtime.principal().tenant);
    let asked = Erasing {
        subject: "the end".into(),
        by: "person:ada".into(),
        reason: "a test".into(),
        mentions: true,
        dry: false,
    };
    let whole = Parts::of(&system.evidence(run, None).await.bytes);
    system.runtime.erase(&tenant, &asked).await.unwrap();
    let real = system.evidence(run, None).await;
    assert!(real.verify().ok);
    let key = system.key();
    let mut forger = Forger::new(real);
    // Who hides one record would say that the run was erased.
    assert!(whole.records[1]["body"]["payload"].as_str().is_some_and(|payload| !payload.contains("artifact")));
    forger.parts("a run of which one body is there", |parts| parts.records[1] = whole.records[1].clone());
    let closed = forger.parts.records.last().unwrap()["at"].as_i64().unwrap();
    let note = forger.parts.head["erasures"][0].as_str().unwrap().to_owned();
    let erasure = Erasure::open(key.public(), &note).unwrap();
    let other = SigningKey::new(key.public().name(), &[9; 32]).unwrap();
    forger.parts("no erasure", |parts| drop(parts.head.as_object_mut().unwrap().remove("erasures")));
    forger.parts("an empty list", |parts| parts.head["erasures"] = json!([]));
    forger.parts("an erasure that is a checkpoint", |parts| parts.head["erasures"] = json!([parts.head["checkpoint"]]));
    forger.parts("an erasure of another key", |parts| parts.head["erasures"] = json!([erasure.sign(&other)]));
    forger.parts("an erasure twice", |parts| parts.head["erasures"] = json!([note, note]));
    let mut with = |name: &str, erasure: Erasure| {
        forger.parts(name, |parts| parts.head["erasures"] = json!([erasure.sign(&key)]));
    };
    with("an erasure of another tenant", Erasure { tenant: TenantId::new("other").unwrap(), ..erasure.clone() });
    let another = "01890000-0000-7000-8000-000000000000".parse().unwrap();
    with("an erasure of another run", Erasure { what: Erased::Run(another), ..erasure.clone() });
    with("an erasure of memories", Erasure { what: Erased::Memory, ..erasure.clone() });
    with("an erasure before its run ended", Erasure { at: Timestamp::from_millis(closed - 1), ..erasure.clone() });
    with("an erasure of fewer records", Erasure { count: erasure.count - 1, ..erasure.clone() });
    with("an erasure of a tree to come", Erasure { size: 1 << 30, ..erasure.clone() });
    let tail = note.split_once("\n\n").unwrap().0.to_owned();
    forger.parts("an erasure moved", |parts| {
        parts.head["erasures"] = json!([tampered(&note, "\ndefault\n", "\ndefault2\n")]);
    });
    forger.parts("an erasure cut", |parts| parts.head["erasures"] = json!([tail]));
    assert_eq!(forger.judge(), 14);
    system.runtime.shutdown().await;
}

/// Wherever one bit of a bundle is flipped, it is rejected.
#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_is_noticed() {
    let (system, real) = real().await;
    let length = real.bytes.len();
    // The values of artifacts are long and alike: most of the places lie before them.
    let end = length - Parts::of(&real.bytes).artifacts.iter().map(|line| line.to_string().len()).sum::<usize>();
    let places = (0..end).step_by(37).chain((end..length).step_by(4_001));
    let mut flipped = 0;
    for at in places {
        let mut bytes = real.bytes.clone();
        bytes[at] ^= 1 << (at % 7);
        let verdict = Evidence { bytes, ..real.clone() }.verify();
        assert!(!verdict.ok, "byte {at} of {length}");
        flipped += 1;
    }
    println!("{flipped} flipped bits of a bundle of {length} bytes noticed");
    assert!(flipped > 200, "{flipped}");
    system.runtime.shutdown().await;
}
