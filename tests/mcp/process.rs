//! What a server that runs here is granted, and its end.

use std::path::Path;
use std::time::Duration;

use l9::mcp::Settings;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Rude, SECRET, call, output, until};

/// What a tool put into its text, as JSON.
async fn told(rude: &Rude, settings: Settings, tool: &str) -> Value {
    let output = output(rude, settings, tool, json!({})).await;
    serde_json::from_str(output["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn it_has_the_environment_that_it_is_granted_and_a_folder_of_its_own() {
    let rude = Rude::new();
    let mut settings = rude.settings();
    settings.env.insert("GRANTED".into(), "yes".into());
    let told = told(&rude, settings, "environment").await;
    let names: Vec<&str> = told["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"GRANTED") && names.contains(&"PATH") && names.contains(&"TOKEN"), "{names:?}");
    // But for PATH, and what a shell or the interpreter's own start script sets itself.
    let set = |name: &String| {
        name.contains("PYENV") || ["PATH", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"].contains(&&**name)
    };
    let ours: Vec<String> = std::env::vars().map(|(name, _)| name).filter(|name| !set(name)).collect();
    assert!(
        ours.iter().any(|name| name == "CARGO_MANIFEST_DIR") && !ours.iter().any(|name| names.contains(&&**name)),
        "{names:?}"
    );
    let here = std::env::current_dir().unwrap();
    assert_ne!(Path::new(told["folder"].as_str().unwrap()), here);
}

#[tokio::test]
async fn its_resources_are_limited() {
    let rude = Rude::new();
    let settings = Settings { open_files: 64, file_bytes: 1 << 20, memory_bytes: 512 << 20, ..rude.settings() };
    let told = told(&rude, settings, "limits").await;
    assert_eq!(told["files"], json!([64, 64]));
    assert_eq!(told["file_bytes"], json!([1 << 20, 1 << 20]));
    assert_eq!(told["data"], json!([512 << 20, 512 << 20]));
    assert_eq!(told["core"], json!([0, 0]));
}

#[tokio::test]
async fn it_ends_with_the_system_and_so_does_what_it_started() {
    let rude = Rude::new();
    for script in [json!({}), json!({"start": "stubborn"})] {
        rude.says(&script);
        let child = told(&rude, rude.settings(), "child").await;
        let child = child.as_u64().unwrap();
        until("what the server started has ended", || !runs(child)).await;
    }
}

/// Whether a process is there and is no corpse.
fn runs(process: u64) -> bool {
    let listed = std::process::Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn noise_of_its_standard_error_blocks_nothing_and_a_secret_in_its_output_is_masked() {
    let rude = Rude::new();
    let called = call(&rude, rude.settings(), "loud", json!({})).await;
    assert_eq!(called.code(), "ok", "{called:?}");
    assert!(!called.journal.contains(SECRET), "a server's secret stands in the journal");
    assert!(called.journal.contains("[redacted: rude-token]"));
}

#[tokio::test]
async fn one_that_does_not_come_up_stops_nothing_and_says_why() {
    let rude = Rude::new();
    let nowhere = Settings { command: Some("no-such-program-anywhere".into()), ..Settings::default() };
    rude.says(&json!({"start": "fails"}));
    let never = Rude::new();
    never.says(&json!({"start": "never"}));
    let splits = Rude::new();
    splits.says(&json!({"start": "splits"}));
    let mute = Rude::new();
    mute.says(&json!({"list_error": true}));
    for (settings, why) in [
        (nowhere, "there is no program no-such-program-anywhere"),
        (rude.settings(), "cannot open the notes with [redacted: rude-token]"),
        (Settings { start_ms: 1_000, ..never.settings() }, "was not ready within 1000 ms"),
        // A secret that stands over the edge of what is read at once.
        (splits.settings(), "it said: yyy"),
        (mute.settings(), "no list today for [redacted: rude-token]"),
    ] {
        let runtime = rude.system(settings).build().await.unwrap();
        tokio::time::timeout(PATIENCE, runtime.meet_servers()).await.unwrap();
        let health = runtime.health().await;
        assert!(health.ok, "a server that is down is not the system's fault: {health:?}");
        let server = &health.servers[0];
        assert!(!server.ok && server.detail.contains(why), "{server:?}");
        assert!(!server.detail.contains("hunter2"), "{server:?}");
        let ended = runtime.call("calc/evaluate", r#"{"expression": "1"}"#).await.unwrap().outcome().await.unwrap();
        assert_eq!(ended.code, None, "other tools are there");
        runtime.shutdown().await;
    }
}

#[tokio::test]
async fn one_that_keeps_dying_is_started_again_less_and_less_often() {
    let rude = Rude::new();
    rude.lists("Echoes.");
    assert_eq!(call(&rude, rude.settings(), "echo", json!({})).await.code(), "ok");
    rude.says(&json!({"start": "fails"}));
    let runtime = rude.system(rude.settings()).build().await.unwrap();
    // Within the wait nobody starts it, however often it is asked for.
    for _ in 0..20 {
        runtime.connect_servers().await;
    }
    let starts = rude.arrived("start").len();
    assert!(starts <= 4, "it was started {starts} times");
    // Once it is well again, so are its tools, without a restart of the system.
    rude.lists("Echoes.");
    let clock = runtime.clock();
    let mut well = false;
    for _ in 0..600 {
        runtime.connect_servers().await;
        well = runtime.health().await.servers[0].ok;
        if well {
            break;
        }
        clock.sleep(Duration::from_millis(50)).await;
    }
    assert!(well, "{:?}", runtime.health().await.servers);
    runtime.shutdown().await;
}

#[tokio::test]
async fn what_was_not_sent_is_known_not_to_have_happened() {
    let rude = Rude::new();
    rude.lists("Echoes.");
    assert_eq!(call(&rude, rude.settings(), "echo", json!({})).await.code(), "ok");
    rude.says(&json!({"start": "fails"}));
    let called = call(&rude, rude.settings(), "echo", json!({})).await;
    assert_eq!(called.code(), "not_sent", "{called:?}");
    assert_eq!(called.unknown, None, "a write that was never sent is not unknown");
    assert_eq!(rude.arrived("tools/call").len(), 1);
}
