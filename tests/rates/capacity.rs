//! Effects of a class at once, whatever their tools: what is beyond waits its turn, and what only
//! waits takes none.

use std::sync::Arc;

use l9::governor::Capacity;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{self, NativeTool};
use l9::tool::{EffectClass, Rate};
use l9::{Runtime, StartOptions};

use crate::support::{Calls, Line, agent, call, echo, ended, replays, start, start_many, system};

/// A tool of a class that takes a moment.
fn slow(id: &str, class: EffectClass, calls: &Arc<Calls>) -> NativeTool {
    let calls = Arc::clone(calls);
    native::tool(id, "1.0.0", "Echoes.").effect(class).handler(move |_, line: Line| {
        let calls = Arc::clone(&calls);
        async move {
            let _begun = calls.begin();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            Ok(line)
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_has_so_many_at_once_whatever_the_tools_and_no_other_class_waits_for_it() {
    let (reads, writes) = (Arc::<Calls>::default(), Arc::<Calls>::default());
    let all = [("web/one", "{}"), ("web/two", "{}"), ("web/write", "{}"), ("web/write", "{}")];
    let turns = vec![Turn::call([all, all].concat()), Turn::say("done")];
    let runtime = system(turns, &["web/one", "web/two", "web/write"])
        .tool(echo("web/one", Rate::default(), &reads))
        .tool(echo("web/two", Rate { concurrency: Some(9), ..Rate::default() }, &reads))
        .tool(slow("web/write", EffectClass::KeyedWrite, &writes))
        .capacity(Capacity { read: Some(2), ..Capacity::default() })
        .build()
        .await
        .unwrap();
    let me = runtime.principal();
    for handle in start_many(&runtime, &me, 12).await {
        let run = handle.run();
        assert_eq!(ended(handle).await.text(), "done");
        replays(&runtime, &me, run).await;
    }
    assert_eq!((reads.all(), reads.most()), (12 * 4, 2));
    assert_eq!(writes.all(), 12 * 4);
    assert!(writes.most() > 2, "writes are not bounded, and there were {} at once", writes.most());
    let under_way: Vec<_> = runtime.engine().parts().governor.under_way().collect();
    assert_eq!(under_way, [("read", 0, 2)]);
    assert_eq!(runtime.verify().await.unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_another_takes_no_place_that_the_other_needs() {
    let calls = Arc::<Calls>::default();
    let delegates = Turn::call([("run/delegate", r#"{"agent":"helper","input":"you too"}"#)]);
    let mut caller = agent("caller", &["office/note"]);
    caller.delegates = [("helper".parse().unwrap())].into();
    let runtime = Runtime::builder()
        .in_memory()
        .model("caller", Arc::new(Scripted::new(vec![delegates, Turn::say("done")])))
        .model("helper", Arc::new(Scripted::new(vec![Turn::call([("office/note", "{}")]), Turn::say("noted")])))
        .agent(caller)
        .agent(agent("helper", &["office/note"]))
        .tool(slow("office/note", EffectClass::SameDbWrite, &calls))
        // As many as there is of each.
        .capacity(Capacity { model: Some(1), same_db_write: Some(1), ..Capacity::default() })
        .build()
        .await
        .unwrap();
    let me = runtime.principal();
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(start(&runtime, &me, "caller").await);
        handles.push(call(&runtime, &me, "office/note", StartOptions::default()).await);
    }
    for handle in handles {
        let run = handle.run();
        ended(handle).await;
        replays(&runtime, &me, run).await;
    }
    assert_eq!((calls.all(), calls.most()), (8, 1));
}

#[tokio::test]
async fn no_place_at_all_is_a_mistake() {
    let none = Capacity { opaque_write: Some(0), ..Capacity::default() };
    let error = Runtime::builder().in_memory().capacity(none).build().await.unwrap_err();
    assert!(error.to_string().contains("capacity.opaque_write is 0: use 1 or more"), "{error}");
}
