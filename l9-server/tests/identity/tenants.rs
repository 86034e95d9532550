//! Two tenants on one server and one database share nothing but tools and agents.

use reqwest::Method;
use serde_json::{Value, json};

use crate::callers::{Caller, guarded, mint};

/// Everything a tenant may list.
const LISTS: [&str; 4] = ["/runs", "/memory/audit?limit=500", "/memory/search?q=resume+crash+journal", "/approvals"];

fn ids(list: &Value) -> Vec<String> {
    let all = list.as_object().unwrap().values().find_map(Value::as_array).unwrap();
    all.iter().map(|item| item["run_id"].as_str().or(item["id"].as_str()).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn two_tenants_see_only_what_is_theirs() {
    let served = guarded(&[], |_| {}).await;
    let (acme, other) = (Caller::new(&served, "acme", "operator"), Caller::new(&served, "other", "operator"));
    let mut told = Vec::new();
    for (caller, text) in [
        (&acme, "L9 resumes a run after a crash by folding the events of its journal."),
        (&other, "After a crash a run resumes from its journal, as the other tenant knows."),
    ] {
        let entry = caller.remember(text).await;
        let ended = caller.start("the-same-key", true).await;
        assert_eq!(ended["citations"][0]["quote"].as_str().unwrap(), text, "{ended}");
        told.push((entry, ended["run_id"].as_str().unwrap().to_owned(), text));
    }
    let [(mine, my_run, my_text), (theirs, their_run, their_text)] = told.try_into().unwrap();
    assert_ne!(my_run, their_run, "a key is a tenant's own");
    for (caller, own, foreign, foreign_text) in [
        (&acme, [&mine, &my_run], [&theirs, &their_run], their_text),
        (&other, [&theirs, &their_run], [&mine, &my_run], my_text),
    ] {
        for list in LISTS {
            let answer = caller.get(list).await;
            let ids = ids(&answer.json());
            assert!(list == "/approvals" || !ids.is_empty(), "{list}");
            assert!(ids.iter().all(|id| own.contains(&id)), "{list}: {answer:?}");
            assert!(
                !answer.text.contains(foreign_text) && !foreign.iter().any(|id| answer.text.contains(*id)),
                "{list}"
            );
        }
        for id in foreign {
            caller.get(&format!("/memory/{id}")).await.problem(404, "not_found");
            caller
                .served
                .send(caller.request(Method::DELETE, &format!("/memory/{id}")))
                .await
                .problem(404, "not_found");
            caller.get(&format!("/runs/{id}")).await.problem(404, "not_found");
            caller.get(&format!("/runs/{}/diff/{id}", own[1])).await.problem(404, "not_found");
            caller.post(&format!("/runs/{id}/fork"), &json!({"at": 2})).await.problem(404, "not_found");
            let stream =
                caller.request(Method::GET, &format!("/runs/{id}/events")).header("accept", "text/event-stream");
            caller.served.send(stream).await.problem(404, "not_found");
        }
        let shown = caller.get(&format!("/runs/{}", own[1])).await.json();
        assert_eq!(shown["principal"]["subject"], "person:operator");
        assert_eq!(shown["principal"]["roles"], json!(["operator"]));
    }
    assert_eq!(acme.get(&format!("/memory/{mine}")).await.status, 200, "nobody else could forget it");
}

#[tokio::test]
async fn a_retry_with_another_role_is_the_same_request() {
    let served = guarded(&[], |_| {}).await;
    let ada = |role| Caller {
        served: &served,
        token: mint(&["--tenant", "acme", "--subject", "person:ada", "--role", role]),
    };
    let first = ada("operator").start("k", true).await;
    let again = ada("operator,approver").start("k", false).await;
    assert_eq!((&again["run_id"], &again["existing"]), (&first["run_id"], &json!(true)));
    let run = first["run_id"].as_str().unwrap();
    let fork = |caller: Caller<'_>| {
        let request = caller.posting(&format!("/runs/{run}/fork"), &json!({"at": 2})).header("idempotency-key", "f");
        async { served.send(request).await.json() }
    };
    let (one, two) = (fork(ada("admin")).await, fork(ada("operator")).await);
    assert_eq!((&two["run_id"], &two["existing"]), (&one["run_id"], &json!(true)));
    // Somebody else of the tenant asks something else.
    let bob =
        Caller { served: &served, token: mint(&["--tenant", "acme", "--subject", "person:bob", "--role", "operator"]) };
    let body = json!({"input": "How does L9 resume a run after a crash?", "wait": false});
    let request = bob.posting("/agents/researcher/runs", &body).header("idempotency-key", "k");
    served.send(request).await.problem(409, "conflict");
}

#[tokio::test]
async fn whoever_has_the_data_folder_sees_each_tenant_by_name() {
    let served = guarded(&[], |_| {}).await;
    let acme = Caller::new(&served, "acme", "operator");
    let run = acme.start("k", true).await["run_id"].as_str().unwrap().to_owned();
    let listed = |tenant: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
            .args(["runs", "list", "--json", "--data-dir"])
            .arg(served.data.path())
            .args(tenant)
            .current_dir(served.data.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(listed(&[]).trim(), "[]");
    assert!(listed(&["--tenant", "acme"]).contains(&run));
}
