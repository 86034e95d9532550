//! Puts the layers together: later ones win, every value keeps its source, and every
//! mistake is reported, not only the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use l9::secrets::Environment;
use serde_json::{Map, Value};

use super::absent;
use super::environment;
use super::file;
use super::known::{Known, Leaf, Unknown};
use super::problem::{Problem, Problems};
use super::sections::Config;
use super::source::Source;

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

/// The layers before they are read.
#[derive(Debug, Default)]
pub(crate) struct Loader {
    /// The configuration file; `config.yaml` in the current folder, if there, when absent.
    pub(crate) file: Option<PathBuf>,
    /// The `.env` file, read if there.
    pub(crate) dot_env: PathBuf,
    /// The environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Settings given as flags: dotted path, value, the flag's name.
    pub(crate) flags: Vec<(&'static str, Value, &'static str)>,
}

/// The configuration and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The effective configuration.
    pub(crate) config: Config,
    /// Every setting with its source, secrets redacted, in the order of their names.
    pub(crate) settings: Vec<Setting>,
    /// What was set and means nothing.
    pub(crate) warnings: Vec<Problem>,
    /// The variables that hold secrets of tools.
    pub(crate) secrets: Environment,
}

/// One effective setting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Its dotted path.
    pub(crate) path: String,
    /// Its value, redacted if it is secret.
    pub(crate) value: Value,
    /// Where the value came from.
    pub(crate) source: Source,
    /// What it is for.
    pub(crate) description: String,
}

impl Loader {
    /// Reads every layer.
    ///
    /// # Errors
    /// Every unknown key and every value that does not fit, each with its place.
    pub(crate) fn load(self) -> Result<Loaded, Problems> {
        let mut reader = Reader {
            known: Known::config(),
            values: BTreeMap::new(),
            warnings: Vec::new(),
            problems: Vec::new(),
            secrets: Vec::new(),
        };
        reader.file(self.file.as_deref());
        reader.dot_env(&self.dot_env);
        for (name, text) in &self.environment {
            reader.variable(name, text, Source::Environment { name: name.clone() });
        }
        for (path, value, name) in self.flags {
            reader.values.insert(path.split('.').map(str::to_owned).collect(), (value, Source::Flag { name }));
        }
        reader.finish()
    }
}

struct Reader {
    known: Known,
    values: BTreeMap<Vec<String>, (Value, Source)>,
    warnings: Vec<Problem>,
    problems: Vec<Problem>,
    secrets: Vec<(String, String)>,
}

impl Reader {
    fn file(&mut self, chosen: Option<&Path>) {
        let path = chosen.unwrap_or(Path::new("config.yaml"));
        if chosen.is_none() && !path.exists() {
            return;
        }
        let entries = match file::read(path) {
            Ok(entries) => entries,
            Err(problem) => return self.problems.push(problem),
        };
        for entry in entries {
            let place = format!("{} line {}", path.display(), entry.line);
            match self.known.find(&entry.path, false) {
                // A key without a value, as commented templates have them, sets nothing.
                Ok(_) if entry.value.is_null() => {}
                Ok((_, Known::Leaf(leaf))) => {
                    let value = as_written(entry.value, leaf);
                    let source = Source::File { path: path.to_owned(), line: entry.line };
                    self.values.insert(entry.path, (value, source));
                }
                // An empty section or table, written as `{}`.
                Ok(_) if entry.value.as_object().is_some_and(Map::is_empty) => {}
                Ok(_) => self.problems.push(Problem::plain(format!(
                    "{place}: {} is a section with keys of its own, not a value",
                    entry.path.join(".")
                ))),
                Err(Unknown { path: unknown, meant }) => self.problems.push(Problem {
                    message: format!("{place}: there is no setting {unknown}"),
                    help: Some(match meant {
                        Some(meant) => format!("did you mean {meant}?"),
                        None => "`l9-server config show` lists the settings there are".to_owned(),
                    }),
                }),
            }
        }
    }

    fn dot_env(&mut self, path: &Path) {
        if !path.is_file() {
            return;
        }
        let unreadable = |error: dotenvy::Error| {
            // A line that does not parse is not shown: it may hold a secret.
            let why = match error {
                dotenvy::Error::LineParse(_, at) => format!("a line does not parse at column {at}"),
                other => other.to_string(),
            };
            Problem::new(
                format!("{} cannot be read: {why}", path.display()),
                "write NAME=value lines; quote values with spaces",
            )
        };
        let variables: Result<Vec<(String, String)>, _> =
            dotenvy::from_path_iter(path).and_then(|variables| variables.collect());
        match variables {
            Err(error) => self.problems.push(unreadable(error)),
            Ok(variables) => {
                for (name, text) in variables {
                    let source = Source::DotEnv { path: path.to_owned(), name: name.clone() };
                    self.variable(&name, &text, source);
                }
            }
        }
    }

