//! The bytes of every form that was ever journaled are still read.

use super::*;

#[test]
fn events_round_trip_and_unknown_ones_are_refused_as_newer() {
    let event = Event::EffectUnknown(EffectUnknown {
        call: CallId::Turn(2),
        attempt: 1,
        reason: "died".into(),
        label: Label::trusted(),
        spent: Cost::default(),
    });
    let payload = event.payload().unwrap();
    assert_eq!(Event::decode(event.kind(), event.version(), &payload).unwrap(), event);
    assert_eq!(Event::decode("effect.unknown", 99, &payload).unwrap_err().kind(), ErrorKind::Newer);
    assert_eq!(Event::decode("plan.set", 1, b"{}").unwrap_err().kind(), ErrorKind::Newer);
    assert_eq!(Event::decode("effect.unknown", 1, b"{}").unwrap_err().kind(), ErrorKind::Corrupt);
}

/// What version 1 wrote must be readable for ever.
#[test]
fn bytes_of_version_one_are_still_read() {
    for (kind, payload) in [
        ("lease.taken", r#"{"node":"local"}"#),
        (
            "effect.result",
            r#"{"attempt":1,"call":"turn/1/tool/0","label":{"confidentiality":"tenant"},"outcome":{"status":"ok","value":{"inline":{"x":1}}},"spent":{"calls":1}}"#,
        ),
        (
            "effect.unknown",
            r#"{"attempt":1,"call":"call","label":{"confidentiality":"tenant"},"reason":"the process died"}"#,
        ),
        ("cancel.requested", r#"{"by":"person:local","command":"c1","reason":"enough"}"#),
        ("command.rejected", r#"{"command":"c1","reason":"the run is not paused"}"#),
        // Version 2: who asked.
        ("command.rejected", r#"{"by":"person:ada","command":"c1","reason":"the run is not paused"}"#),
        ("run.closed", r#"{"answer":{"inline":"42"},"status":"succeeded"}"#),
        ("child.spawned", r#"{"agent":"clerk","call":"turn/1/tool/0","run":"01890000-0000-7000-8000-000000000000"}"#),
        // Version 2: plans.
        (
            "child.spawned",
            r#"{"call":"node/3/0/work/0/1","plan":"release","run":"01890000-0000-7000-8000-000000000000"}"#,
        ),
        ("breakpoint.hit", r#"{"hit":{"at":"before","generation":1,"id":"publish","mode":"drain","node":4}}"#),
        (
            "breakpoint.set",
            r#"{"breakpoint":{"at":"on_error","mode":"freeze","node":"*","when":"${a.n} > 1"},"by":"person:ada","command":"c1"}"#,
        ),
        ("breakpoint.released", r#"{"by":"person:ada","command":"c1","reason":"fine"}"#),
        (
            "plan.patched",
            r#"{"agents":["clerk"],"by":"person:ada","command":"c1","contracts":{"time/now":"00000000000000000000000000000000000000000000000000000000000000aa"},"patch":{"inline":{"remove":["x"]}},"reason":"less"}"#,
        ),
        (
            "plan.rolled_back",
            r#"{"by":"person:ada","command":"c1","reason":"wrong","rollback":{"hold":true,"nodes":[1,2],"to":"build","undo":["node/2/0/undo/0/1"]}}"#,
        ),
        // Version 2: labels of single fields.
        (
            "effect.result",
            r#"{"attempt":1,"call":"turn/1/tool/0","fields":{"":{"label":{"confidentiality":"tenant","untrusted":["mail/read"]}},"/*/id":{"label":{"confidentiality":"tenant"},"typed":true},"/0/id":{"foreign":true,"label":{"confidentiality":"tenant"},"typed":true}},"label":{"confidentiality":"tenant","untrusted":["mail/read"]},"outcome":{"status":"ok","value":{"inline":[{"id":1}]}},"spent":{"calls":1}}"#,
        ),
    ] {
        let event = Event::decode(kind, 1, payload.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(event.payload().unwrap()).unwrap(), payload);
    }
    let newer: Vec<_> = KINDS.iter().filter(|(_, version)| *version > 1).collect();
    let expected = [
        &("run.created", 7),
        &("run.forked", 6),
        &("effect.intent", 4),
        &("effect.result", 4),
        &("effect.denied", 3),
        &("effect.unknown", 2),
        &("effect.retry", 2),
        &("child.spawned", 2),
        &("approval.asked", 2),
        &("approval.decided", 2),
        &("command.rejected", 2),
    ];
    assert_eq!(newer, expected, "a new version needs its own frozen bytes below");
}

/// What came since: deadlines with version 2 of `run.created`, parents with version 3,
/// roles with version 4 and with version 2 of `run.forked`, further amounts of a budget with
/// version 5 and with version 4 of `run.forked`, in an agent's profile as well, plans with
/// version 6 and with version 5 of `run.forked`, withheld values with version 7 and with version 6
/// of `run.forked`.
#[test]
fn bytes_of_every_form_of_a_first_event_are_still_read() {
    const DIGEST: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
    const BUDGET: &str = r#"{"calls":20,"egress_bytes":65536,"time_ms":60000}"#;
    let old = r#""principal":{"subject":"person:ada","tenant":"acme"}"#;
    let new = r#""principal":{"roles":["viewer","operator"],"subject":"person:ada","tenant":"acme"}"#;
    let created = |principal: &str| {
        format!(
            r#"{{"budget":{{}},"decider":1,"label":{{"confidentiality":"tenant"}},{principal},"request":"{DIGEST}","subject":{{"arguments":{{"inline":"{{}}"}},"contract":"{DIGEST}","kind":"tool","tool":"calc/evaluate"}}}}"#
        )
    };
    let forked = |principal: &str| {
        format!(
            r#"{{"decider":1,"parent":"01890000-0000-7000-8000-000000000000",{principal},"request":"{DIGEST}","subject":{{"arguments":{{"inline":"{{}}"}},"contract":"{DIGEST}","kind":"tool","tool":"calc/evaluate"}}}}"#
        )
    };
    // Keys stand in the order of RFC 8785.
    let until = |principal: &str| {
        created(principal).replace(r#""decider""#, r#""deadline":"2026-01-01T00:00:00.000Z","decider""#)
    };
    let parent =
        r#""parent":{"call":"turn/1/tool/0","depth":1,"run":"01890000-0000-7000-8000-000000000000"},"principal""#;
    let child = |principal: &str| until(principal).replacen(r#""principal""#, parent, 1);
    let own = |principal: &str| {
        let policy = r#""policy":"permit (principal, action, resource);","principal""#;
        forked(principal).replacen(r#""principal""#, policy, 1)
    };
    let more = |payload: String| {
        let profile = format!(
            r#""subject":{{"contracts":{{}},"input":{{"inline":"go"}},"kind":"agent","profile":{{"budget":{BUDGET},"description":"","id":"clerk","instructions":"","limits":{{"output_tokens":4096,"parallel_tools":16,"turns":16}},"memory":{{"recall":0}},"model":"auto","tools":[]}}}}}}"#
        );
        let (head, _) = payload.split_once(r#""subject":{"arguments""#).unwrap();
        format!("{}{profile}", head.replace(r#""budget":{}"#, &format!(r#""budget":{BUDGET}"#)))
    };
    let planned = |payload: String| {
        let (head, _) = payload.split_once(r#""subject":{"arguments""#).unwrap();
        format!(
            r#"{head}"subject":{{"agents":["clerk"],"contracts":{{"time/now":"{DIGEST}"}},"input":{{"inline":null}},"kind":"plan","name":"p","plan":{{"inline":{{"nodes":[],"plan":"p"}}}}}}}}"#
        )
    };
    let back = |payload: String| {
        let rollback = r#""rollback":{"hold":false,"nodes":[],"undo":["node/2/0/undo/0/1"]},"subject""#;
        payload.replacen(r#""subject":{"agents""#, &format!(r#"{rollback}:{{"agents""#), 1)
    };
    let withheld = |payload: String| {
        let kept = format!(r#""arguments":{{"withheld":{{"bytes":2,"id":"{DIGEST}"}}}}"#);
        payload.replace(r#""arguments":{"inline":"{}"}"#, &kept)
    };
    for (kind, version, payload, roles) in [
        ("run.created", 7, withheld(child(new)), 2),
        ("run.forked", 6, withheld(own(new)), 2),
        ("run.created", 1, created(old), 0),
        ("run.created", 2, until(old), 0),
        ("run.created", 3, child(old), 0),
        ("run.created", 4, child(new), 2),
        ("run.created", 5, more(child(new)), 2),
        ("run.created", 6, planned(child(new)), 2),
        ("run.forked", 1, forked(old), 0),
        ("run.forked", 2, forked(new), 2),
        ("run.forked", 3, own(new), 2),
        ("run.forked", 4, more(own(new)), 2),
        ("run.forked", 5, back(planned(own(new))), 2),
    ] {
        let event = Event::decode(kind, version, payload.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(event.payload().unwrap()).unwrap(), payload);
        let principal = match event {
            Event::RunCreated(first) => first.principal,
            Event::RunForked(first) => first.principal,
            other => panic!("{other:?}"),
        };
        assert_eq!((principal.subject.as_str(), principal.roles.iter().count()), ("person:ada", roles));
    }
}

/// What came since: the policy with version 2 of `effect.intent` and `effect.denied`, time and
/// bytes with version 3 of `effect.intent` and of `effect.result` and with version 2 of
/// `effect.retry` and of `effect.unknown`, withheld values with version 4 of `effect.intent` and of
/// `effect.result`, with version 3 of `effect.denied` and with version 2 of the events of approvals.
#[test]
fn bytes_of_every_form_of_an_effect_s_events_are_still_read() {
    const DIGEST: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
    let intent = |policy: &str| {
        format!(
            r#"{{"action":{{"arguments":{{"inline":{{}}}},"kind":"tool","tool":"calc/evaluate"}},"attempt":1,"call":"call","class":"pure","contract":"{DIGEST}","idempotency_key":"{DIGEST}","label":{{"confidentiality":"tenant"}},"not_after":"2026-01-01T00:00:00.000Z",{policy}"reasons":["granted"],"reserved":{{"calls":1}}}}"#
        )
    };
    let denied = |policy: &str| {
        format!(
            r#"{{"arguments":{{"inline":"{{}}"}},"call":"call","code":"forbidden",{policy}"reasons":["grant"],"stage":"policy","target":"calc/evaluate"}}"#
        )
    };
    let policy = format!(r#""policy":"{DIGEST}","#);
    let more = |payload: &str| payload.replace(r#"{"calls":1}"#, r#"{"calls":1,"egress_bytes":412,"time_ms":30}"#);
    let result = r#"{"attempt":1,"call":"call","label":{"confidentiality":"tenant"},"outcome":{"code":"failed","happened":false,"message":"no","status":"failed"},"spent":{"calls":1}}"#;
    let retry = r#"{"attempt":1,"call":"call","code":"not_sent","in_doubt":false,"label":{"confidentiality":"tenant"},"message":"away","retry_at":"2026-01-01T00:00:00.000Z","spent":{"calls":1}}"#;
    let unknown = r#"{"attempt":1,"call":"call","label":{"confidentiality":"tenant"},"reason":"the process died","spent":{"egress_bytes":412,"time_ms":30}}"#;
    let failed = r#""outcome":{"code":"failed","happened":false,"message":"no","status":"failed"}"#.to_owned();
    let asked = format!(
        r#"{{"arguments":{{"inline":{{}}}},"ask":1,"call":"call","class":"pure","contract":"{DIGEST}","digest":"{DIGEST}","expires_at":"2026-01-01T00:00:00.000Z","facts":{facts},"policy":"{DIGEST}","reasons":["asks"],"target":"calc/evaluate"}}"#,
        facts = String::from_utf8(json::canonical(&crate::governor::Facts::default()).unwrap()).unwrap()
    );
    let decided = format!(
        r#"{{"answer":{{"arguments":{{"inline":{{}}}},"digest":"{DIGEST}","kind":"approved","remember":"once","until":"2026-01-01T00:00:00.000Z"}},"ask":1,"call":"call","reason":"yes"}}"#
    );
    // The value, and what is shown of it.
    let withheld = |payload: &str| {
        let kept = format!(r#"{{"withheld":{{"bytes":2,"id":"{DIGEST}","shape":{{}}}}}}"#);
        payload.replace(r#"{"inline":{}}"#, &kept).replace(r#"{"inline":"{}"}"#, &kept)
    };
    for (kind, version, payload) in [
        ("effect.intent", 1, intent("")),
        ("effect.intent", 2, intent(&policy)),
        ("effect.intent", 3, more(&intent(&policy))),
        ("effect.result", 2, result.to_owned()),
        ("effect.result", 3, more(result)),
        ("effect.retry", 1, retry.to_owned()),
        ("effect.retry", 2, more(retry)),
        ("effect.unknown", 2, unknown.to_owned()),
        ("effect.denied", 1, denied("")),
        ("effect.denied", 2, denied(&policy)),
        ("effect.intent", 4, withheld(&more(&intent(&policy)))),
        ("effect.result", 4, result.replace(&failed, &withheld(r#""outcome":{"status":"ok","value":{"inline":{}}}"#))),
        ("effect.denied", 3, withheld(&denied(&policy))),
        ("approval.asked", 1, asked.clone()),
        ("approval.asked", 2, withheld(&asked)),
        ("approval.decided", 1, decided.clone()),
        ("approval.decided", 2, withheld(&decided)),
    ] {
        let event = Event::decode(kind, version, payload.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(event.payload().unwrap()).unwrap(), payload);
    }
}
