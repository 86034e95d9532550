//! Memory over time by HTTP: superseding, quarantine, snapshots, lists and conversations.

mod support;

use http::Method;
use serde_json::{Value, json};
use support::Served;

async fn keep(served: &Served, entry: Value) -> String {
    served.post("/memory", &entry).await.json()["results"][0]["id"].as_str().expect("an id").to_owned()
}

/// The ids that a search finds, in no order.
async fn found(served: &Served, query: &str) -> Vec<String> {
    let answer = served.get(&format!("/memory/search?{query}")).await.json();
    let mut ids: Vec<String> = answer["results"]
        .as_array()
        .expect("hits")
        .iter()
        .map(|hit| hit["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn one_poisoned_document_goes_with_all_that_came_of_it_and_comes_back() {
    let served = Served::start().await;
    let poisoned = keep(&served, json!({"text": "plums cure all", "source": "rumours.md"})).await;
    let sound = keep(&served, json!({"text": "plums are fruit", "source": "facts.md"})).await;
    let summary = keep(&served, json!({"text": "plums in short", "derived_from": [poisoned, sound]})).await;
    let further = keep(&served, json!({"text": "plums in shorter", "derived_from": [summary]})).await;
    let spoken = json!({"text": "plums, they say, cure", "labels": {"untrusted": ["rumours.md"]}});
    let spoken = keep(&served, spoken).await;
    let before = found(&served, "q=plums").await;
    assert_eq!(before.len(), 5);
    let order = json!({"source": "rumours.md", "reason": "it gives orders"});
    let done = served.post("/memory/quarantine", &order).await;
    assert_eq!(done.status, 201);
    let done = done.json();
    let mut hidden = [poisoned, summary.clone(), further, spoken];
    hidden.sort();
    assert_eq!((&done["entries"], &done["reason"]), (&json!(hidden), &json!("it gives orders")));
    assert_eq!(found(&served, "q=plums").await, std::slice::from_ref(&sound));
    // What an agent finds is what a search finds.
    let call = json!({"arguments": {"query": "plums"}, "wait": 60000});
    let called = served.post("/tools/memory%2Fsearch/call", &call).await.json().to_string();
    assert!(called.contains("plums are fruit") && !called.contains("plums in short"), "{called}");
    let shown = served.get(&format!("/memory/{summary}")).await.json();
    assert_eq!(shown["standing"], "quarantined");
    assert_eq!(served.get("/memory?shown=hidden").await.json()["results"].as_array().unwrap().len(), 4);
    let listed = served.get("/memory/quarantine").await.json();
    let id = listed["quarantines"][0]["id"].as_str().unwrap();
    assert_eq!(id, done["id"]);
    let released = served.request(Method::DELETE, &format!("/memory/quarantine/{id}")).await.json();
    assert_eq!(released["entries"], json!(hidden));
    assert_eq!(found(&served, "q=plums").await, before);
    served.request(Method::DELETE, &format!("/memory/quarantine/{id}")).await.problem(409, "conflict");
    for bad in [json!({"reason": "x"}), json!({"source": "a", "entry": sound, "reason": "x"}), json!({"source": "a"})] {
        served.post("/memory/quarantine", &bad).await.problem(400, "invalid");
    }
    let unknown = json!({"text": "x", "derived_from": ["00000000-0000-7000-8000-000000000000"]});
    served.post("/memory", &unknown).await.problem(400, "invalid");
}

#[tokio::test]
async fn memory_is_superseded_restored_and_listed() {
    let served = Served::start().await;
    let old = keep(&served, json!({"text": "the office is in Lisbon", "session": "s", "key": "office"})).await;
    let other = keep(&served, json!({"text": "the office has a bell", "session": "s"})).await;
    let yesterday = served.post("/memory/snapshots", &json!({"name": "yesterday"})).await;
    assert_eq!(yesterday.status, 201);
    let before = found(&served, "q=office").await;
    let order = json!({"text": "the office is in Porto", "session": "s", "valid_from": "2020-01-01T00:00:00Z"});
    let new = served.post(&format!("/memory/{old}/supersede"), &order).await;
    assert_eq!(new.status, 201);
    let new = new.json()["id"].as_str().unwrap().to_owned();
    let mut now = vec![new.clone(), other.clone()];
    now.sort();
    assert_eq!(found(&served, "q=office").await, now);
    assert!(found(&served, "q=office&valid_at=2019-06-01T00:00:00Z").await.contains(&old));
    assert!(!found(&served, "q=office&valid_at=2020-06-01T00:00:00Z").await.contains(&old));
    assert_eq!(served.get(&format!("/memory/{new}")).await.json()["key"], "office");
    served.post(&format!("/memory/{old}/supersede"), &order).await.problem(409, "conflict");
    served.request(Method::DELETE, &format!("/memory/{old}/supersede")).await.problem(409, "conflict");
    served.request(Method::DELETE, &format!("/memory/{other}/supersede")).await.problem(409, "conflict");
    assert_eq!(served.request(Method::DELETE, &format!("/memory/{other}")).await.status, 204);

    let id = yesterday.json()["id"].as_str().unwrap().to_owned();
    let restored = served.post(&format!("/memory/snapshots/{id}/restore"), &json!({})).await.json();
    assert_eq!(
        (&restored["forgotten"], &restored["returned"], &restored["reinstated"]),
        (&json!(1), &json!(1), &json!(1)),
        "{restored}"
    );
    assert_eq!(found(&served, "q=office").await, before, "it answers as yesterday");
    assert_eq!(served.get("/memory/snapshots").await.json()["snapshots"].as_array().unwrap().len(), 2);

    let session = served.get("/memory/sessions").await.json();
    assert_eq!((&session["sessions"][0]["session"], &session["sessions"][0]["entries"]), (&json!("s"), &json!(2)));
    let first = served.get("/memory/sessions/s?limit=1").await.json();
    assert_eq!(first["results"][0]["id"], old.as_str());
    let next = first["next"].as_str().unwrap();
    let second = served.get(&format!("/memory/sessions/s?limit=1&after={next}")).await.json();
    assert_eq!((&second["results"][0]["id"], &second["next"]), (&json!(other), &Value::Null));
    served.get("/memory/sessions/none").await.problem(404, "not_found");
    for bad in ["limit=0", "limit=501", "after=x", "shown=none", "order=up", "further=1"] {
        served.get(&format!("/memory?{bad}")).await.problem(400, "invalid");
    }
}

#[tokio::test]
async fn a_subject_is_erased_with_what_runs_read_of_it() {
    let served = Served::start().await;
    let hers = keep(&served, json!({"text": "plums for Ada alone", "subject": "ada@example.org"})).await;
    let summary = keep(&served, json!({"text": "plums in short", "derived_from": [hers]})).await;
    let other = keep(&served, json!({"text": "plums for all"})).await;
    let shown = served.get(&format!("/memory/{hers}")).await.json();
    let keyed = shown["labels"]["subjects"][0].as_str().expect("a keyed name");
    assert!(keyed.len() == 64 && keyed.bytes().all(|byte| byte.is_ascii_hexdigit()), "{keyed}");
    assert!(!shown["labels"].to_string().contains("ada@"), "{shown}");
    let call = json!({"arguments": {"query": "plums"}, "wait": 60000});
    let called = served.post("/tools/memory%2Fsearch/call", &call).await.json();
    assert!(called.to_string().contains("plums for Ada alone"), "{called}");
    let run = called["run_id"].as_str().expect("a run").to_owned();

    let address = "/memory/subjects/ada%40example.org/erase";
    served.post(address, &json!({"reason": " "})).await.problem(400, "invalid");
    served.post(address, &json!({})).await.problem(400, "invalid");
    let would = served.post(address, &json!({"reason": "she asked", "dry_run": true})).await.json();
    assert_eq!((&would["memories"], &would["runs"], &would["statements"]), (&json!(2), &json!([run]), &json!([])));
    // Named in the body, she stands in no address.
    let named = "/memory/subjects/erase";
    served.post(named, &json!({"reason": "she asked"})).await.problem(400, "invalid");
    let same = json!({"subject": "ada@example.org", "reason": "she asked", "dry_run": true});
    assert_eq!(served.post(named, &same).await.json(), would);
    // Only L9 makes keyed names.
    let labels = json!({"subjects": [keyed]});
    served.post("/memory", &json!({"text": "x", "label": labels})).await.problem(400, "invalid");
    served
        .post(&format!("/memory/{other}/supersede"), &json!({"text": "x", "label": labels}))
        .await
        .problem(400, "invalid");
    let search = json!({"arguments": {"query": "plums"}, "labels": labels});
    served.post("/tools/memory%2Fsearch/call", &search).await.problem(400, "invalid");
    served.post("/agents/default/runs", &json!({"input": "x", "labels": labels})).await.problem(400, "invalid");
    let done = served.post(address, &json!({"reason": "she asked"})).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let done = done.json();
    assert_eq!(
        (&done["memories"], &done["runs"], &done["residue"]),
        (
            &json!(2),
            &json!([run]),
            &json!({"runs": [], "memories": [], "quarantines": [], "snapshots": [], "unread": []})
        )
    );
    let statement = done["statements"][0].as_str().expect("a statement");
    assert!(statement.contains("/erasure\n") && statement.contains(&run) && !statement.contains("ada@"), "{statement}");
    assert_eq!(found(&served, "q=plums").await, std::slice::from_ref(&other));
    for id in [&hers, &summary] {
        assert_eq!(served.get(&format!("/memory/{id}")).await.status, 404);
    }
    let gone = served.get(&format!("/runs/{run}/events")).await;
    assert_eq!(gone.status, 410, "{}", gone.text);
    assert!(served.get("/runs").await.text.contains(&run), "that it ran is still known");
}

#[tokio::test]
async fn near_duplicates_take_one_place_unless_all_are_asked_for() {
    let served = Served::start().await;
    let one = keep(&served, json!({"text": "The ferry to Riga leaves at three p.m."})).await;
    let other = keep(&served, json!({"text": "the ferry to Riga leaves at 3 pm"})).await;
    let later = keep(&served, json!({"text": "The ferry to Riga leaves at four p.m."})).await;
    let answer = served.get("/memory/search?q=ferry+to+Riga&k=2").await.json();
    let hits = answer["results"].as_array().expect("hits");
    let group = hits.iter().find(|hit| hit["id"] != json!(later)).expect("the group");
    let told = if group["id"] == json!(one) { &other } else { &one };
    assert_eq!((hits.len(), &group["duplicates"]), (2, &json!([told])), "{answer}");
    assert!(hits.iter().any(|hit| hit["id"] == json!(later) && hit.get("duplicates").is_none()), "{answer}");
    assert_eq!(found(&served, "q=ferry&duplicates=true").await.len(), 3);
    assert_eq!(served.get(&format!("/memory/{told}")).await.status, 200);
}
