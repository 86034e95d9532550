//! Tools that come in: signatures, versions side by side, a folder that changes.

use std::fs;

use l9::registry::{from_json, signature_path};
use l9::run::{Event, Subject};
use l9::time::{Clock as _, SystemClock};
use l9::tool::ToolState;
use l9::{AgentProfile, ErrorKind, Runtime};
use serde_json::json;

use super::words::{Bed, ask, component, decide, key, manifest, trusting};

#[tokio::test]
async fn what_is_not_rightly_signed_stops_the_start_with_the_file_and_the_mend() {
    let (bed, release, other) = (Bed::new(), key(1), key(2));
    let settings = trusting(bed.settings(), &[("release", &release)]);
    let refused = async || bed.try_start(settings.clone()).await.unwrap_err().to_string();
    let mut manifest = bed.word("word", "demo/word", "1.0.0", "word");
    let error = refused().await;
    assert!(error.contains("word.json: signature: demo/word 1.0.0 is not signed"), "{error}");
    assert!(error.contains("tools sign"), "{error}");

    bed.sign("word", &manifest, &other);
    let error = refused().await;
    assert!(
        error.contains(&format!("it is of {}, which tools.trusted_keys does not list", other.public().name())),
        "{error}"
    );

    bed.sign("word", &manifest, &release);
    let path = signature_path(&bed.path("word"));
    let note = fs::read_to_string(&path).unwrap();
    let at = note.rfind('A').unwrap();
    fs::write(&path, format!("{}B{}", &note[..at], &note[at + 1..])).unwrap();
    let error = refused().await;
    assert!(error.contains("does not verify under tools.trusted_keys.release"), "{error}");
    fs::write(&path, "signed, honestly").unwrap();
    assert!(refused().await.contains("signature: it is no signed note"));

    // Over another contract: the description was changed after it was signed.
    fs::write(&path, note).unwrap();
    manifest.description = "Gives any word you like.".to_owned();
    fs::write(bed.path("word"), serde_json::to_string(&manifest).unwrap()).unwrap();
    let error = refused().await;
    assert!(
        error.contains("release signed demo/word 1.0.0") && error.contains("and this is demo/word 1.0.0"),
        "{error}"
    );

    bed.sign("word", &manifest, &release);
    let runtime = bed.try_start(settings.clone()).await.unwrap();
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "word");
    let standings = runtime.registry().standings();
    let entry = standings.entry(&manifest.id, &manifest.version).unwrap();
    assert_eq!(entry.signer.as_deref(), Some("release"));
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_signature_is_checked_also_where_none_is_required_and_holds_for_the_same_in_other_words() {
    let (bed, release) = (Bed::new(), key(1));
    let manifest = bed.word("word", "demo/word", "1.0.0", "word");
    bed.sign("word", &manifest, &release);
    let error = bed.try_start(bed.settings()).await.unwrap_err().to_string();
    assert!(error.contains("which tools.trusted_keys does not list"), "{error}");
    // The same contract, laid out otherwise and with what is so by default.
    let text = serde_json::to_string_pretty(&serde_json::to_value(&manifest).unwrap()).unwrap();
    fs::write(bed.path("word"), text).unwrap();
    let mut settings = trusting(bed.settings(), &[("release", &release)]);
    settings.tools.require_signature = false;
    bed.try_start(settings.clone()).await.unwrap().shutdown().await;
    settings.tools.trusted_keys.insert("release".into(), "no key".into());
    let error = bed.try_start(settings).await.unwrap_err().to_string();
    assert!(error.contains("tools.trusted_keys.release: \"no key\""), "{error}");
}

#[tokio::test]
async fn versions_stand_side_by_side_and_a_name_says_which() {
    let bed = Bed::new();
    bed.word("a", "demo/word", "2.0.0", "two");
    bed.word("b", "demo/word", "1.0.0", "one");
    let runtime = bed.start().await;
    // Both arrived together, so neither is a rollback.
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "two");
    assert_eq!(ask(&runtime, "demo/word@1.0.0").await.unwrap(), "one");
    let error = ask(&runtime, "demo/word@3.0.0").await.unwrap_err();
    assert!(error.contains("there is no tool demo/word@3.0.0"), "{error}");
    // An agent that names a version is given that one.
    let agent = AgentProfile::new("old").unwrap().with_tool("demo/word@1.0.0").unwrap();
    runtime.profiles().put(agent).unwrap();
    let run = runtime.run("old", "say it").await.unwrap().run();
    let tenant = runtime.principal().tenant;
    let created = runtime.engine().feed(&tenant, run, 0).await.unwrap().next().await.unwrap().unwrap().1;
    let Event::RunCreated(created) = created else { panic!("{created:?}") };
    let Subject::Agent { contracts, .. } = &created.subject else { panic!("{created:?}") };
    let one = runtime.engine().parts().governor.registry().find(&tenant, &"demo/word@1.0.0".parse().unwrap()).unwrap();
    assert_eq!(contracts[&one.manifest.id], one.contract);
    let error =
        AgentProfile::new("both").unwrap().with_tool("demo/word@1.0.0").unwrap().with_tool("demo/word").unwrap();
    assert!(error.validate().unwrap_err().to_string().contains("demo/word twice"));
    runtime.shutdown().await;
}

