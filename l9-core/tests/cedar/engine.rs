//! Decisions of policies that somebody wrote.

use l9_core::budget::{Budget, Cost};
use l9_core::governor::cedar::Cedar;
use l9_core::governor::{Decision, Operation, Policy, PolicyAction, Standing};
use l9_core::label::Label;
use l9_core::principal::Role;
use l9_core::tool::ArgRole;
use serde_json::json;

use crate::support::{Asking, person};

fn parse(text: &str) -> Cedar {
    Cedar::parse("test.cedar", text).unwrap()
}

const MAIL: &str = r#"
    @id("mail") @reason("mail may be sent")
    permit (principal, action == L9::Action::"InvokeTool", resource == L9::Tool::"office/send");
    @id("strangers") @reason("strangers are asked about") @about("recipient")
    forbid (principal, action == L9::Action::"InvokeTool", resource)
    when { context.recipient.untrusted } unless { context.approved };
    @id("never") @reason("interns send nothing")
    forbid (principal == L9::Agent::"intern", action, resource);
"#;

#[test]
fn ask_is_a_deny_that_an_approval_turns_into_an_allow() {
    let policies = parse(MAIL);
    let mut asking = Asking::of("office/send", "opaque_write").with(ArgRole::Recipient, Standing::Untrusted);
    let verdict = asking.decided_by(&policies);
    assert_eq!(verdict.decision, Decision::Ask);
    assert_eq!(verdict.reasons, ["strangers: it at /x comes from web/read in step 1"]);
    asking.approved = true;
    let verdict = asking.decided_by(&policies);
    assert_eq!((verdict.decision, verdict.reasons), (Decision::Allow, vec!["mail: mail may be sent".to_owned()]));
    asking = asking.by_agent(&["office/send"]);
    asking.agent.as_mut().unwrap().id = "intern".parse().unwrap();
    for approved in [false, true] {
        asking.approved = approved;
        let verdict = asking.decided_by(&policies);
        assert_eq!(verdict.decision, Decision::Deny, "an approval does not lift what does not look at it");
        assert!(verdict.reasons.contains(&"never: interns send nothing".to_owned()), "{:?}", verdict.reasons);
    }
}

#[test]
fn what_no_policy_permits_is_denied() {
    let verdict = Asking::of("office/read", "read").decided_by(&parse(MAIL));
    assert_eq!((verdict.decision, verdict.reasons), (Decision::Deny, vec!["default: no policy permits it".to_owned()]));
}

#[test]
fn a_permit_that_needs_an_approval_asks() {
    let policies = parse(
        r#"@id("asked") permit (principal, action == L9::Action::"InvokeTool", resource) when { context.approved };"#,
    );
    let verdict = Asking::of("office/read", "read").decided_by(&policies);
    assert_eq!((verdict.decision, verdict.reasons), (Decision::Ask, vec!["asked".to_owned()]));
}

#[test]
fn tenants_roles_budgets_times_values_and_sources_can_be_told_apart() {
    let policies = parse(
        r#"
        permit (principal in L9::Role::"operator", action == L9::Action::"InvokeTool", resource in L9::Namespace::"office")
        when { principal.tenant == "default" && principal.caller like "person:*" };
        @id("poor") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when { context.left has calls && context.left.calls < 3 || context.used.tokens > 100 };
        @id("late") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when { context.now > datetime("2030-01-01") };
        @id("ours") forbid (principal, action == L9::Action::"InvokeTool", resource)
        unless { ["a@ours", "b@ours"].containsAll(context.values) };
        @id("web") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when { context.sources.contains("web/read") };
        "#,
    );
    let asking =
        Asking { principal: person("person:ada", &[Role::Operator]), ..Asking::of("office/send", "opaque_write") };
    let decided = |asking: &Asking| asking.decided_by(&policies);
    assert_eq!(decided(&asking).decision, Decision::Allow, "{:?}", decided(&asking));
    let denied = |asking: &Asking, by: &str| {
        let verdict = decided(asking);
        assert_eq!((verdict.decision, verdict.reasons), (Decision::Deny, vec![by.to_owned()]));
    };
    denied(
        &Asking { principal: person("person:ada", &[Role::Viewer]), ..asking.clone() },
        "default: no policy permits it",
    );
    denied(
        &Asking { principal: person("service:ci", &[Role::Operator]), ..asking.clone() },
        "default: no policy permits it",
    );
    let budget = Budget { calls: Some(5), ..Budget::default() };
    denied(&Asking { budget, used: Cost { calls: 3, ..Cost::default() }, ..asking.clone() }, "poor");
    denied(&Asking { used: Cost { tokens: 101, ..Cost::default() }, ..asking.clone() }, "poor");
    denied(&Asking { label: Label::untrusted("web/read"), ..asking.clone() }, "web");
    let mut values = asking.clone();
    values.manifest.args.insert("/to".into(), serde_json::from_value(json!({"role": "recipient"})).unwrap());
    values.arguments = json!({"to": ["a@ours", "b@ours"]});
    assert_eq!(decided(&values).decision, Decision::Allow);
    values.arguments = json!({"to": ["a@ours", "x@theirs"]});
    denied(&values, "ours");
}

