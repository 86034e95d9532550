//! Policies that are wrong: each error has a file, a line, a column and a mend.

use l9_core::ErrorKind;
use l9_core::governor::Policy;
use l9_core::governor::cedar::{Cedar, Live, Refreshed, Source, source};

fn refused(text: &str) -> String {
    let error = Cedar::parse("mail.cedar", text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn what_does_not_parse() {
    let error = refused("permit (principal, action, resource);\n\nforbid (principal, action resource);");
    assert!(error.contains("mail.cedar:3:27"), "{error}");
}

#[test]
fn an_unknown_type() {
    let error = refused("permit (principal is L9::Robot, action, resource);");
    assert!(error.contains("mail.cedar:1:") && error.contains("L9::Robot"), "{error}");
}

#[test]
fn an_unknown_attribute() {
    let error = refused(
        "permit (principal,\n action == L9::Action::\"InvokeTool\",\n resource) when { resource.colour == 1 };",
    );
    assert!(error.contains("mail.cedar:3:") && error.contains("colour") && error.contains("did you mean"), "{error}");
}

#[test]
fn an_unknown_member_of_an_enumeration() {
    let error = refused(
        "forbid (principal, action == L9::Action::\"InvokeTool\", resource) when { resource.effect == L9::Effect::\"wirte\" };",
    );
    assert!(error.contains("wirte"), "{error}");
}

#[test]
fn an_unknown_action_and_a_misspelt_fact() {
    assert!(refused("permit (principal, action == L9::Action::\"CallTool\", resource);").contains("CallTool"));
    let error = refused(
        "forbid (principal, action == L9::Action::\"InvokeTool\", resource) when { context.recipient.untrustd };",
    );
    assert!(error.contains("untrustd"), "{error}");
}

#[test]
fn two_policies_of_one_id() {
    let one = Source::new("a.cedar", "@id(\"x\") permit (principal, action, resource);");
    let other = Source::new("b.cedar", "\n@id(\"x\") forbid (principal, action, resource);");
    let error = Cedar::new(vec![one, other]).unwrap_err().to_string();
    assert!(error.contains("b.cedar:2:1") && error.contains("a.cedar:1"), "{error}");
}

#[test]
fn a_template_and_a_role_that_there_is_not() {
    assert!(refused("permit (principal == ?principal, action, resource);").contains("template"));
    assert!(refused("@about(\"colour\") permit (principal, action, resource);").contains("colour"));
}

#[test]
fn folders_and_files() {
    let folder = std::env::temp_dir().join(format!("l9-policies-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let error = source::read(&folder).unwrap_err();
    assert!(error.to_string().contains("holds no file that ends with .cedar"), "{error}");
    std::fs::write(folder.join("big.cedar"), vec![b' '; 10 << 20]).unwrap();
    let error = source::read(&folder).unwrap_err();
    assert!(error.to_string().contains("has 10485760 bytes: split it"), "{error}");
    std::fs::write(folder.join("big.cedar"), [0xff, 0xfe]).unwrap();
    assert!(source::read(&folder).unwrap_err().to_string().contains("UTF-8"));
    assert_eq!(source::read(&folder.join("none.cedar")).unwrap_err().kind(), ErrorKind::NotFound);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_becomes_wrong_leaves_what_was() {
    let folder = std::env::temp_dir().join(format!("l9-live-policies-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("a.cedar");
    std::fs::write(&file, "permit (principal, action, resource);").unwrap();
    let live = Live::open(&folder).unwrap();
    let first = live.digest();
    assert_eq!(live.refresh(), Refreshed::Same);

    let big = vec![b' '; 10 << 20];
    let broken: [&[u8]; 3] =
        [b"permit (principal, action resource);", b"permit (principal is Robot, action, resource);", &big];
    for text in broken {
        std::fs::write(&file, text).unwrap();
        assert!(matches!(live.refresh(), Refreshed::Broken(_)));
        assert_eq!(live.refresh(), Refreshed::Same, "a fault is told once");
        assert!(live.fault().is_some() && live.digest() == first);
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(live.refresh(), Refreshed::Broken(why) if why.contains("holds no file")));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(live.refresh(), Refreshed::Broken(why) if why.contains("cannot be read")));
    assert_eq!(live.digest(), first);

    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&file, "forbid (principal, action, resource);").unwrap();
    assert_eq!(live.refresh(), Refreshed::Renewed(live.digest()));
    assert!(live.fault().is_none() && live.digest() != first);
    std::fs::remove_dir_all(&folder).unwrap();
}
