//! `token mint`, and what production wants of the settings behind it.

use crate::support::Cli;

const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn a_token_is_printed_alone_and_tells_nothing_of_the_secret() {
    let cli = Cli::cold().with("JWT_SECRET", SECRET);
    let mint = ["token", "mint", "--subject", "person:ada", "--role", "viewer", "--role", "approver"];
    let plain = cli.run(&mint).expect(0);
    assert_eq!(plain.out.trim_end().split('.').count(), 3, "{plain:?}");
    assert_eq!(plain.out.lines().count(), 1);
    let told = cli.json(&[&mint[..], &["--tenant", "acme", "--ttl", "15m"]].concat());
    assert_eq!(told["tenant"], "acme");
    assert_eq!(told["roles"], serde_json::json!(["viewer", "approver"]));
    assert!(told["expires_at"].is_string() && told["token"].is_string());
    assert!(!cli.data().exists(), "it needs no database");
    for shown in [cli.run(&["config", "show"]).expect(0), cli.run(&["config", "show", "--json"]).expect(0)] {
        assert!(!format!("{shown:?}").contains(SECRET) && shown.out.contains("[redacted]"));
    }
}

/// The arguments of `token mint` for somebody.
fn mint<'a>(further: &[&'a str]) -> Vec<&'a str> {
    [&["token", "mint", "--subject", "person:ada"], further].concat()
}

#[test]
fn what_cannot_be_signed_is_refused_with_its_mend() {
    let bare = Cli::cold();
    bare.run(&mint(&["--role", "viewer"])).expect(2).names(&["no secret", "JWT_SECRET", "openssl rand -hex 32"]);
    let short = Cli::cold().with("JWT_SECRET", "hunter2-hunter2");
    let refused = short.run(&mint(&["--role", "viewer"])).expect(2);
    assert!(!format!("{refused:?}").contains("hunter2"));
    refused.names(&["auth.jwt_secret has 15 bytes", "openssl"]);
    let cli = Cli::cold().with("JWT_SECRET", SECRET);
    assert!(cli.run(&mint(&[])).expect(2).err.contains("--role"));
    assert!(cli.run(&mint(&["--role", "root"])).expect(2).err.contains("viewer, operator, approver or admin"));
    cli.run(&mint(&["--role", "viewer", "--ttl", "400d"])).expect(2).names(&["--ttl"]);
    cli.run(&mint(&["--role", "viewer", "--ttl", "0s"])).expect(2).names(&["--ttl"]);
    assert!(cli.run(&mint(&["--role", "viewer", "--tenant", "../x"])).expect(2).err.contains("tenant"));
    cli.run(&["token", "mint", "--subject", "two words", "--role", "viewer"]).expect(2).names(&["two words"]);
}

#[test]
fn production_refuses_weak_settings_and_takes_sound_ones() {
    let production = |name: &str, value: &str| {
        Cli::cold().with("DEPLOYMENT_ENV", "production").with("JWT_SECRET", SECRET).with(name, value)
    };
    production("CORS_ORIGINS", "https://console.example").run(&["config", "check"]).expect(0);
    production("L9__SERVER__HOST", "0.0.0.0").run(&["config", "check"]).expect(0);
    production("CORS_ORIGINS", "*").run(&["config", "check"]).expect(2).names(&["cors_origins", "production"]);
    production("L9__WORKERS__SEED", "7").run(&["config", "check"]).expect(2).names(&["seed", "production"]);
    production("JWT_SECRET", &"abcd".repeat(16)).run(&["config", "check"]).expect(2).names(&["jwt_secret"]);
    production("JWT_JWKS_URL", "http://issuer.example/")
        .run(&["config", "check"])
        .expect(2)
        .names(&["jwks_url", "https"]);
    production("CORS_ORIGINS", "console.example").run(&["config", "check"]).expect(2).names(&["console.example"]);
}