    fn variable(&mut self, name: &str, text: &str, source: Source) {
        if Environment::holds(name) {
            // Later layers win, as among settings.
            return self.secrets.push((name.to_owned(), text.to_owned()));
        }
        match absent::judge(name, text) {
            Some(Ok(warning)) => self.warnings.push(warning),
            Some(Err(problem)) => self.problems.push(problem),
            None => {}
        }
        self.warnings.extend(environment::look_alike(name, &absent::names()));
        match environment::setting(name, &self.known) {
            Err(problem) => self.problems.push(problem),
            // An empty variable is how shells and compose files spell "not set".
            Ok(Some(path)) if !text.trim().is_empty() => {
                if let Ok((_, Known::Leaf(leaf))) = self.known.find(&path, false) {
                    let value = environment::value(text, leaf);
                    self.values.insert(path, (value, source));
                }
            }
            Ok(_) => {}
        }
    }

    fn finish(mut self) -> Result<Loaded, Problems> {
        let mut tree = Value::Object(Map::new());
        for (path, (value, source)) in &self.values {
            let secret = matches!(self.known.find(path, false), Ok((_, Known::Leaf(leaf))) if leaf.secret);
            // Alone over the defaults, so that a value that does not fit is named.
            let mut alone = Value::Object(Map::new());
            put(&mut alone, path, value.clone());
            if let Err(error) = serde_json::from_value::<Config>(alone) {
                let why = if secret { "it must be a text in quotes".to_owned() } else { error.to_string() };
                self.problems.push(Problem::plain(format!("{} does not fit ({source}): {why}", path.join("."))));
            } else {
                put(&mut tree, path, value.clone());
            }
        }
        let config = serde_json::from_value::<Config>(tree).map_err(|error| Problem::plain(error.to_string()))?;
        self.problems.extend(absent::refuse(&config));
        self.problems.extend(config.faults());
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let settings = self.settings(&config);
        Ok(Loaded { config, settings, warnings: self.warnings, secrets: Environment::of(self.secrets) })
    }

    /// Every setting: those there are by default, and the operator's own table rows.
    fn settings(&self, config: &Config) -> Vec<Setting> {
        let effective = serde_json::to_value(config).unwrap_or_default();
        let mut paths: BTreeMap<Vec<String>, Leaf> =
            self.known.leaves().into_iter().map(|(path, leaf)| (path, leaf.clone())).collect();
        for path in self.values.keys() {
            if let Ok((_, Known::Leaf(leaf))) = self.known.find(path, false) {
                paths.insert(path.clone(), leaf.clone());
            }
        }
        let setting = |(path, leaf): (Vec<String>, Leaf)| {
            let set = self.values.get(&path);
            let shown = path.iter().try_fold(&effective, |value, key| value.get(key)).cloned().unwrap_or_default();
            let value = if leaf.secret && set.is_some() { Value::String(REDACTED.into()) } else { shown };
            let source = set.map_or(Source::Default, |(_, source)| source.clone());
            Setting { path: path.join("."), value, source, description: leaf.description }
        };
        paths.into_iter().map(setting).collect()
    }
}

/// A value of the file as the setting's type: YAML reads `1.0` or `yes` where a text was meant.
fn as_written(value: Value, leaf: &Leaf) -> Value {
    match value {
        Value::String(text) if leaf.number || leaf.flag => environment::value(&text, leaf),
        value => value,
    }
}

