//! What a configuration must have before others may reach what it serves.

use secrecy::ExposeSecret;

use super::database::Database;
use super::problem::{Problem, Problems};
use super::sections::{Config, Deployment};
use crate::auth::MEND;

/// Why this configuration must not be served.
pub(crate) fn refuse_serving(config: &Config) -> Result<(), Problems> {
    let mut problems = Vec::new();
    if config.authenticates() {
        keys(config, &mut problems);
    } else {
        open(config, &mut problems);
    }
    if config.deployment == Deployment::Production {
        weak(config, &mut problems);
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// Without authentication: this machine only, and pages of no origin but named ones.
fn open(config: &Config, problems: &mut Vec<Problem>) {
    if config.deployment != Deployment::Local {
        problems.push(Problem::new(
            format!("deployment is {}, which requires authentication, and it is off", config.deployment.as_str()),
            "remove AUTH_ENABLED=false, or unset DEPLOYMENT_ENV to serve this machine only",
        ));
    }
    if !config.server.host.is_loopback() {
        problems.push(Problem::new(
            format!("server.host is {}, which others can reach, and authentication is off", config.server.host),
            format!("serve on 127.0.0.1, or set AUTH_ENABLED=true and {MEND}"),
        ));
    }
    if config.server.cors_origins.is_any() {
        problems.push(Problem::new(
            "server.cors_origins is `*` and authentication is off: any page that is opened here could use the server",
            "list the origins, or set AUTH_ENABLED=true",
        ));
    }
}

fn keys(config: &Config, problems: &mut Vec<Problem>) {
    if config.auth.jwt_secret.is_none() && config.auth.jwks_url.is_none() {
        let (why, way_out) = match config.auth.enabled {
            Some(_) => (String::new(), "remove AUTH_ENABLED"),
            None => (format!(", as deployment is {}", config.deployment.as_str()), "unset DEPLOYMENT_ENV"),
        };
        problems.push(Problem::new(
            format!("authentication is on{why}, and there is no key to check tokens with"),
            format!(
                "{MEND}; or JWT_JWKS_URL and JWT_ISSUER to those of an issuer; or {way_out} to serve this machine only"
            ),
        ));
    }
}

/// Settings that do for trying out and not for real.
fn weak(config: &Config, problems: &mut Vec<Problem>) {
    let mut refuse = |message: String, help: &str| {
        problems.push(Problem::new(format!("{message}: production refuses it"), help));
    };
    if let Ok(Some(secret)) = config.auth.secret()
        && let Some(why) = secret.weakness()
    {
        refuse(format!("auth.jwt_secret {why}"), MEND);
    }
    if config.server.cors_origins.is_any() {
        refuse("server.cors_origins is `*`".to_owned(), "list the origins");
    }
    if config.workers.seed.is_some() {
        refuse("workers.seed makes keys and ids foreseeable".to_owned(), "remove it");
    }
    if let Database::Postgres(url) = config.database()
        && !is_verified(url.expose_secret())
    {
        let message = "storage.database_url reaches another machine without verified TLS";
        refuse(message.to_owned(), "add sslmode=verify-full to the address");
    }
    let redis = config.redis_settings();
    // The servers of a cluster are where they say they are.
    let is_safe = |url: &str| is_safe_redis(url) && (!redis.cluster || url.starts_with("rediss:"));
    if !redis.addresses().all(is_safe) {
        refuse("redis.url reaches another machine without TLS".to_owned(), "write rediss:// for TLS");
    }
    for (name, settings) in config.tools.databases() {
        let url = settings.url.expose_secret();
        if url.starts_with("postgres") && !is_verified(url) {
            let message = format!("tools.databases.{name}.url reaches another machine without verified TLS");
            refuse(message, "add sslmode=verify-full to the address");
        }
    }
}

/// Whether the way to a Redis server cannot be listened to: it stays on this machine, or TLS
/// is verified. Nothing in its query says where it leads.
fn is_safe_redis(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    match url.scheme() {
        "rediss" if url.fragment() != Some("insecure") => true,
        "unix" | "redis+unix" => true,
        _ => url.host_str().is_some_and(is_here),
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the way to a PostgreSQL server cannot be listened to: it stays on this machine,
/// or TLS is verified.
fn is_verified(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let here = |host: &str| host.is_empty() || host.starts_with('/') || is_here(host);
    // A parameter wins over the place in the address.
    let mut hosts = url.query_pairs().filter(|(name, _)| matches!(&**name, "host" | "hostaddr")).peekable();
    let local = if hosts.peek().is_some() { hosts.all(|(_, host)| here(&host)) } else { here(host) };
    local || url.query_pairs().any(|(name, mode)| name == "sslmode" && mode == "verify-full")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        refuse_serving(&config).err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn others_reach_nothing_without_authentication() {
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|config| config.server.host = [0, 0, 0, 0].into()).contains("0.0.0.0"));
        assert!(refused(|config| config.auth.enabled = Some(true)).contains("no key"));
        for deployment in [Deployment::Staging, Deployment::Production] {
            assert!(refused(|config| config.deployment = deployment).contains("no key"), "it is on by default");
            let off = refused(|config| (config.deployment, config.auth.enabled) = (deployment, Some(false)));
            assert!(off.contains("requires authentication"), "{off}");
        }
        let on = |config: &mut Config| {
            config.server.host = [0, 0, 0, 0].into();
            config.deployment = Deployment::Production;
            config.auth.jwt_secret = Some(SECRET.into());
        };
        assert_eq!(refused(on), "");
    }

    #[test]
    fn production_refuses_what_is_weak() {
        let production = |change: fn(&mut Config)| {
            refused(|config| {
                config.deployment = Deployment::Production;
                config.auth.jwt_secret = Some(SECRET.into());
                change(config);
            })
        };
        assert_eq!(production(|_| {}), "");
        assert!(production(|config| config.auth.jwt_secret = Some("a".repeat(64).into())).contains("repeats"));
        assert!(production(|config| config.workers.seed = Some(1)).contains("seed"));
        let any: fn(&mut Config) =
            |config| config.server.cors_origins = serde_json::from_value("*".into()).unwrap_or_default();
        assert!(production(any).contains("cors_origins"));
        assert!(refused(any).contains("any page"), "nor is it taken without authentication");
        // The servers of a cluster are where they say, wherever the first of them is.
        let here: fn(&mut Config) = |config| config.redis.url = Some("redis://127.0.0.1:7000".into());
        assert_eq!(production(here), "");
        let plain: fn(&mut Config) =
            |config| (config.redis.url, config.redis.cluster) = (Some("redis://127.0.0.1:7000".into()), true);
        assert!(production(plain).contains("redis.url"));
        let mixed: fn(&mut Config) = |config| {
            let urls = "rediss://one.example:7000,redis://two.example:7000";
            (config.redis.url, config.redis.cluster) = (Some(urls.into()), true);
        };
        assert!(production(mixed).contains("redis.url"));
        let tls: fn(&mut Config) = |config| {
            let urls = "rediss://one.example:7000, rediss://two.example:7000";
            (config.redis.url, config.redis.cluster) = (Some(urls.into()), true);
        };
        assert_eq!(production(tls), "");
        let far: fn(&mut Config) = |config| config.storage.database_url = Some("postgresql://u:p@db/l9".into());
        assert!(production(far).contains("TLS"));
    }

    #[test]
    fn the_way_to_redis_is_judged_by_its_own_form() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://:pw@localhost/1",
            "redis://[::1]:6379",
            "rediss://cache.example:6380",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?db=1",
            "rediss://localhost#insecure",
        ] {
            assert!(is_safe_redis(url), "{url}");
        }
        for url in [
            "redis://cache.example",
            "redis://far?sslmode=verify-full",
            "redis://far?host=localhost",
            "redis://far?hostaddr=127.0.0.1",
            "rediss://cache.example#insecure",
            "redis://10.0.0.1",
            "redis:///",
        ] {
            assert!(!is_safe_redis(url), "{url}");
        }
    }

    #[test]
    fn the_way_to_the_database_is_known() {
        for url in [
            "postgresql://u@localhost/l9",
            "postgresql://u@127.0.0.1:5433/l9?sslmode=disable",
            "postgresql://u@[::1]/l9",
            "postgresql:///l9?host=/var/run/postgresql",
            "postgresql://u@db.example/l9?sslmode=verify-full",
        ] {
            assert!(is_verified(url), "{url}");
        }
        for url in [
            "postgresql://u@db.example/l9",
            "postgresql://u@10.0.0.1/l9?sslmode=require",
            "postgresql://u@localhost/l9?host=db.example",
        ] {
            assert!(!is_verified(url), "{url}");
        }
    }
}
