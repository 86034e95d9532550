//! The templates of guests: docs/memory-and-tools.md leads from each of them to a tool that
//! runs, and whichever language it was written in, it does the same.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/document.rs"]
mod document;

use std::fs;

use document::{parse, root, run, workplace};
use l9::governor::OnUnknown;
use l9::run::{Event, Outcome};
use l9::{Runtime, Settings};
use serde_json::{Value, json};

const LANGUAGES: [&str; 4] = ["rust", "c", "python", "javascript"];

/// A tool with its manifest, as a template's build leaves it.
struct Built {
    manifest: Value,
    component: Vec<u8>,
}

/// What came of a call: its output or its fault, the lines it logged, and what it showed.
#[derive(Debug, PartialEq)]
struct Came {
    outcome: String,
    log: Vec<String>,
    shown: String,
}

/// Does what the document says, and gives what comes of it.
fn follow(language: &str) -> Built {
    let document = root().join("docs/memory-and-tools.md");
    let commands = parse(&fs::read_to_string(&document).unwrap()).commands(&[&format!("console {language}")]);
    assert_eq!(commands.len(), 5, "from the template in {language} to a running tool");
    let folder = workplace();
    let said = run(folder.path(), &document, &commands).unwrap_or_else(|fault| panic!("{language}: {fault}"));
    assert!(said.contains("Hello, Ada."), "{language}: {said}");
    let out = folder.path().join("my-tool/out");
    let manifest = serde_json::from_slice(&fs::read(out.join("greet.json")).unwrap()).unwrap();
    Built { manifest, component: fs::read(out.join("greet.wasm")).unwrap() }
}

/// A change of a manifest, what the tool is given under it, and what must come of it.
type Case = ((&'static str, Value), Value, Came);

/// A system with the tool in a version for each case, which all share its component.
async fn system(built: &Built, cases: &[Case]) -> Runtime {
    let settings = Settings { attempts: 1, unknown: OnUnknown::Tell, ..Settings::default() };
    let mut builder = Runtime::builder().settings(settings).in_memory();
    for (at, ((field, value), _, _)) in cases.iter().enumerate() {
        let mut manifest = built.manifest.clone();
        manifest["version"] = json!(format!("1.0.{at}"));
        match *field {
            "" => {}
            "id" => manifest["id"] = value.clone(),
            limit => manifest["limits"][limit] = value.clone(),
        }
        let manifest = l9::registry::from_json(manifest.to_string().as_bytes()).unwrap();
        builder = builder.wasm_tool(manifest, built.component.clone());
    }
    Box::pin(builder.build()).await.unwrap()
}

async fn call(runtime: &Runtime, tool: &str, input: &Value) -> Came {
    let words = runtime.engine().parts().governor.deltas().subscribe();
    let mut handle = runtime.call(tool, &input.to_string()).await.unwrap();
    let mut came = Came { outcome: String::new(), log: Vec::new(), shown: String::new() };
    while let Some((_, event)) = handle.next_event().await.unwrap() {
        let Event::EffectResult(result) = event else { continue };
        came.log = result.log.iter().map(|line| format!("{}: {}", line.level, line.message)).collect();
        came.outcome = match result.outcome {
            Outcome::Failed { code, message, .. } => format!("{code}: {message}"),
            _ => "ok".into(),
        };
    }
    if came.outcome == "ok" {
        came.outcome = handle.outcome().await.unwrap().answer.to_string();
    }
    while let Some((_, piece)) = words.try_recv() {
        came.shown.push_str(&piece);
    }
    came
}

#[test]
fn every_template_carries_the_contract_as_it_is() {
    let contract = fs::read_to_string(root().join("l9-tools/wit/l9-tool.wit")).unwrap();
    for language in LANGUAGES {
        let copy = root().join("l9-tools/guests/templates").join(language).join("wit/l9-tool.wit");
        assert!(fs::read_to_string(copy).unwrap() == contract, "{language}: copy l9-tools/wit/l9-tool.wit there");
    }
}

#[tokio::test]
#[ignore = "needs the tools of four languages; scripts/templates-check.sh runs it"]
async fn the_documents_lead_from_every_template_to_the_same_tool() {
    let came = |outcome: &str, log: &[&str], shown: &str| Came {
        outcome: outcome.into(),
        log: log.iter().map(|line| (*line).to_owned()).collect(),
        shown: shown.into(),
    };
    let (greeted, ready) = (&["info: somebody is greeted"][..], "the greeting is ready\n");
    let ada = json!({"name": " Ada "});
    let none = ("", json!(null));
    let cases: [Case; 10] = [
        (none.clone(), ada.clone(), came(r#"{"greeting":"Hello, Ada."}"#, greeted, ready)),
        (
            none.clone(),
            json!({"name": "Zoë \"🜁\" \\ \u{1}\n/"}),
            came(&json!({"greeting": "Hello, Zoë \"🜁\" \\ \u{1}\n/."}).to_string(), greeted, ready),
        ),
        (none, json!({"name": "  "}), came("invalid_input: name is empty: give at least one character", &[], "")),
        (
            ("id", json!("my/other")),
            ada.clone(),
            came("invalid_input: no tool named my/other in this component", &[], ""),
        ),
        (
            ("log_bytes", json!(0)),
            ada.clone(),
            came(r#"{"greeting":"Hello, Ada."}"#, &["warn: 1 more lines were dropped: the log is full"], ready),
        ),
        (("host_calls", json!(1)), ada.clone(), came("limit.host_calls: called the host more than 1 times", &[], "")),
        (
            ("host_call_bytes", json!(5)),
            ada.clone(),
            came("limit.host_call_bytes: passed more than 5 bytes in calls to the host", &[], ""),
        ),
        (
            ("output_bytes", json!(10)),
            ada.clone(),
            came("limit.output: the output has 26 bytes, over the limit of 10", &[], ready),
        ),
        (("fuel", json!(1_000)), ada.clone(), came("limit.fuel", &[], "")),
        (("memory_bytes", json!(65_536)), ada, came("limit.memory", &[], "")),
    ];
    for language in LANGUAGES {
        let built = follow(language);
        println!("{language}: {} bytes", built.component.len());
        let runtime = system(&built, &cases).await;
        for (at, ((field, value), input, wanted)) in cases.iter().enumerate() {
            let id = if *field == "id" { value.as_str().unwrap() } else { "my/greet" };
            let mut came = call(&runtime, &format!("{id}@1.0.{at}"), input).await;
            // How much was used, or wanted at first, is the language's own.
            if ["fuel", "memory_bytes"].contains(field) {
                came.outcome.truncate(wanted.outcome.len());
            }
            assert_eq!(came, *wanted, "{language} {field} {value} {input}");
        }
        runtime.shutdown().await;
    }
}
