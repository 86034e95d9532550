//! Plans whose document is too large for a record.

use l9::journal::Status;
use l9::plan::Target;
use l9::run::{Event, Stored, Subject};
use serde_json::{Value, json};

use super::office::{Office, plan};

const NODES: usize = 400;

/// A line of writes, of which each says what the one before kept; the document has some 100 KiB.
fn line() -> Value {
    let node = |place: usize| {
        let name = match place {
            0 => json!("n0"),
            _ => json!(format!("${{n{}.kept}}", place - 1)),
        };
        let note = "x".repeat(100);
        let undo = json!({"tool": "office/echo", "arguments": {"value": [place, note, 1.5]}});
        json!({"id": format!("n{place}"), "tool": "office/write", "arguments": {"name": name}, "compensate": undo})
    };
    let nodes: Vec<Value> = (0..NODES).map(node).collect();
    let breakpoints = json!([{"node": "n200", "at": "before"}, {"node": "n399", "at": "after"}]);
    plan("line", &json!({"breakpoints": breakpoints, "output": "${n399.kept}"}), &nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_plan_is_kept_as_its_text_and_edited_rolled_back_and_read_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::at(folder.path()).await;
    let run = office.try_start(&line(), &json!(null)).await.unwrap();
    office.stands(run).await;
    let office = office.restarted().await;
    let Event::RunCreated(created) = office.events(run).await.swap_remove(0) else { panic!() };
    let Subject::Plan { plan: stored, .. } = created.subject else { panic!() };
    assert!(matches!(stored, Stored::Artifact { bytes, .. } if bytes > 64 << 10), "{stored:?}");
    let (_, state) = office.runtime.engine().show(&office.runtime.principal().tenant, run).await.unwrap();
    let Some(Value::String(text)) = state.value(&stored) else { panic!() };
    assert_eq!(serde_json::from_str::<Value>(text).unwrap()["nodes"][7], line()["nodes"][7]);

    let named = json!({"id": "n398", "needs": ["n397"], "tool": "office/write", "arguments": {"name": "edited"}});
    office.patch(run, office.view(run).await.version, json!({"put": [named]})).await.unwrap();
    office.resume(run).await;
    office.until(run, "n399", "waiting").await;
    office.roll_back(run, Target::Node("n390".into())).await.unwrap();
    office.stands(run).await;
    office.resume(run).await;
    office.until(run, "n399", "waiting").await;
    office.resume(run).await;
    let done = office.ended(run).await;
    assert_eq!((done.status, done.answer), (Status::Succeeded, json!("edited")));
    assert_eq!(office.called("office/write"), NODES + 10);
    assert_eq!(office.called("office/echo"), 9, "those that were gone back over, but the edited one has none");
    office.sound().await;
}
