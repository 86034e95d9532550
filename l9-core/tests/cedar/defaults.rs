//! The defaults of every profile and the baseline, on facts, manifests and labels at random.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use l9_core::governor::cedar::{Cedar, defaults};
use l9_core::governor::{ArgumentFact, Baseline, Decision, Facts, Operation, Policy, PolicyAction, Standing};
use l9_core::label::Confidentiality;
use l9_core::principal::Role;
use l9_core::tool::{Approval, ArgRole, EffectClass, Integrity};
use proptest::prelude::*;

use crate::support::{Asking, fact, person};

static PROFILES: LazyLock<[Cedar; 3]> =
    LazyLock::new(|| ["local", "staging", "production"].map(|profile| defaults::policies(profile).unwrap()));

const CONFIDENTIALITY: [Confidentiality; 4] =
    [Confidentiality::Public, Confidentiality::Tenant, Confidentiality::Subject, Confidentiality::Secret];

fn role() -> impl Strategy<Value = ArgRole> {
    use ArgRole::{Amount, Body, Path, Recipient, Secret, Target, Time, Url};
    proptest::sample::select(vec![Recipient, Url, Path, Target, Amount, Time, Secret, Body])
}

fn argument() -> impl Strategy<Value = ArgumentFact> {
    let standing = proptest::sample::select(vec![Standing::Trusted, Standing::Identity, Standing::Untrusted]);
    let required = proptest::sample::select(vec![None, Some(Integrity::Trusted), Some(Integrity::Untrusted)]);
    (role(), standing, required, any::<(bool, bool, bool)>()).prop_map(|(role, standing, required, flags)| {
        let (written, shown, embedded) = flags;
        // Links are addresses.
        ArgumentFact { required, written, shown, embedded: embedded && role == ArgRole::Url, ..fact(role, standing) }
    })
}

fn asking() -> impl Strategy<Value = Asking> {
    let facts = (proptest::collection::vec(argument(), 0..4), any::<(bool, bool)>(), 0..4_usize);
    let tool = (proptest::sample::select(EffectClass::ALL.to_vec()), any::<(bool, bool)>(), 0..5_usize);
    (facts, tool, any::<(bool, bool, bool)>(), any::<bool>()).prop_map(|(facts, tool, flags, memory)| {
        let (arguments, (grounded, untrusted), held) = facts;
        let (effect, (destructive, always), most) = tool;
        let (by_agent, granted, approved) = flags;
        let id = if memory { "memory/thing" } else { "office/thing" };
        let mut asking = Asking::of(id, effect.as_str());
        asking.manifest.destructive = destructive;
        asking.manifest.approval = if always { Approval::Always } else { Approval::Policy };
        asking.manifest.labels.max_confidentiality_out = CONFIDENTIALITY.get(most).copied();
        let untrusted = if untrusted { BTreeSet::from(["web/read in step 1".to_owned()]) } else { BTreeSet::new() };
        asking.facts = Facts { arguments, grounded, untrusted, confidentiality: CONFIDENTIALITY[held] };
        asking.approved = approved;
        match (by_agent, granted) {
            (false, _) => asking,
            (true, true) => asking.by_agent(&[id]),
            (true, false) => asking.by_agent(&["office/other"]),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_defaults_decide_as_the_baseline(asking in asking()) {
        let expected = asking.decided_by(&Baseline);
        for policies in PROFILES.iter() {
            let verdict = asking.decided_by(policies);
            prop_assert_eq!(verdict.decision, expected.decision, "{:?} against {:?}", verdict.reasons, expected.reasons);
            // The rules that ask bear the same names.
            let rules = |reasons: &[String]| -> BTreeSet<String> {
                let rule = |reason: &String| reason.split(':').next().unwrap_or_default().replace("-any", "").replace("-read", "");
                reasons.iter().map(rule).map(|rule| if rule == "link" { "url".to_owned() } else { rule }).collect()
            };
            if expected.decision != Decision::Allow {
                prop_assert!(rules(&expected.reasons).is_subset(&rules(&verdict.reasons)), "{:?} against {:?}", verdict.reasons, expected.reasons);
            }
        }
    }
}

#[test]
fn models_memory_and_delegation_are_decided_as_by_the_baseline() {
    let asking = Asking::of("office/thing", "read");
    let (model, to) = ("openai/m".parse().unwrap(), l9_core::id::AgentId::new("other").unwrap());
    let actions = [
        PolicyAction::CallModel { model: &model },
        PolicyAction::ReadMemory { scope: "tenant" },
        PolicyAction::WriteMemory { scope: "tenant" },
        PolicyAction::Delegate { to: &to, granted: true },
        PolicyAction::Delegate { to: &to, granted: false },
    ];
    for action in actions {
        for policies in PROFILES.iter() {
            let request = asking.of_action(action);
            assert_eq!(policies.decide(&request).decision, Baseline.decide(&request).decision, "{action:?}");
        }
    }
}

#[test]
fn who_may_decide_and_administer_depends_on_the_profile() {
    let requester = person("person:ada", &[Role::Operator]);
    let approve = |who, profile: usize| {
        let asking = Asking { principal: who, ..Asking::of("office/thing", "read") };
        let action = PolicyAction::Approve { requester: &requester, manifest: Some(&asking.manifest) };
        PROFILES[profile].decide(&asking.of_action(action)).decision == Decision::Allow
    };
    let administer = |who, profile: usize| {
        let asking = Asking { principal: who, ..Asking::of("office/thing", "read") };
        Operation::ALL.map(|operation| {
            let request = asking.of_action(PolicyAction::Administer { operation });
            let verdict = PROFILES[profile].decide(&request);
            assert_eq!(verdict.decision, Baseline.decide(&request).decision, "{operation}");
            assert!(PROFILES[profile].prohibitions(&request).is_empty(), "no default stands in the way of a stop");
            verdict.decision == Decision::Allow
        })
    };
    let viewer = || person("person:lin", &[Role::Viewer]);
    let approver = || person("person:lin", &[Role::Approver]);
    let own = || person("person:ada", &[Role::Approver, Role::Admin]);
    assert_eq!([0, 1, 2].map(|profile| approve(viewer(), profile)), [false; 3]);
    assert_eq!([0, 1, 2].map(|profile| approve(approver(), profile)), [true; 3]);
    assert_eq!([0, 1, 2].map(|profile| approve(own(), profile)), [true, true, false]);
    let operator = || person("person:lin", &[Role::Operator]);
    for profile in [0, 1, 2] {
        // As the roles that the server asks for: a stop, its end, retention, erasing.
        assert_eq!(administer(viewer(), profile), [false; 4]);
        assert_eq!(administer(approver(), profile), [false; 4]);
        assert_eq!(administer(operator(), profile), [true, false, false, false]);
        assert_eq!(administer(own(), profile), [true; 4]);
    }
}

#[test]
fn the_defaults_have_nothing_suspicious_in_them() {
    for policies in PROFILES.iter() {
        assert_eq!(policies.warnings(), []);
    }
}
