//! Relations that an agent takes from memories: what becomes of the work when a run is gone, its
//! tenant is stopped, or whom it was about is erased meanwhile.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use l9::erasure::Erasing;
use l9::governor::Permit;
use l9::memory::{NewEntry, NewQuarantine, Relation, Scope, Suspect, Walk, When};
use l9::model::{
    DeltaSink, Estimate, Message, ModelClient, ModelFault, ModelRequest, ModelResponse, StopReason, ToolRequest, Usage,
};
use l9::principal::Roles;
use l9::relations::{Kind, Progress};
use l9::stop;
use l9::{AgentId, AgentProfile, Engine, Kernel as _, Principal, Runtime, Settings, StartOptions, TenantId};

/// What the one that is asked about Quincy searches before it answers, and waits about Bob.
#[derive(Debug, Default)]
struct Asked {
    bob_may_go: AtomicBool,
}

#[async_trait]
impl ModelClient for Asked {
    fn default_model(&self) -> &str {
        "asked"
    }

    fn estimate(&self, _: &ModelRequest) -> Estimate {
        Estimate::local(2)
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        _: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
        let response = ModelResponse { usage, model: "asked".into(), ..ModelResponse::default() };
        let asked = format!("{:?}", request.messages);
        let answers = request.messages.iter().any(|message| matches!(message, Message::Assistant { .. }));
        if asked.contains("Quincy") && !answers {
            let arguments = r#"{"query":"quinces"}"#.to_owned();
            let tools = vec![ToolRequest { id: "call".into(), name: "memory/search".into(), arguments }];
            return Ok(ModelResponse { tools, stop: StopReason::Tools, ..response });
        }
        while asked.contains("Bob") && !self.bob_may_go.load(Ordering::SeqCst) {
            if permit.cancelled().is_cancelled() {
                return Err(ModelFault::new("cancelled", "the run was cancelled"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let relations = match asked.as_str() {
            asked if asked.contains("Quincy") => r#"[{"subject":"Quincy","predicate":"knows","object":"Acme"}]"#,
            asked if asked.contains("Ada") => r#"[{"subject":"Ada","predicate":"knows","object":"Acme"}]"#,
            _ => "[]",
        };
        Ok(ModelResponse { text: format!(r#"{{"relations":{relations}}}"#), ..response })
    }
}

async fn open(folder: &Path, relations: Kind, model: &Arc<Asked>) -> Runtime {
    let agent = AgentProfile::new("reader").unwrap().with_model("asked").unwrap();
    let mut settings = Settings { data_dir: folder.to_owned(), ..Settings::default() };
    settings.relations = l9::relations::Settings { relations, agent: Some("reader".into()) };
    let runtime = Runtime::builder()
        .settings(settings)
        .model("asked", Arc::<Asked>::clone(model))
        .agent(agent.with_tool("memory/search").unwrap())
        .build()
        .await
        .unwrap();
    runtime.start().await;
    runtime
}

fn said(text: &str) -> NewEntry {
    NewEntry { text: text.into(), ..NewEntry::default() }
}

/// Waits until the reader has got as far as that.
async fn reads(runtime: &Runtime, until: impl Fn(&Progress) -> bool) -> Progress {
    let viewer = runtime.principal().tenant;
    for _ in 0..600 {
        let status = runtime.relations().status(&viewer, Duration::from_secs(9)).await.unwrap().unwrap();
        if until(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = runtime.relations().status(&viewer, Duration::from_secs(9)).await;
    unreachable!("it came no further than {status:?}")
}

async fn around(runtime: &Runtime, tenant: &TenantId, name: &str) -> usize {
    let walk = Walk { from: name.into(), hops: 1, predicate: None, when: When::default(), limit: 9 };
    runtime.memory().walk(&Scope::tenant(tenant.clone()), &walk).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_gone_counts_as_failed_and_the_work_goes_on() {
    let (folder, model) = (tempfile::tempdir().unwrap(), Arc::new(Asked::default()));
    let runtime = open(folder.path(), Kind::None, &model).await;
    let tenant = runtime.principal().tenant;
    let id = runtime.memory().remember(&tenant, vec![said("Ada likes Acme.")]).await.unwrap()[0].id;
    // A process began to read it, and ended before it kept what it read.
    let principal = Principal { tenant: tenant.clone(), subject: "system:relations".into(), roles: Roles::default() };
    let options = StartOptions {
        deadline: Some(Duration::from_mins(10)),
        idempotency_key: Some(format!("agent/reader/1/{id}")),
        priority: -1,
        ..StartOptions::default()
    };
    let agent = AgentId::new("reader").unwrap();
    let handle = runtime.engine().execute(&principal, &agent, "Ada likes Acme.", options).await.unwrap();
    let run = handle.run();
    handle.outcome().await.unwrap();
    let expired = runtime.engine().expire(&tenant, Duration::ZERO, false, None).await.unwrap();
    assert_eq!(expired.runs, 1);
    runtime.shutdown().await;

    let runtime = open(folder.path(), Kind::Agent, &model).await;
    runtime.memory().remember(&tenant, vec![said("Ada still likes Acme.")]).await.unwrap();
    let status = reads(&runtime, |status| status.pending == 0 && status.relations > 0).await;
    assert_eq!((status.failed, status.failing), (1, None));
    let such_as = status.such_as.unwrap();
    assert!(such_as.starts_with(&format!("memory {id}: its run is gone")), "{such_as}");
    assert!(such_as.contains(&run.to_string()), "{such_as}");
    assert_eq!(around(&runtime, &tenant, "Ada").await, 1);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_said_of_somebody_does_not_come_back_after_the_erasure() {
    let (folder, model) = (tempfile::tempdir().unwrap(), Arc::new(Asked::default()));
    let runtime = open(folder.path(), Kind::None, &model).await;
    let tenant = runtime.principal().tenant;
    let relation = Relation { subject: "Zoe".into(), predicate: "grows".into(), object: "quinces".into() };
    let about = NewEntry { subject: Some("zoe".into()), relation: Some(relation), ..said("Zoe grows quinces.") };
    runtime.memory().remember(&tenant, vec![said("Quincy likes Acme."), said("Bob waits."), about]).await.unwrap();
    runtime.shutdown().await;

    let runtime = open(folder.path(), Kind::Agent, &model).await;
    let subject = runtime.memory().subject(&tenant, "zoe");
    // The run about Quincy has read of Zoe and ended; that about Bob goes on beside it.
    let rows = loop {
        let rows = runtime.store().about(&tenant, &subject).await.unwrap();
        if rows.iter().any(|row| row.status.is_closed()) {
            break rows;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(rows.len(), 1);
    let asked = Erasing {
        subject: "zoe".into(),
        by: "person:dpo".into(),
        reason: "she asked for it".into(),
        mentions: false,
        dry: false,
    };
    let done = runtime.erase(&tenant, &asked).await.unwrap();
    assert_eq!((done.memories, done.runs.len()), (1, 1));
    model.bob_may_go.store(true, Ordering::SeqCst);
    let status = reads(&runtime, |status| status.pending == 0).await;
    let back = runtime.erase(&tenant, &Erasing { dry: true, ..asked }).await.unwrap();
    assert!(back.is_nothing(), "{back:?}");
    assert_eq!((status.failed, status.relations), (1, 0), "{status:?}");
    assert!(status.such_as.unwrap().contains(&format!("its run is gone: the records of run {}", rows[0].run)));
    assert_eq!(around(&runtime, &tenant, "Quincy").await, 0);
    runtime.shutdown().await;
}

async fn stop(engine: &Engine, tenant: &TenantId) {
    engine.stop(stop::Scope::Tenant(tenant.clone()), "person:op", "a drill", Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_one_tenant_keeps_no_other_from_being_read_and_is_not_told_it() {
    let (folder, model) = (tempfile::tempdir().unwrap(), Arc::new(Asked::default()));
    let runtime = open(folder.path(), Kind::Agent, &model).await;
    let (first, own) = (TenantId::new("a-first").unwrap(), runtime.principal().tenant);
    assert!(first < own, "it is read first");
    runtime.memory().remember(&first, vec![said("Bob waits.")]).await.unwrap();
    // Its run is under way when it is stopped.
    while runtime.store().runs(&first, &l9::journal::RunFilter::default(), 9).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop(runtime.engine(), &first).await;
    runtime.memory().remember(&own, vec![said("Ada likes Acme.")]).await.unwrap();
    let status = reads(&runtime, |status| status.relations == 1).await;
    assert_eq!(status.pending, 1);
    let told = reads(&runtime, |status| status.failing.is_some()).await.failing.unwrap();
    assert!(!told.contains(first.as_str()), "{told}");
    let theirs = runtime.relations().status(&first, Duration::from_secs(9)).await.unwrap().unwrap();
    assert!(theirs.failing.unwrap().contains("a-first is stopped"));
    runtime.engine().unstop(&stop::Scope::Tenant(first.clone()), "person:op", "over").await.unwrap();
    model.bob_may_go.store(true, Ordering::SeqCst);
    let status = reads(&runtime, |status| status.pending == 0 && status.failing.is_none()).await;
    assert_eq!(status.failed, 0);
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_quarantine_is_shown_to_no_agent() {
    let (folder, model) = (tempfile::tempdir().unwrap(), Arc::new(Asked::default()));
    let runtime = open(folder.path(), Kind::None, &model).await;
    let tenant = runtime.principal().tenant;
    let id = runtime.memory().remember(&tenant, vec![said("Ada likes Acme.")]).await.unwrap()[0].id;
    let order = NewQuarantine { suspect: Suspect::Entry(id), reason: "doubt".into(), by: "test".into() };
    runtime.memory().quarantine(&tenant, order).await.unwrap();
    runtime.memory().remember(&tenant, vec![said("Eve is here.")]).await.unwrap();
    runtime.shutdown().await;

    let runtime = open(folder.path(), Kind::Agent, &model).await;
    let status = reads(&runtime, |status| status.read > 0).await;
    assert_eq!((status.read, status.pending, status.relations), (1, 0, 0));
    let runs = runtime.store().runs(&tenant, &l9::journal::RunFilter::default(), 9).await.unwrap();
    assert_eq!(runs.len(), 1, "that of Eve");
    runtime.shutdown().await;
}
