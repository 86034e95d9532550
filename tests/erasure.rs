//! Erasing a data subject: nothing of it is left in the file, whatever knew of it, and the
//! audit still verifies.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use l9::budget::Cost;
use l9::digest::Digest;
use l9::erasure::Erasing;
use l9::evidence::{Trust, verify_bundle};
use l9::id::{CallId, CommandId};
use l9::journal::{RunFilter, Status, StoredCommand};
use l9::kernel::{Advance as _, Advanced};
use l9::label::{Label, MAX_SUBJECTS};
use l9::memory::{NewEntry, NewQuarantine, Query, Scope, Suspect};
use l9::mention::Name;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{self, NativeTool};
use l9::queue::Task;
use l9::run::{CallState, Command, CommandRequest, RunOutcome, Stored};
use l9::vault::Place;
use l9::{AgentProfile, ErrorKind, RunId, Runtime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, Row as _, SqliteConnection};

/// What only she said, and whom it is about.
const WORDS: &str = "Zanzibarine quinces ripen late";
const ADA: &str = "ada@example.org";

async fn open(folder: &Path) -> Runtime {
    let turns = vec![
        Turn::call([("memory/search", r#"{"query":"quinces"}"#)]),
        Turn::call([("memory/remember", r#"{"text":"In short: quinces are late."}"#)]),
        Turn::say("They ripen late."),
    ];
    let mut profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    for tool in ["memory/search", "memory/remember"] {
        profile = profile.with_tool(tool).unwrap();
    }
    let model = Arc::new(Scripted::new(turns));
    Runtime::builder().data_dir(folder).model("script", model).agent(profile).build().await.unwrap()
}

async fn ended(runtime: &Runtime, agent: &str, input: &str) -> RunId {
    let handle = runtime.run(agent, input).await.unwrap();
    let run = handle.run();
    tokio::time::timeout(Duration::from_secs(60), handle.outcome()).await.unwrap().unwrap();
    run
}

async fn called(runtime: &Runtime, tool: &str, arguments: &str) -> RunId {
    let handle = runtime.call(tool, arguments).await.unwrap();
    let run = handle.run();
    tokio::time::timeout(Duration::from_secs(60), handle.outcome()).await.unwrap().unwrap();
    run
}

fn about(subject: &str, text: &str) -> NewEntry {
    NewEntry { text: text.into(), subject: Some(subject.into()), ..NewEntry::default() }
}

/// Every sealed value in the file by its table: what a thief of the disk has.
async fn sealed(folder: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}/l9.db", folder.display())).await.unwrap();
    let columns = [
        ("entries", "entry"),
        ("entries", "terms"),
        ("records", "body"),
        ("artifacts", "sealed"),
        ("snapshots", "sealed"),
        ("subject_keys", "sealed"),
    ];
    let mut found = BTreeSet::new();
    for (table, column) in columns {
        let sql = format!("SELECT {column} FROM {table} WHERE length({column}) > 0");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        found.extend(rows.iter().map(|row| (table.to_owned(), row.get::<Vec<u8>, _>(0))));
    }
    connection.close().await.unwrap();
    found
}

/// All bytes that the database keeps on the disk.
fn bytes(folder: &Path) -> Vec<u8> {
    let files = ["l9.db", "l9.db-wal"].map(|name| std::fs::read(folder.join(name)).unwrap_or_default());
    files.concat()
}

fn holds(haystack: &[u8], sealed: &[u8]) -> bool {
    // The middle of it: its ends may be on other pages.
    let middle = &sealed[sealed.len() / 3..];
    memchr::memmem::find(haystack, &middle[..middle.len().min(48)]).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_subject_is_left_and_the_audit_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = open(folder.path()).await;
    let tenant = runtime.principal().tenant;
    let scope = Scope::tenant(tenant.clone());
    let memory = runtime.memory();
    let kept = memory
        .remember(
            &tenant,
            vec![
                about(ADA, WORDS),
                about("bob", "Bob keeps bees"),
                NewEntry { text: "Quinces need sun".into(), ..NewEntry::default() },
            ],
        )
        .await
        .unwrap();
    memory.snapshot(&tenant, None, "before", "t").await.unwrap();
    let untouched = called(&runtime, "calc/evaluate", r#"{"expression":"6 * 7"}"#).await;
    let bobs = called(&runtime, "memory/search", r#"{"query":"bees"}"#).await;
    // Read by one run, which then remembers in other words; written by another.
    let read = ended(&runtime, "clerk", "What of the fruit?").await;
    let written =
        called(&runtime, "memory/remember", &format!(r#"{{"text":"She is late too","subject":"{ADA}"}}"#)).await;
    assert_eq!(memory.count(&scope).await.unwrap(), 5);
    let before = sealed(folder.path()).await;
    let head = runtime.audit().checkpoint().await.unwrap().unwrap().note;

    let asked = Erasing {
        subject: ADA.into(),
        by: "person:dpo".into(),
        reason: "she asked for it".into(),
        mentions: false,
        dry: true,
    };
    let would = runtime.erase(&tenant, &asked).await.unwrap();
    assert_eq!((would.memories, would.statements.len()), (3, 0));
    assert_eq!(would.runs.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([read, written]));
    assert_eq!(memory.count(&scope).await.unwrap(), 5, "a dry run erases nothing");
    let done = runtime.erase(&tenant, &Erasing { dry: false, ..asked.clone() }).await.unwrap();
    assert_eq!((done.memories, &done.runs, done.statements.len()), (3, &would.runs, 3));
    assert!(done.residue.is_clean(), "{:?}", done.residue);

    // Not found, not brought back, not in any run that is open to read.
    let found = memory.search(&scope, &Query::new("Zanzibarine quinces late she", 9)).await.unwrap();
    assert_eq!(found.iter().map(|hit| hit.entry.id).collect::<Vec<_>>(), [kept[2].id]);
    let snapshot = memory.snapshots(&tenant).await.unwrap()[0].id;
    memory.restore(&tenant, snapshot, "t").await.unwrap();
    assert_eq!(memory.get(&tenant, kept[0].id).await.unwrap(), None);
    assert!(memory.get(&tenant, kept[1].id).await.unwrap().is_some(), "what is about others stays");
    for words in [WORDS, "In short", "She is late", ADA] {
        let found = runtime.engine().mentions(&tenant, &Name::new(words)).await.unwrap();
        assert!(found.runs.is_empty() && found.unread.is_empty(), "{words}");
    }
    assert_eq!(runtime.engine().mentions(&tenant, &Name::new("Bob keeps bees")).await.unwrap().runs.len(), 1);

    // Not in the file or its log: neither in clear nor as it was sealed, its key included.
    let (after, disk) = (sealed(folder.path()).await, bytes(folder.path()));
    let gone: Vec<_> = before.difference(&after).collect();
    let tables: BTreeSet<&str> = gone.iter().map(|(table, _)| table.as_str()).collect();
    assert!(tables.is_superset(&BTreeSet::from(["entries", "records", "subject_keys"])), "{tables:?}");
    for (table, sealed) in gone {
        assert!(!holds(&disk, sealed), "{} bytes of {table} are left", sealed.len());
    }
    assert!(before.intersection(&after).all(|(_, sealed)| holds(&disk, sealed)), "the scan finds what is there");
    for words in [WORDS, ADA, "Zanzibarine"] {
        assert!(memchr::memmem::find(&disk, words.as_bytes()).is_none());
    }

    // The audit verifies as a whole and run by run, from a head of before.
    assert!(runtime.verify().await.unwrap().is_whole());
    let key = runtime.audit().key().await.unwrap();
    for (run, is_erased) in [(read, true), (written, true), (untouched, false), (bobs, false)] {
        let bundle = runtime.audit().export(&tenant, run, &[]).await.unwrap();
        let verdict = verify_bundle(&bundle.bytes, &Trust { key, head: Some(&head) });
        assert!(verdict.ok, "{:?}", verdict.faults);
        assert_eq!((verdict.erased > 0, verdict.bodies == 0, verdict.expired), (is_erased, is_erased, 0));
    }
    let again = runtime.erase(&tenant, &Erasing { dry: false, ..asked }).await.unwrap();
    assert_eq!((again.memories, again.runs.len()), (0, 0));
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_named_and_nothing_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = open(folder.path()).await;
    let tenant = runtime.principal().tenant;
    let asked = |subject: &str, reason: &str| Erasing {
        subject: subject.into(),
        by: "person:dpo".into(),
        reason: reason.into(),
        mentions: true,
        dry: false,
    };
    for (subject, reason) in [("", "why"), ("ada", " ")] {
        assert_eq!(runtime.erase(&tenant, &asked(subject, reason)).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    runtime.memory().remember(&tenant, vec![about(ADA, WORDS)]).await.unwrap();
    // Nothing advances it: the runtime is not started.
    let (principal, agent) = (runtime.principal(), "clerk".parse().unwrap());
    let input = format!("What of {ADA}?");
    let started = runtime.engine().start_agent(&principal, &agent, &input, l9::StartOptions::default()).await.unwrap();
    let refused = runtime.erase(&tenant, &asked(ADA, "she asked")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains(&started.run.to_string()), "{refused}");
    let all = Scope::tenant(tenant.clone());
    assert_eq!(runtime.memory().count(&all).await.unwrap(), 1);
    // What only mentions the name is told of, and left.
    let told = runtime.erase(&tenant, &Erasing { mentions: false, ..asked(ADA, "she asked") }).await.unwrap();
    assert_eq!((told.memories, told.residue.runs), (1, vec![started.run]));
    runtime.shutdown().await;
}

/// A boss that waits for its clerk, who will read of her; nobody advances either by itself.
async fn delegated(folder: &Path) -> (Runtime, Task, Task) {
    let clerk = vec![Turn::call([("memory/search", r#"{"query":"quinces"}"#)]), Turn::say(WORDS)];
    let ask = Turn::call([("run/delegate", r#"{"agent":"clerk","input":"What of the fruit?"}"#)]);
    let search = |id: &str| AgentProfile::new(id).unwrap().with_model(id).unwrap().with_tool("memory/search").unwrap();
    let mut boss = search("boss");
    boss.delegates.push("clerk".parse().unwrap());
    let runtime = Runtime::builder()
        .data_dir(folder)
        .model("boss", Arc::new(Scripted::new(vec![ask, Turn::say("I asked.")])))
        .model("clerk", Arc::new(Scripted::new(clerk)))
        .agent(boss)
        .agent(search("clerk"))
        .build()
        .await
        .unwrap();
    let (principal, engine) = (runtime.principal(), runtime.engine());
    let tenant = principal.tenant.clone();
    runtime.memory().remember(&tenant, vec![about(ADA, WORDS)]).await.unwrap();
    let started = engine.start_agent(&principal, &"boss".parse().unwrap(), "Ask", l9::StartOptions::default()).await;
    let task = |run| Task { tenant: tenant.clone(), run, priority: 0 };
    let boss = task(started.unwrap().run);
    assert_eq!(engine.advance(&boss).await.unwrap(), Advanced::Parked);
    let of_clerk = RunFilter { name: Some("clerk".into()), ..RunFilter::default() };
    let clerk = task(runtime.store().runs(&tenant, &of_clerk, 1).await.unwrap()[0].run);
    (runtime, boss, clerk)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_waits_to_be_read_holds_up_an_erasure() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, boss, clerk) = delegated(folder.path()).await;
    let (engine, store) = (runtime.engine(), runtime.store());
    // Somebody else has the boss's lease, and has not looked into its inbox.
    let held = store.acquire(&boss.tenant, boss.run, "elsewhere", Duration::from_secs(600)).await.unwrap().unwrap();
    assert_eq!(engine.advance(&clerk).await.unwrap(), Advanced::Closed);
    let asked = Erasing { mentions: false, ..mentioning(ADA, false) };
    let refused = runtime.erase(&boss.tenant, &asked).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Conflict && refused.to_string().contains(&boss.run.to_string()), "{refused}");
    store.release(&held, None).await.unwrap();
    assert_eq!(engine.advance(&boss).await.unwrap(), Advanced::Closed);
    let done = runtime.erase(&boss.tenant, &asked).await.unwrap();
    assert_eq!((done.memories, done.runs), (1, vec![boss.run, clerk.run]));
    assert!(done.residue.is_clean());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_gone_fails_the_call_and_not_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, boss, clerk) = delegated(folder.path()).await;
    // An answer that lay beside the journal and was erased before the boss read it.
    let id = format!("child/{}", clerk.run);
    let outcome = RunOutcome::Succeeded {
        answer: Stored::Artifact { id: Digest::from_bytes([9; 32]), bytes: 100_000 },
        citations: Vec::new(),
    };
    let command = serde_json::json!({
        "kind": "complete", "child": clerk.run, "call": CallId::Tool { turn: 1, index: 0 }, "outcome": outcome,
        "spent": Cost::default(), "label": Label::trusted(),
    });
    let request = serde_json::json!({"id": id, "by": format!("run:{}", clerk.run), "command": command});
    let row = [boss.run.as_bytes().as_slice(), id.as_bytes()].concat();
    let place = Place { table: "inbox", row: &row, column: "command" };
    let sealed = runtime.vault().seal(&boss.tenant, &place, &serde_json::to_vec(&request).unwrap()).unwrap();
    let command = StoredCommand { id: CommandId::new(&id).unwrap(), sealed };
    assert!(runtime.store().post(&boss.tenant, boss.run, command).await.unwrap());
    assert_eq!(runtime.engine().advance(&boss).await.unwrap(), Advanced::Closed);
    let (row, state) = runtime.engine().show(&boss.tenant, boss.run).await.unwrap();
    assert_eq!(row.status, Status::Succeeded);
    let told = format!("{:?}", state.calls[&CallId::Tool { turn: 1, index: 0 }]);
    assert!(told.contains("child_failed") && told.contains("answer_gone"), "{told}");
    runtime.shutdown().await;
}

fn mentioning(subject: &str, dry: bool) -> Erasing {
    let (subject, reason) = (subject.to_owned(), "asked for it".to_owned());
    Erasing { subject, by: "person:dpo".into(), reason, mentions: true, dry }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whole_names_are_erased_and_the_others_are_told() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let (tenant, memory) = (runtime.principal().tenant, runtime.memory());
    let said = |text: &str| NewEntry { text: text.into(), ..NewEntry::default() };
    let mut numbered = said("a customer");
    numbered.metadata.insert("number".into(), serde_json::json!(4711));
    let kept = vec![said("The annual report"), said("ANN's hat"), said("Annual Ann, as it says"), numbered];
    let kept: Vec<_> = memory.remember(&tenant, kept).await.unwrap().iter().map(|kept| kept.id).collect();
    let would = runtime.erase(&tenant, &mentioning("ann", true)).await.unwrap();
    assert_eq!((would.memories, would.residue.memories), (2, vec![kept[0]]));
    let done = runtime.erase(&tenant, &mentioning("ann", false)).await.unwrap();
    assert_eq!((done.memories, done.residue.memories), (2, vec![kept[0]]));
    let told = runtime.erase(&tenant, &Erasing { mentions: false, ..mentioning("4711", true) }).await.unwrap();
    assert_eq!(told.residue.memories, [kept[3]]);
    assert_eq!(runtime.erase(&tenant, &mentioning("4711", false)).await.unwrap().memories, 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forked_from_a_run_that_mentions_the_name_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let turns =
        vec![Turn::call([("calc/evaluate", r#"{"expression":"6 * 7"}"#)]), Turn::say(format!("Ask {ADA}, who knows."))];
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    let profile = profile.with_tool("calc/evaluate").unwrap();
    let script = Arc::new(Scripted::new(turns));
    let runtime = Runtime::builder().data_dir(folder.path()).model("script", script).agent(profile);
    let runtime = runtime.build().await.unwrap();
    let (principal, engine) = (runtime.principal(), runtime.engine());
    let tenant = principal.tenant.clone();
    let started = engine.start_agent(&principal, &"clerk".parse().unwrap(), "Who?", l9::StartOptions::default()).await;
    let task = |run| Task { tenant: tenant.clone(), run, priority: 0 };
    let parent = started.unwrap().run;
    assert_eq!(engine.advance(&task(parent)).await.unwrap(), Advanced::Closed);
    // A fork of it, and one of that, from before anybody said the name: nobody advances them.
    let mut forks = vec![parent];
    for at in [4, 5] {
        let of = *forks.last().unwrap();
        forks.push(engine.fork(&principal, of, at, &l9::kernel::Changes::default(), None).await.unwrap().run);
    }
    let found = engine.mentions(&tenant, &Name::new(ADA)).await.unwrap();
    assert_eq!(found.runs.iter().map(|row| row.run).collect::<Vec<_>>(), [parent]);
    let refused = runtime.erase(&tenant, &mentioning(ADA, false)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(forks[1..].iter().all(|fork| refused.to_string().contains(&fork.to_string())), "{refused}");
    for fork in &forks[1..] {
        let (id, by) = (CommandId::new("stop").unwrap(), "person:test".to_owned());
        let stop = CommandRequest { id, by, command: Command::Cancel { reason: "enough".into() } };
        engine.command(&tenant, *fork, &stop).await.unwrap();
        assert_eq!(engine.advance(&task(*fork)).await.unwrap(), Advanced::Closed);
    }
    let done = runtime.erase(&tenant, &mentioning(ADA, false)).await.unwrap();
    assert_eq!((&done.runs, done.residue.is_clean()), (&forks, true));
    for run in forks {
        let records = runtime.store().read(&tenant, run, 0, 100).await.unwrap();
        assert!(!records.is_empty() && records.iter().all(|record| record.body.is_empty()));
    }
    assert!(runtime.verify().await.unwrap().is_whole());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_goes_from_snapshots_too() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
    let tenant = runtime.principal().tenant;
    let memory = runtime.memory();
    let plain = |text: String| NewEntry { text, ..NewEntry::default() };
    let new = vec![plain(format!("Call {ADA}")), plain(format!("Or write {ADA}")), plain("Or nobody".into())];
    let kept = memory.remember(&tenant, new).await.unwrap();
    let hers = memory.remember(&tenant, vec![about(ADA, &format!("{ADA} likes quinces"))]).await.unwrap()[0].id;
    let snapshot = memory.snapshot(&tenant, None, "all", "t").await.unwrap().id;
    assert!(memory.forget(&tenant, kept[1].id).await.unwrap());

    // A dry run tells of nothing as left that would go.
    let would = runtime.erase(&tenant, &mentioning(ADA, true)).await.unwrap();
    assert_eq!((would.memories, would.residue.is_clean()), (3, true), "{:?}", would.residue);
    let would = runtime.erase(&tenant, &Erasing { mentions: false, ..mentioning(ADA, true) }).await.unwrap();
    let named = BTreeSet::from([kept[0].id, kept[1].id]);
    assert_eq!((would.memories, would.residue.memories.into_iter().collect()), (1, named), "forgotten, and there");
    let done = runtime.erase(&tenant, &mentioning(ADA, false)).await.unwrap();
    assert_eq!((done.memories, done.statements.len(), done.residue.is_clean()), (3, 1, true));
    memory.restore(&tenant, snapshot, "t").await.unwrap();
    for id in [kept[0].id, kept[1].id, hers] {
        assert_eq!(memory.get(&tenant, id).await.unwrap(), None);
    }
    assert!(memory.get(&tenant, kept[2].id).await.unwrap().is_some());
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn residue_is_told_wherever_it_is_and_what_nobody_can_read_too() {
    const LADY: &str = r#"Ada "the Countess" L."#;
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
    let (principal, engine, memory) = (runtime.principal(), runtime.engine(), runtime.memory());
    let tenant = principal.tenant.clone();
    let start = async |arguments: serde_json::Value| {
        let (tool, options) = ("calc/evaluate".parse().unwrap(), l9::StartOptions::default());
        engine.start_tool(&principal, &tool, &arguments.to_string(), options).await.unwrap().run
    };
    // Quoted within what is quoted; in mail that nobody has read; nowhere; and who knows.
    let quoted = start(serde_json::json!({"text": serde_json::json!({"of": LADY}).to_string()})).await;
    let mailed = start(serde_json::json!({"text": "x"})).await;
    let pause = Command::Pause { reason: format!("{LADY} asked") };
    let request = CommandRequest { id: CommandId::new("p").unwrap(), by: "person:test".into(), command: pause };
    engine.command(&tenant, mailed, &request).await.unwrap();
    start(serde_json::json!({"text": "Bob"})).await;
    let broken = start(serde_json::json!({"text": "y"})).await;
    let words = NewEntry { text: "pears".into(), ..NewEntry::default() };
    let kept = memory.remember(&tenant, vec![words, about("bob", "figs")]).await.unwrap();
    let new = |reason: &str, by: &str| NewQuarantine {
        suspect: Suspect::Source("feed.example".into()),
        reason: reason.into(),
        by: by.into(),
    };
    memory.quarantine(&tenant, new("doubts", "person:bob")).await.unwrap();
    let quarantine = memory.quarantine(&tenant, new(&format!("{LADY} doubts it"), "t")).await.unwrap().quarantine.id;
    memory.snapshot(&tenant, None, "plain", "t").await.unwrap();
    let snapshot = memory.snapshot(&tenant, None, &format!("before {LADY} came"), "t").await.unwrap().id;
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}/l9.db", folder.path().display())).await.unwrap();
    for (sql, id) in [
        ("UPDATE records SET body = x'00ff00' WHERE run = ?", broken.as_bytes().to_vec()),
        ("UPDATE entries SET entry = x'00ff00' WHERE id = ?", kept[0].id.as_bytes().to_vec()),
    ] {
        assert_eq!(sqlx::query(sql).bind(id).execute(&mut connection).await.unwrap().rows_affected(), 1);
    }
    connection.close().await.unwrap();

    let told = runtime.erase(&tenant, &Erasing { mentions: false, ..mentioning(LADY, true) }).await.unwrap().residue;
    assert_eq!(told.runs, [quoted, mailed]);
    assert_eq!((told.quarantines, told.snapshots, told.memories), (vec![quarantine], vec![snapshot], vec![]));
    assert_eq!(told.unread, [format!("run {broken}"), format!("memory {}", kept[0].id)]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_about_whom_its_calls_name_whatever_becomes_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = format!(r#"{{"text":"She is late","subject":"{ADA}","colour":"red"}}"#);
    let turns = vec![Turn::call([("memory/remember", wrong.as_str())]), Turn::say("I could not.")];
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    let profile = profile.with_tool("memory/remember").unwrap();
    let script = Arc::new(Scripted::new(turns));
    let runtime = Runtime::builder().data_dir(folder.path()).model("script", script).agent(profile);
    let runtime = runtime.build().await.unwrap();
    let tenant = runtime.principal().tenant;
    let taken = NewEntry { text: "other words".into(), key: Some("k".into()), ..NewEntry::default() };
    runtime.memory().remember(&tenant, vec![taken]).await.unwrap();
    // Denied for its form, as an agent's and as a call of its own; failed for its key.
    let denied = ended(&runtime, "clerk", "Keep it").await;
    let refused = called(&runtime, "memory/remember", &wrong).await;
    let failed = format!(r#"{{"text":"She is late","subject":"{ADA}","key":"k"}}"#);
    let failed = called(&runtime, "memory/remember", &failed).await;
    called(&runtime, "memory/remember", r#"{"text":"He is late","subject":"bob"}"#).await;
    called(&runtime, "memory/remember", r#"{"text":"All are late"}"#).await;
    let (_, state) = runtime.engine().show(&tenant, denied).await.unwrap();
    assert!(matches!(state.calls[&CallId::Tool { turn: 1, index: 0 }], CallState::Denied { .. }));
    assert_eq!(runtime.store().run(&tenant, failed).await.unwrap().unwrap().status, Status::Failed);

    let asked = Erasing { mentions: false, ..mentioning(ADA, false) };
    let done = runtime.erase(&tenant, &asked).await.unwrap();
    assert_eq!((done.memories, done.runs), (0, vec![denied, refused, failed]));
    assert!(done.residue.is_clean(), "{:?}", done.residue);
    runtime.shutdown().await;
}

/// Notes of people; the version before said who they are about, and the one in use does not.
fn note(version: &str) -> NativeTool {
    native::tool("people/note", version, "Notes something.")
        .subject("/who")
        .handler(|_, Note { who }| async move { Ok(Note { who }) })
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    who: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_that_is_called_says_whom_its_arguments_name() {
    let folder = tempfile::tempdir().unwrap();
    let silent = native::tool("people/note", "2.0.0", "Notes something.")
        .handler(|_, Note { who }: Note| async move { Ok(Note { who }) });
    let wrong = format!(r#"{{"who":"{ADA}","colour":"red"}}"#);
    let turns = vec![Turn::call([("people/note", wrong.as_str())]), Turn::say("I could not.")];
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    let profile = profile.with_tool("people/note@1.0.0").unwrap();
    let runtime = Runtime::builder()
        .data_dir(folder.path())
        .model("script", Arc::new(Scripted::new(turns)))
        .agent(profile)
        .tool(note("1.0.0"))
        .tool(silent);
    let runtime = runtime.build().await.unwrap();
    let tenant = runtime.principal().tenant;
    // Denied for their form, so that nothing else has told.
    let before = called(&runtime, "people/note@1.0.0", &wrong).await;
    called(&runtime, "people/note", &wrong).await;
    let agents = ended(&runtime, "clerk", "Note it").await;
    let subject = runtime.memory().subject(&tenant, ADA);
    let about: Vec<RunId> = runtime.store().about(&tenant, &subject).await.unwrap().iter().map(|row| row.run).collect();
    assert_eq!(about, [before, agents]);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_too_many_is_kept_from_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
    let (tenant, memory) = (runtime.principal().tenant, runtime.memory());
    let subjects = (0..MAX_SUBJECTS).map(|at| memory.subject(&tenant, &at.to_string())).collect();
    let label = Label { subjects, ..Label::trusted() };
    let many = NewEntry { text: "medlars for many".into(), label: label.clone(), ..NewEntry::default() };
    memory.remember(&tenant, vec![many, about(ADA, "medlars and pears for her")]).await.unwrap();
    for (query, status) in [("pears", Status::Succeeded), ("many", Status::Succeeded), ("medlars", Status::Failed)] {
        let run =
            called(&runtime, "memory/search", &format!(r#"{{"query":"{query}","k":{}}}"#, 1 + query.len() / 7)).await;
        let (row, state) = runtime.engine().show(&tenant, run).await.unwrap();
        assert_eq!(row.status, status, "{query}: {:?}", state.closed);
        assert!(state.label.subjects.len() <= MAX_SUBJECTS);
        let is_told = format!("{:?}", state.closed).contains("limit.subjects");
        assert_eq!(is_told, status == Status::Failed, "{:?}", state.closed);
    }
    // Nor does one begin with more.
    let mut label = label;
    label.subjects.insert(memory.subject(&tenant, ADA));
    let options = l9::StartOptions { label, ..l9::StartOptions::default() };
    let tool = "calc/evaluate".parse().unwrap();
    let refused = runtime.engine().start_tool(&runtime.principal(), &tool, r#"{"expression":"1"}"#, options).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Exhausted);
    runtime.shutdown().await;
}
