//! What MCP servers send: lines over standard output, bodies and events over HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9::gateway::Gateway;
use l9::mcp::{Intake, Offer, Override, Servers, Settings};
use l9::model::scripted::Scripted;
use l9::redact::KnownSecrets;
use l9::time::SystemClock;
use l9::tool::{ContractHash, EffectClass, Manifest, Runtime as ToolRuntime};
use l9::{Result, Runtime, ToolId};
use l9_tools::http::Surroundings;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use semver::Version;
use serde_json::Value;

use crate::messages::{METHODS, Ruin, conversations, result, ruined, ruins, sound};
use crate::servers::{Answers, FLOOD, Shared, body, flood, lines, over_http, program, serve};

/// The most bytes of one message.
const MOST: u64 = 64 << 10;

/// Whether a character is one that shows, by Unicode's own list of those that need not.
fn shows(character: char) -> bool {
    const IGNORABLE: [(u32, u32); 17] = [
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x206f),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfff8),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0000, 0xe0fff),
    ];
    let code = u32::from(character);
    !character.is_control() && !IGNORABLE.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

/// What was taken in.
#[derive(Debug, Default)]
struct Ears(Mutex<Vec<Manifest>>);

#[async_trait]
impl Intake for Ears {
    async fn take(&self, _: &str, offers: Vec<Offer>) -> Result<BTreeMap<ToolId, Result<Version>>> {
        let first = Version::new(1, 0, 0);
        self.0.lock().unwrap().extend(offers.iter().map(|offer| offer.at(first.clone())));
        Ok(offers.iter().map(|offer| (offer.id().clone(), Ok(first.clone()))).collect())
    }
}

/// Connects to the server and gives what was taken in of its list.
async fn meet(settings: Settings) -> Vec<Manifest> {
    let ears = Arc::new(Ears::default());
    let heard: Arc<dyn Intake> = Arc::<Ears>::clone(&ears);
    let around = Surroundings {
        gateway: Gateway::default(),
        secrets: l9::secrets::Secrets::default(),
        redactor: Arc::new(KnownSecrets::default()),
        clock: Arc::new(SystemClock::default()),
    };
    let all = BTreeMap::from([("far".to_owned(), Settings { message_bytes: MOST, ..settings })]);
    let servers = Servers::new(&all, None, &around, &Arc::downgrade(&heard));
    servers.connect().await;
    servers.close().await;
    std::mem::take(&mut *ears.0.lock().unwrap())
}

/// Holds what was taken in to what it may be.
fn is_well(taken: &[Manifest]) -> std::result::Result<(), TestCaseError> {
    for manifest in taken {
        let ToolRuntime::Mcp { tool, .. } = &manifest.runtime else {
            return Err(TestCaseError::fail("of another kind"));
        };
        let name = String::from_utf8(unescaped(tool)).unwrap();
        prop_assert!(name.chars().all(shows), "{:?}", name);
        prop_assert!(manifest.id.as_str().is_ascii());
        prop_assert!(manifest.title.chars().all(shows), "{:?}", manifest.title);
        prop_assert!(manifest.description.chars().all(|c| shows(c) || matches!(c, '\n' | '\t')), "{manifest:?}");
        prop_assert!(ContractHash::of(manifest).is_ok());
    }
    prop_assert_eq!(panics(), 0, "something panicked");
    Ok(())
}

fn unescaped(name: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        bytes.push(
            digits.map_or(*first, |digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()),
        );
        rest = &after[digits.map_or(0, <[u8]>::len)..];
    }
    bytes
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics in tasks, which end those and nothing else.
fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(panic);
    }));
}