/// Waits until something holds.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let clock = SystemClock::default();
    while !holds().await {
        clock.sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_folder_is_looked_at_again_while_the_system_runs() {
    let bed = Bed::new();
    let mut settings = bed.settings();
    settings.tools.reload_ms = 100;
    let runtime = bed.try_start(settings).await.unwrap();
    runtime.start().await;
    bed.word("word", "demo/word", "1.0.0", "first");
    until(async || ask(&runtime, "demo/word").await.is_ok()).await;
    bed.word("word", "demo/word", "1.1.0", "second");
    until(async || ask(&runtime, "demo/word").await == Ok("second".to_owned())).await;
    // What cannot be used is told, and the last that could goes on.
    fs::write(bed.path("word"), "{\"schema_version\": 1, \"id\": \"demo/word\"").unwrap();
    until(async || !runtime.tools().faults().is_empty()).await;
    let (place, why) = runtime.tools().faults().pop_first().unwrap();
    assert!(place.ends_with("word.json") && why.contains("word.json"), "{place}: {why}");
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "second");
    bed.word("word", "demo/word", "1.2.0", "third");
    until(async || runtime.tools().faults().is_empty()).await;
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "third");
    fs::remove_file(bed.path("word")).unwrap();
    until(async || ask(&runtime, "demo/word").await.is_err()).await;
    runtime.shutdown().await;
}

#[tokio::test]
async fn one_bad_manifest_does_not_hold_up_the_others() {
    let bed = Bed::new();
    let runtime = bed.start().await;
    fs::write(bed.path("a"), "no manifest").unwrap();
    bed.word("b", "demo/word", "1.0.0", "word");
    runtime.tools().reload().await.unwrap();
    assert_eq!(runtime.tools().faults().len(), 1);
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "word");
    runtime.shutdown().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_or_a_device_in_the_folder_is_refused_and_holds_nothing_up() {
    use std::os::unix::fs::symlink;

    let bed = Bed::new();
    let runtime = bed.start().await;
    let pipe = |at: &std::path::Path| assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success());
    let module = |file: &str| bed.path(file).with_extension("wasm");
    for file in ["a", "b", "c"] {
        bed.word(file, &format!("demo/{file}"), "1.0.0", file);
    }
    pipe(&signature_path(&bed.path("a")));
    fs::remove_file(module("b")).unwrap();
    pipe(&module("b"));
    fs::remove_file(module("c")).unwrap();
    symlink("/dev/zero", module("c")).unwrap();
    bed.word("d", "demo/word", "1.0.0", "word");
    runtime.tools().reload().await.unwrap();
    let faults = runtime.tools().faults();
    for (file, about) in [("a", "a.json.sig"), ("b", "b.wasm"), ("c", "c.wasm")] {
        let fault = faults[&bed.path(file).display().to_string()].as_str();
        assert!(fault.contains(about) && fault.contains("no regular file"), "{fault}");
    }
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "word");

    // Control: a link to a file is followed.
    fs::remove_file(module("c")).unwrap();
    fs::write(bed.tools().join("elsewhere"), component("c", "")).unwrap();
    symlink("elsewhere", module("c")).unwrap();
    runtime.tools().reload().await.unwrap();
    assert_eq!(ask(&runtime, "demo/c").await.unwrap(), "c");
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_run_keeps_the_contract_that_it_pinned() {
    let bed = Bed::new();
    bed.word("word", "demo/word", "1.0.0", "first");
    let runtime = bed.start().await;
    let tenant = runtime.principal().tenant;
    let registry = &runtime.engine().parts().governor.registry();
    let id = "demo/word".parse().unwrap();
    let pinned = registry.resolve(&tenant, &id).unwrap().contract;
    bed.word("word", "demo/word", "1.1.0", "second");
    runtime.tools().reload().await.unwrap();
    assert_eq!(ask(&runtime, "demo/word").await.unwrap(), "second");
    assert_eq!(registry.pinned(&tenant, &id, &pinned).unwrap().manifest.version.to_string(), "1.0.0");
    runtime.shutdown().await;
    // After a restart it is not here any more, and says so.
    let runtime = bed.start().await;
    let gone = runtime.engine().parts().governor.registry().pinned(&tenant, &id, &pinned).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Conflict, "{gone}");
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_posted_manifest_comes_in_in_every_process_and_after_a_restart() {
    let bed = Bed::new();
    let (here, there) = (bed.start().await, bed.start().await);
    let posted = json!({
        "schema_version": 1, "id": "notes/list", "version": "1.0.0", "title": "Notes", "description": "Lists notes.",
        "runtime": {"kind": "http", "method": "GET", "url": "https://notes.example.com/v1/notes"},
        "input_schema": {"type": "object"}, "effect": "read",
        "net": [{"scheme": "https", "host": "notes.example.com", "methods": ["GET"], "path_prefix": "/v1"}]
    });
    let posted = from_json(posted.to_string().as_bytes()).unwrap();
    let (contract, state) = here.tools().post("person:ada", posted.clone(), None).await.unwrap();
    assert_eq!(state, ToolState::Accepted);
    let has = |runtime: &Runtime| runtime.registry().get(&posted.id).map(|tool| tool.contract);
    assert_eq!(has(&here), Some(contract));
    assert_eq!(has(&there), None);
    there.tools().learn().await.unwrap();
    assert_eq!(has(&there), Some(contract));
    decide(&there, "notes/list", ToolState::Disabled, "enough").await.unwrap();
    here.shutdown().await;
    there.shutdown().await;
    let again = bed.start().await;
    let standings = again.registry().standings();
    let entry = standings.entry(&posted.id, &posted.version).unwrap();
    assert_eq!((entry.contract, entry.state, has(&again)), (contract, ToolState::Disabled, None));
    // What needs more than its manifest is not taken in.
    let word = component("word", "");
    let wasm = from_json(manifest("demo/word", "1.0.0", &word).to_string().as_bytes()).unwrap();
    let error = again.tools().post("person:ada", wasm, None).await.unwrap_err();
    assert!(error.to_string().contains("put both into the tools folder"), "{error}");
    again.shutdown().await;
}
