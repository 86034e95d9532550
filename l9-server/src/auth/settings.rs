//! How callers are known.

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::config::Problem;

/// How callers are known, by the tokens they bring.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Whether requests need a token; if absent, they do unless the deployment is local.
    pub(crate) enabled: Option<bool>,
    /// The secret that signs and checks tokens (HS256), 32 bytes or more.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<String>")]
    pub(crate) jwt_secret: Option<SecretString>,
    /// Where an issuer publishes its keys (JWKS), for tokens signed with RS256 or ES256.
    pub(crate) jwks_url: Option<String>,
    /// Who must have issued a token (`iss`); anybody who can sign if absent.
    pub(crate) issuer: Option<String>,
    /// Whom a token must be meant for (`aud`).
    pub(crate) audience: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: None, jwt_secret: None, jwks_url: None, issuer: None, audience: "l9".into() }
    }
}

impl Settings {
    /// The secret, if there is one.
    ///
    /// # Errors
    /// For one of fewer than 32 bytes.
    pub(crate) fn secret(&self) -> Result<Option<Secret>, Problem> {
        self.jwt_secret.as_ref().map(|secret| Secret::new(secret.expose_secret())).transpose()
    }

    /// What does not fit although its type does.
    pub(crate) fn faults(&self) -> Vec<Problem> {
        let mut faults: Vec<Problem> = self.secret().err().into_iter().collect();
        if let Some(url) = &self.jwks_url
            && !is_safe(url)
        {
            faults.push(Problem::new(
                "auth.jwks_url is not an https address: who changes the keys on their way can sign tokens",
                "use the address that the issuer publishes, https://…",
            ));
        }
        if self.audience.trim().is_empty() {
            faults.push(Problem::new("auth.audience is empty", "name this installation, such as l9"));
        }
        if self.jwks_url.is_some() && self.issuer.is_none() {
            faults.push(Problem::new(
                "auth.jwks_url is set without auth.issuer: any token of those keys would do",
                "set JWT_ISSUER to what the issuer writes as `iss`",
            ));
        }
        faults
    }
}

/// Whether an address cannot be changed on its way: by TLS, or because it is this machine.
fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let plain = url.username().is_empty() && url.password().is_none();
    plain && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_and_secrets_are_long() {
        let fits = |secret: Option<&str>, url: Option<&str>| {
            let settings = Settings {
                jwt_secret: secret.map(Into::into),
                jwks_url: url.map(Into::into),
                issuer: Some("https://issuer.example".into()),
                ..Settings::default()
            };
            settings.faults().is_empty()
        };
        assert!(fits(None, None));
        assert!(fits(Some("0123456789abcdef0123456789abcdef"), None));
        assert!(!fits(Some("0123456789abcdef0123456789abcde"), None));
        assert!(fits(None, Some("https://issuer.example/keys")));
        assert!(fits(None, Some("http://127.0.0.1:9/keys")));
        for url in ["http://issuer.example/keys", "ftp://issuer.example", "keys", "https://me:pw@issuer.example/"] {
            assert!(!fits(None, Some(url)), "{url}");
        }
        let settings = Settings { jwks_url: Some("https://issuer.example/keys".into()), ..Settings::default() };
        assert!(settings.faults()[0].message.contains("auth.issuer"));
    }
}