fn panics() -> usize {
    PANICS.load(Ordering::SeqCst)
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

#[test]
fn no_line_of_a_server_makes_more_of_it_than_it_may_be() {
    count_panics();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let taken_in = std::cell::Cell::new(0);
    let ran = TestRunner::new(config(512)).run(&conversations(), |(broken, ruin, names)| {
        let folder = tempfile::tempdir().unwrap();
        for (at, method) in METHODS.iter().enumerate() {
            let ruin = if at == broken { &ruin } else { &Ruin::Nothing };
            let bytes = ruined(sound(method, &names), ruin, lines);
            std::fs::write(folder.path().join(at.to_string()), bytes).unwrap();
        }
        let last = if matches!(ruin, Ruin::Nothing) { 2 } else { broken };
        let taken = threads.block_on(meet(program(folder.path(), last)));
        taken_in.set(taken_in.get() + taken.len());
        is_well(&taken)
    });
    ran.unwrap();
    assert!(taken_in.get() > 200, "some of them are taken: {}", taken_in.get());
}

#[test]
fn no_body_and_no_event_of_a_server_makes_more_of_it_than_it_may_be() {
    count_panics();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shared = Shared::default();
    let url = threads.block_on(serve(Arc::clone(&shared)));
    let taken_in = std::cell::Cell::new(0);
    let ran = TestRunner::new(config(256)).run(&(conversations(), any::<bool>()), |(conversation, events)| {
        let (broken, ruin, names) = conversation;
        let mut answers = Answers::new(events, &names);
        let sent = |messages: &[Value]| body(events, messages);
        answers.bodies.insert(METHODS[broken], ruined(sound(METHODS[broken], &names), &ruin, sent));
        *shared.lock().unwrap() = answers;
        let taken = threads.block_on(meet(over_http(&url)));
        taken_in.set(taken_in.get() + taken.len());
        is_well(&taken)
    });
    ran.unwrap();
    assert!(taken_in.get() > 50, "some of them are taken: {}", taken_in.get());
}

#[test]
fn no_answer_to_a_call_is_more_than_an_output_or_a_fault() {
    count_panics();
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shared = Arc::new(Mutex::new(Answers::new(false, &["echo".to_owned()])));
    let runtime = threads.block_on(async {
        let url = serve(Arc::clone(&shared)).await;
        let reads = Override { effect: EffectClass::Read, ..Override::default() };
        let overrides = BTreeMap::from([("echo".to_owned(), reads)]);
        let settings = Settings { overrides, call_ms: 300, start_ms: 30_000, ..over_http(&url) };
        let builder = Runtime::builder().in_memory().retries(1, Duration::from_millis(1)).mcp_server("far", settings);
        builder.model("script", Arc::new(Scripted::new(Vec::new()))).build().await.unwrap()
    });
    let outputs = std::cell::Cell::new(0);
    let ran = TestRunner::new(config(256)).run(&(ruins(), any::<bool>()), |(ruin, events)| {
        let mut answers = Answers::new(events, &["echo".to_owned()]);
        answers.bodies.insert("tools/call", ruined(vec![result()], &ruin, |messages| body(events, messages)));
        *shared.lock().unwrap() = answers;
        let ended = threads.block_on(async { runtime.call("far/echo", "{}").await?.outcome().await });
        let ended = ended.map_err(|error| TestCaseError::fail(error.to_string()))?;
        if ended.code.is_none() {
            outputs.set(outputs.get() + 1);
            prop_assert!(ended.answer["text"].is_string(), "{ended:?}");
            prop_assert!(!ended.answer.to_string().contains("aGVsbG8="), "{ended:?}");
        }
        prop_assert_eq!(panics(), 0, "something panicked");
        Ok(())
    });
    ran.unwrap();
    threads.block_on(runtime.shutdown());
    assert!(outputs.get() > 20, "some of them are outputs: {}", outputs.get());
}

#[test]
fn what_is_changed_was_sound_and_a_hidden_character_costs_its_tool_alone() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let names = ["pay", "se\u{200b}nd", "re\u{fe0f}ad", "dr\u{e0041}op", "a b"].map(str::to_owned);
    let folder = tempfile::tempdir().unwrap();
    for (at, method) in METHODS.iter().enumerate() {
        std::fs::write(folder.path().join(at.to_string()), lines(&sound(method, &names))).unwrap();
    }
    let shared = Shared::default();
    let url = threads.block_on(serve(Arc::clone(&shared)));
    let over_http = Settings { start_ms: 30_000, ..over_http(&url) };
    for (events, settings) in [(false, program(folder.path(), 2)), (false, over_http.clone()), (true, over_http)] {
        *shared.lock().unwrap() = Answers::new(events, &names);
        let taken = threads.block_on(meet(settings));
        let ids: Vec<&str> = taken.iter().map(|manifest| manifest.id.as_str()).collect();
        assert_eq!((ids.len(), ids[1]), (2, "far/pay"), "{ids:?}");
        is_well(&taken).unwrap();
    }
}

/// The most memory that this process had since the last time, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_without_end_takes_no_more_memory_than_its_bound() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let line = format!("read -r line; head -c {FLOOD} /dev/zero | tr '\\0' x; read -r line");
    let args = ["-c".to_owned(), line].to_vec();
    let local = Settings { command: Some("sh".into()), args, ..Settings::default() };
    let mut floods = vec![local];
    for (media, beginning) in
        [("application/json", "\""), ("text/event-stream", "data: \""), ("text/event-stream", ": ")]
    {
        let url = threads.block_on(flood(media, beginning));
        floods.push(Settings { start_ms: 30_000, ..over_http(&url) });
    }
    for settings in floods {
        let told = format!("{settings:?}");
        // The first of its kind takes what the libraries keep.
        threads.block_on(meet(settings.clone()));
        peak();
        let before = peak();
        assert_eq!(threads.block_on(meet(settings)).len(), 0);
        let grown = peak().saturating_sub(before);
        assert!(grown < FLOOD as u64 / 8, "{grown} bytes more for {told}");
    }
}