#[test]
fn every_amount_that_was_used_or_is_left_can_be_decided_by() {
    for (name, _) in Cost::default().amounts() {
        let policies = parse(&format!(
            r#"permit (principal, action == L9::Action::"InvokeTool", resource);
            @id("much") forbid (principal, action == L9::Action::"InvokeTool", resource)
            when {{ context.used.{name} > 10 }};
            @id("little") forbid (principal, action == L9::Action::"InvokeTool", resource)
            when {{ context.left has {name} && context.left.{name} < 5 }};"#
        ));
        let amount = |amount: u64| format!("{name}={amount}").parse::<Budget>().unwrap();
        let decided = |used: u64, budget: Budget| {
            let used = amount(used).most();
            let verdict = Asking { budget, used, ..Asking::of("office/read", "read") }.decided_by(&policies);
            (verdict.decision == Decision::Allow, verdict.reasons.first().cloned().unwrap_or_default())
        };
        assert!(decided(10, Budget::default()).0 && decided(10, amount(15)).0, "{name}");
        assert_eq!(decided(11, Budget::default()), (false, "much".to_owned()), "{name}");
        assert_eq!(decided(10, amount(14)), (false, "little".to_owned()), "{name}");
    }
}

#[test]
fn a_memory_tool_is_a_use_of_memory_and_a_delegation_is_one_too() {
    let policies = parse(
        r#"permit (principal, action == L9::Action::"InvokeTool", resource);
        @id("kept") permit (principal, action == L9::Action::"ReadMemory", resource);
        @id("who") permit (principal, action == L9::Action::"Delegate", resource == L9::AgentProfile::"clerk");"#,
    );
    assert_eq!(Asking::of("memory/search", "read").decided_by(&policies).decision, Decision::Allow);
    assert_eq!(Asking::of("memory/remember", "same_db_write").decided_by(&policies).decision, Decision::Deny);
    let mut asking = Asking::of("run/delegate", "opaque_write");
    asking.arguments = json!({"agent": "clerk"});
    assert_eq!(asking.decided_by(&policies).decision, Decision::Allow);
    asking.arguments = json!({"agent": "boss"});
    assert_eq!(asking.decided_by(&policies).decision, Decision::Deny);
}