fn put(tree: &mut Value, path: &[String], value: Value) {
    match path {
        [] => *tree = value,
        [key, rest @ ..] => {
            if !tree.is_object() {
                *tree = Value::Object(Map::new());
            }
            if let Some(keys) = tree.as_object_mut() {
                put(keys.entry(key.clone()).or_insert(Value::Null), rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(
        yaml: &str,
        dot_env: &str,
        environment: &[(&str, &str)],
        flags: Vec<(&'static str, Value, &'static str)>,
    ) -> Result<Loaded, Problems> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, yaml).unwrap();
        let env_file = folder.path().join(".env");
        std::fs::write(&env_file, dot_env).unwrap();
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Loader { file: Some(file), dot_env: env_file, environment, flags }.load()
    }

    fn source_of(loaded: &Loaded, path: &str) -> Source {
        loaded.settings.iter().find(|setting| setting.path == path).unwrap().source.clone()
    }

    #[test]
    fn file_then_dot_env_then_environment_then_flags() {
        let yaml = "server:\n  port: 1\n  host: 127.0.0.1\nlog:\n  level: debug\n";
        let loaded = load(
            yaml,
            "L9__SERVER__PORT=2\nLOG_LEVEL=info\n",
            &[("L9__SERVER__PORT", "3")],
            vec![("storage.data_dir", json!("/x"), "--data-dir")],
        )
        .unwrap();
        assert_eq!(loaded.config.server.port, 3);
        assert_eq!(loaded.config.log.level.as_deref(), Some("info"));
        assert_eq!(loaded.config.storage.data_dir, PathBuf::from("/x"));
        assert!(matches!(source_of(&loaded, "server.host"), Source::File { line: 3, .. }));
        assert!(matches!(source_of(&loaded, "log.level"), Source::DotEnv { .. }));
        assert!(matches!(source_of(&loaded, "server.port"), Source::Environment { .. }));
        assert!(matches!(source_of(&loaded, "storage.data_dir"), Source::Flag { name: "--data-dir" }));
        assert_eq!(source_of(&loaded, "workers.node"), Source::Default);
    }

    #[test]
    fn every_mistake_is_reported_with_its_place_and_its_mend() {
        let yaml = "server:\n  prot: 1\nlog:\n  format: xml\nstorage: 5\n";
        let problems =
            load(yaml, "", &[("L9__LOG__LEVLE", "x"), ("L9__SERVER__PORT", "70000")], Vec::new()).unwrap_err();
        let text = format!("{problems:#?}");
        for expected in [
            "line 2: there is no setting server.prot",
            "did you mean server.port?",
            "log.format",
            "line 4",
            "storage is a section",
            "L9__LOG__LEVLE",
            "did you mean L9__LOG__LEVEL?",
            "70000",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let loaded = load("", "", &[("OPENAI_API_KEY", "sk-hunter2")], Vec::new()).unwrap();
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("hunter2"));
        assert!(shown.contains(REDACTED));
        let problems = load("models:\n  openai:\n    api_key: 4711\n", "", &[], Vec::new()).unwrap_err();
        assert!(!problems.to_string().contains("4711"), "{problems}");
        let problems = load("", "JWT_SECRET='open hunter2\n", &[], Vec::new()).unwrap_err();
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
    }

    #[test]
    fn names_with_dots_are_kept_whole_in_tables() {
        let loaded =
            load("models:\n  openai:\n    prices:\n      gpt-4.1: { input: 2000000 }\n", "", &[], Vec::new()).unwrap();
        assert_eq!(loaded.config.models.openai.prices["gpt-4.1"].input, 2_000_000);
    }

    /// The text with every commented setting made a real one.
    fn uncommented(text: &str) -> String {
        let is_setting = |rest: &str| {
            rest.split_once(':')
                .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-'))
        };
        let line = |line: &str| match line.trim_start().strip_prefix("# ") {
            Some(rest) if is_setting(rest) => line.replacen("# ", "", 1) + "\n",
            _ => line.to_owned() + "\n",
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn the_template_names_every_setting_with_its_default() {
        let template = include_str!("../../../config.yaml");
        assert_eq!(
            load(template, "", &[], Vec::new())
                .unwrap()
                .settings
                .iter()
                .filter(|s| s.source != Source::Default)
                .count(),
            0
        );
        let loaded = load(&uncommented(template), "", &[], Vec::new()).unwrap();
        let default = serde_json::to_value(Config::default()).unwrap();
        for setting in &loaded.settings {
            let by_default = setting.path.split('.').try_fold(&default, |value, key| value.get(key));
            match by_default {
                Some(Value::Null) | None => {}
                Some(value) => assert_eq!(&setting.value, value, "{}", setting.path),
            }
            if !["api_key", "jwt_secret", "witness_token", "redis.password"]
                .iter()
                .any(|secret| setting.path.ends_with(secret))
            {
                assert_ne!(setting.source, Source::Default, "{} is not in config.yaml", setting.path);
            }
        }
    }

    #[test]
    fn the_environment_template_holds_real_names() {
        let template = include_str!("../../../.env.example").replace("# ", "").replace("_API_KEY=", "_API_KEY=x");
        let template = template.replace("JWT_SECRET=", "JWT_SECRET=9f86d081884c7d659a2feaa0c55ad015");
        let template = template.replace("WITNESS_TOKEN=", "WITNESS_TOKEN=x").replace("_PASSWORD=", "_PASSWORD=x");
        let lines: Vec<&str> = template
            .lines()
            .filter(|line| {
                line.split_once('=').is_some_and(|(name, _)| {
                    name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
                })
            })
            .collect();
        let loaded = load("", &lines.join("\n"), &[], Vec::new()).unwrap();
        let set = loaded.settings.iter().filter(|setting| setting.source != Source::Default).count();
        assert_eq!(set, lines.len(), "{lines:?}");
        assert!(loaded.warnings.is_empty());
    }
}
