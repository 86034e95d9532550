//! The environment: the names of the contract, and `L9__SECTION__KEY` for any setting.

use super::known::{Known, Leaf};
use super::problem::{Problem, closest};
use serde_json::Value;

/// A variable's name and the setting it stands for.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("ANTHROPIC_API_KEY", "models.anthropic.api_key"),
    ("ANTHROPIC_BASE_URL", "models.anthropic.base_url"),
    ("AUTH_ENABLED", "auth.enabled"),
    ("CORS_ORIGINS", "server.cors_origins"),
    ("DATABASE_POOL_SIZE", "storage.pool_size"),
    ("DATABASE_POOL_TIMEOUT", "storage.pool_timeout"),
    ("DATABASE_URL", "storage.database_url"),
    ("DEPLOYMENT_ENV", "deployment"),
    ("JWT_AUDIENCE", "auth.audience"),
    ("JWT_ISSUER", "auth.issuer"),
    ("JWT_JWKS_URL", "auth.jwks_url"),
    ("JWT_SECRET", "auth.jwt_secret"),
    ("L9_DATA_DIR", "storage.data_dir"),
    ("L9_ENABLE_LONG_PLANS", "plans.enabled"),
    ("L9_ENABLE_SEMANTIC_MEMORY", "memory.semantic"),
    ("LOG_FORMAT", "log.format"),
    ("LOG_LEVEL", "log.level"),
    ("OPENAI_API_KEY", "models.openai.api_key"),
    ("OPENAI_BASE_URL", "models.openai.base_url"),
    ("REDIS_PASSWORD", "redis.password"),
    ("REDIS_URL", "redis.url"),
];

/// The setting a variable stands for: `None` if the variable is none of ours.
pub(super) fn setting(name: &str, known: &Known) -> Result<Option<Vec<String>>, Problem> {
    if let Some((_, path)) = NAMES.iter().find(|(own, _)| *own == name) {
        return Ok(Some(path.split('.').map(str::to_owned).collect()));
    }
    let Some(keys) = name.strip_prefix("L9__") else { return Ok(None) };
    let path: Vec<String> = keys.split("__").map(str::to_owned).collect();
    match known.find(&path, true) {
        Ok((path, Known::Leaf(_))) => Ok(Some(path)),
        Ok((path, _)) => {
            let path = path.join(".");
            Err(Problem::new(
                format!("{name} names the section {path}, not one of its settings"),
                format!("add the setting: {name}__KEY; `l9-server config show` lists those there are"),
            ))
        }
        Err(unknown) => Err(Problem {
            message: format!("{name} stands for no setting: there is no {}", unknown.path.to_lowercase()),
            help: Some(match unknown.meant {
                Some(meant) => format!("did you mean L9__{}?", meant.to_uppercase().replace('.', "__")),
                None => "`l9-server config show` lists the settings there are".to_owned(),
            }),
        }),
    }
}

/// A warning for a variable that looks like one of ours and is none.
pub(super) fn look_alike(name: &str, others: &[&str]) -> Option<Problem> {
    let own = NAMES.iter().any(|(own, _)| *own == name) || others.contains(&name);
    if own || !name.starts_with("L9_") || name.starts_with("L9__") {
        return None;
    }
    let meant = closest(
        name,
        NAMES.iter().map(|(own, _)| *own).chain(others.iter().copied()).filter(|own| own.starts_with("L9_")),
    );
    Some(Problem {
        message: format!("the environment variable {name} means nothing to L9"),
        help: meant.map(|meant| format!("did you mean {meant}?")),
    })
}

/// A variable's text as a value of the setting's type.
pub(super) fn value(text: &str, leaf: &Leaf) -> Value {
    let text = text.trim();
    if leaf.number
        && let Ok(number) = text.parse::<serde_json::Number>()
    {
        return Value::Number(number);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" if leaf.flag => Value::Bool(true),
        "false" | "0" | "no" | "off" if leaf.flag => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_leads_to_a_setting() {
        let known = Known::config();
        for (name, path) in NAMES {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert!(matches!(known.find(&path, false), Ok((_, Known::Leaf(_)))), "{name}");
        }
    }

    #[test]
    fn any_setting_has_a_variable_and_a_wrong_one_is_answered_with_the_right_one() {
        let known = Known::config();
        assert_eq!(setting("L9__SERVER__PORT", &known).unwrap().unwrap(), ["server", "port"]);
        assert_eq!(setting("PATH", &known).unwrap(), None);
        let problem = setting("L9__SERVER__PROT", &known).unwrap_err();
        assert_eq!(problem.help.as_deref(), Some("did you mean L9__SERVER__PORT?"));
        assert!(setting("L9__SERVER", &known).is_err());
        assert_eq!(look_alike("L9_DATA_DIR", &[]), None);
        assert_eq!(look_alike("L9_DATADIR", &[]).unwrap().help.as_deref(), Some("did you mean L9_DATA_DIR?"));
    }
}
