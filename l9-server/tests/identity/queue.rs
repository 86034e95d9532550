//! Who sees what of the queue, and who may have the dead tried again.

use l9::kernel::Advance as _;
use l9::queue::Task;
use l9::{Principal, Runtime, StartOptions, TenantId};
use serde_json::json;

use crate::callers::{Caller, guarded};
use crate::support::pause;

/// Leaves a run of each tenant that was given up, in the data that a server will serve.
async fn dead(data: std::path::PathBuf) -> Vec<String> {
    let runtime = Runtime::builder().data_dir(data).build().await.unwrap();
    let mut dead = Vec::new();
    for tenant in ["acme", "other"] {
        let principal = Principal::local_of(TenantId::new(tenant).unwrap());
        let (agent, engine) = ("researcher".parse().unwrap(), runtime.engine());
        let run = engine.start_agent(&principal, &agent, "x", StartOptions::default()).await.unwrap().run;
        let task = Task { tenant: principal.tenant, run, priority: 0 };
        assert!(engine.give_up(&task, &format!("the sorrow of {tenant}")).await.unwrap());
        dead.push(run.to_string());
    }
    runtime.shutdown().await;
    dead
}

#[tokio::test]
async fn a_tenant_sees_and_redrives_its_own_dead_only() {
    let mut runs = Vec::new();
    let served = guarded(&[], |data| {
        let data = data.to_owned();
        let left = std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(dead(data)));
        runs = left.join().unwrap();
    })
    .await;
    let [mine, theirs] = [&runs[0], &runs[1]];
    let (viewer, operator) = (Caller::new(&served, "acme", "viewer"), Caller::new(&served, "acme", "operator"));
    let (admin, all) = (Caller::new(&served, "acme", "admin"), Caller::new(&served, "default", "admin"));
    let seen = viewer.get("/queue").await;
    assert_eq!(seen.json()["read_from"], "in_process");
    assert_eq!(seen.json()["dead_count"], 1);
    assert_eq!(seen.json()["dead"][0]["run_id"], **mine);
    assert_eq!(seen.json()["dead"][0]["reason"], "the sorrow of acme");
    assert!(!seen.text.contains("other"), "{seen:?}");
    admin.get("/queue?all=true").await.problem(403, "denied");
    assert_eq!(all.get("/queue?all=true").await.json()["dead_count"], 2);
    assert_eq!(all.get("/queue").await.json()["dead"], json!([]));

    let redrive = |run: &str| format!("/queue/dead/{run}/redrive");
    viewer.post(&redrive(mine), &json!({})).await.problem(403, "role");
    admin.post(&redrive(theirs), &json!({})).await.problem(404, "not_found");
    operator.post(&redrive("no-run"), &json!({})).await.problem(400, "invalid");
    assert_eq!(operator.post(&redrive(mine), &json!({})).await.status, 202);
    operator.post(&redrive(mine), &json!({})).await.problem(404, "not_found");
    all.post(&redrive(theirs), &json!({})).await.problem(404, "not_found");
    assert_eq!(all.post(&format!("{}?all=true", redrive(theirs)), &json!({})).await.status, 202);
    let mut state = json!(null);
    for _ in 0..200 {
        state = viewer.get(&format!("/runs/{mine}")).await.json()["state"].clone();
        if state == "succeeded" {
            break;
        }
        pause(50).await;
    }
    assert_eq!(state, "succeeded", "what is redriven goes on");

    admin.post("/queue/pause", &json!({})).await.problem(403, "denied");
    assert_eq!(all.post("/queue/pause", &json!({})).await.json()["paused"], true);
    let waits = operator.start("waits", false).await;
    pause(300).await;
    assert_eq!(operator.get("/queue").await.json()["ready"], 1);
    let health = all.get("/health").await;
    assert_eq!(health.json()["components"]["queue"]["status"], "stopped", "{health:?}");
    assert_eq!(all.post("/queue/resume", &json!({})).await.json()["paused"], false);
    assert_eq!(operator.start("waits", true).await["run_id"], waits["run_id"]);
}