#[test]
fn a_manifest_that_changed_is_told_anew() {
    let policies =
        parse(r#"permit (principal, action == L9::Action::"InvokeTool", resource) unless { resource.destructive };"#);
    let mut asking = Asking::of("office/send", "opaque_write");
    assert_eq!(asking.decided_by(&policies).decision, Decision::Allow);
    asking.manifest.destructive = true;
    assert_eq!(asking.decided_by(&policies).decision, Decision::Deny);
}

#[test]
fn a_prohibition_that_cannot_be_evaluated_stands() {
    let policies = parse(
        r#"permit (principal, action == L9::Action::"InvokeTool", resource);
        @id("sum") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when { context.used.tokens + 9223372036854775807 > 0 };"#,
    );
    let used = Cost { tokens: 1, ..Cost::default() };
    let verdict = Asking { used, ..Asking::of("office/send", "read") }.decided_by(&policies);
    assert_eq!(verdict.decision, Decision::Deny);
    assert!(verdict.reasons[0].starts_with("sum: it cannot be evaluated"), "{:?}", verdict.reasons);
}

#[test]
fn the_digest_is_of_the_text_and_of_nothing_else() {
    let one = parse(MAIL);
    assert_eq!(one.digest(), Cedar::parse("elsewhere.cedar", MAIL).unwrap().digest());
    assert_ne!(one.digest(), parse(&MAIL.replace("interns", "guests")).digest());
}

#[test]
fn whoever_decides_is_not_the_agent_that_asked() {
    let policies =
        parse(r#"permit (principal is L9::Person, action == L9::Action::"Approve", resource) unless { context.own };"#);
    let asking = Asking { principal: person("person:lin", &[]), ..Asking::of("office/send", "read").by_agent(&[]) };
    let decide = |requester: l9_core::principal::Principal| {
        let action = PolicyAction::Approve { requester: &requester, manifest: None };
        policies.decide(&asking.of_action(action)).decision
    };
    assert_eq!(decide(person("person:ada", &[])), Decision::Allow);
    assert_eq!(decide(person("person:lin", &[Role::Admin])), Decision::Deny);
}

#[test]
fn a_stop_is_forbidden_only_by_a_rule_that_was_written_for_it_and_can_be_evaluated() {
    let forbids = |text: &str, operation| {
        let asking = Asking { principal: person("person:eve", &[Role::Admin]), ..Asking::of("office/read", "read") };
        parse(text).prohibitions(&asking.of_action(PolicyAction::Administer { operation }))
    };
    let named = r#"@id("not-eve") @reason("she is on leave")
        forbid (principal == L9::Person::"eve", action == L9::Action::"Administer", resource)
        when { context.operation == L9::Operation::"stop" };"#;
    assert_eq!(forbids(named, Operation::Stop), ["not-eve: she is on leave"]);
    for (text, why) in [
        ("", "nothing permits it"),
        ("forbid (principal, action, resource);", "it is meant for everything"),
        (r#"forbid (principal == L9::Person::"eve", action, resource);"#, "it is meant for everything she does"),
        (
            r#"forbid (principal, action == L9::Action::"Administer", resource)
               when { 9223372036854775807 + 1 > 0 };"#,
            "it cannot be evaluated",
        ),
        (&named.replace("eve", "bob"), "it is about somebody else"),
    ] {
        assert!(forbids(text, Operation::Stop).is_empty(), "{why}: {text}");
    }
    assert!(forbids(named, Operation::Unstop).is_empty());
}

#[test]
fn an_operation_that_there_is_not_is_an_error() {
    let text = r#"forbid (principal, action == L9::Action::"Administer", resource)
        when { context.operation == L9::Operation::"unstopp" };"#;
    let error = Cedar::parse("test.cedar", text).unwrap_err().to_string();
    assert!(error.contains("test.cedar:2") && error.contains("unstopp"), "{error}");
}

/// Policies each of which looks at something else.
const LOOKING: &str = r#"
    @id("reads") permit (principal, action == L9::Action::"InvokeTool", resource)
    when { resource.effect == L9::Effect::"read" };
    @id("few") permit (principal, action == L9::Action::"InvokeTool", resource)
    when { context.left has calls && context.left.calls > 1 };
    @id("eve") forbid (principal, action, resource) when { principal.caller == "person:eve" };
    @id("pages") forbid (principal, action == L9::Action::"InvokeTool", resource)
    when { context.sources.contains("web/read") && !context.approved };
    @id("word") forbid (principal, action == L9::Action::"InvokeTool", resource)
    when { context.values.contains("bomb") };
    @id("last") forbid (principal, action == L9::Action::"InvokeTool", resource)
    when { context.left has calls && context.left.calls < 2 && context.recipient.untrusted && !context.timed_out };
    @id("strangers") forbid (principal, action == L9::Action::"InvokeTool", resource)
    when { context.recipient.untrusted } unless { context.approved };
    @id("ungrounded") @reason("nothing of it was asked for")
    forbid (principal, action == L9::Action::"InvokeTool", resource) unless { context.grounded || context.approved };
"#;

#[test]
fn what_policies_said_before_is_told_only_of_what_they_were_asked() {
    let warm = parse(LOOKING);
    let mut seen = [0; 3];
    // Twice, the second time all in another order.
    for round in 0..2_u32 {
        for at in 0..256_u32 {
            let bits = if round == 0 { at } else { at.wrapping_mul(77) % 256 };
            let bit = |which: u32| bits >> which & 1 == 1;
            let mut asking = Asking::of("office/do", if bit(0) { "read" } else { "opaque_write" });
            asking.manifest.args = serde_json::from_value(json!({"/to": {"role": "recipient"}})).unwrap();
            asking.principal = person(if bit(1) { "person:eve" } else { "person:ada" }, &[Role::Operator]);
            asking.arguments = json!({"to": if bit(2) { "bomb" } else { "lin" }});
            asking.label = if bit(3) { Label::untrusted("web/read") } else { Label::trusted() };
            asking.budget = Budget { calls: Some(3), ..Budget::default() };
            asking.used = Cost { calls: if bit(4) { 2 } else { 0 }, ..Cost::default() };
            asking.facts.grounded = bit(5);
            asking.approved = bit(6);
            if bit(7) {
                asking = asking.with(ArgRole::Recipient, Standing::Untrusted);
            }
            let verdict = asking.decided_by(&warm);
            assert_eq!(verdict, asking.decided_by(&parse(LOOKING)), "{asking:?}");
            let alone = warm.raw(&asking.request()).unwrap().allows();
            assert_eq!(verdict.decision == Decision::Allow, alone, "{asking:?}");
            seen[verdict.decision as usize] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "allow, ask and deny all occur: {seen:?}");
}
