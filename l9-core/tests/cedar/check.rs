//! What a check finds, and what it does not.

use l9_core::governor::cedar::{ProblemKind, Source, check, defaults};

use crate::support::manifest;

fn found(text: &str) -> Vec<(ProblemKind, String)> {
    let registered = [manifest("web/read", "read"), manifest("mail/send", "opaque_write")];
    let report = check(vec![Source::new("test.cedar", text)], &registered).unwrap();
    report.problems.into_iter().map(|problem| (problem.kind, problem.policy.unwrap_or_default())).collect()
}

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

#[test]
fn nothing_is_found_in_the_defaults() {
    for profile in ["local", "staging", "production"] {
        let report = check(defaults::sources(profile).unwrap(), &[manifest("web/read", "read")]).unwrap();
        assert_eq!(report.problems, [], "{profile}");
    }
}

#[test]
fn policies_that_decide_on_what_they_compare_with_are_left_alone() {
    let text = format!(
        r#"{ALL}
        @id("tenant") forbid (principal, action, resource) when {{ principal.tenant == "acme" }};
        @id("who") forbid (principal == L9::Person::"lin", action, resource);
        @id("agent") forbid (principal == L9::Agent::"intern", action, resource == L9::Tool::"mail/send");
        @id("poor") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ context.left has micro_usd && context.left.micro_usd < 5000 }};
        @id("late") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ context.now > datetime("2030-05-01") }};
        @id("night") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ context.now.toTime() > duration("22h") }};
        @id("read") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ context.sources.contains("web/read") && resource.destructive }};
        @id("values") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ context.values.contains("x@theirs") }};
        @id("model") forbid (principal, action == L9::Action::"CallModel", resource)
        when {{ resource.provider == "anthropic" }};
        @id("mail") forbid (principal, action, resource in L9::Namespace::"mail") unless {{ principal in L9::Role::"operator" }};
        "#
    );
    assert_eq!(found(&text), []);
}

#[test]
fn impossible_duplicate_idle_and_unknown() {
    let found = found(&format!(
        r#"{ALL}
        @id("again") permit (principal, action, resource);
        @id("never") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ context.recipient.trusted && context.recipient.untrusted }};
        @id("types") forbid (principal is L9::Agent, action == L9::Action::"Approve", resource);
        @id("wide") forbid (principal, action == L9::Action::"InvokeTool", resource) when {{ resource.destructive }};
        @id("narrow") forbid (principal, action == L9::Action::"InvokeTool", resource)
        when {{ resource.destructive && context.untrusted }};
        @id("tool") forbid (principal, action, resource == L9::Tool::"mial/send");
        "#
    ));
    let kinds =
        |id: &str| -> Vec<ProblemKind> { found.iter().filter(|(_, of)| of == id).map(|(kind, _)| *kind).collect() };
    assert_eq!(kinds("again"), [ProblemKind::Duplicate, ProblemKind::NeverDecides]);
    assert_eq!(kinds("never"), [ProblemKind::Impossible]);
    assert_eq!(kinds("types"), [ProblemKind::Impossible]);
    assert_eq!(kinds("narrow"), [ProblemKind::NeverDecides]);
    assert_eq!(kinds("tool"), [ProblemKind::UnknownName]);
    assert_eq!(kinds("wide"), []);
}

#[test]
fn what_cannot_be_used_is_told_and_nothing_else_is_tried() {
    let found = found("permit (principal, action, resource) when { context.colour };");
    assert!(found.iter().all(|(kind, _)| *kind == ProblemKind::Schema) && !found.is_empty(), "{found:?}");
}
