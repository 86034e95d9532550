//! The configuration as the runtime's settings.

use std::path::PathBuf;

use serde_json::Value;

use super::problem::Problem;
use super::sections::{Config, Provider};

impl Config {
    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        let chosen = self.storage.database_url.as_deref().and_then(|url| url.strip_prefix("sqlite:"));
        // `sqlite:path`, `sqlite://path` and `sqlite:///absolute/path` all occur.
        let chosen = chosen.map(|path| path.strip_prefix("//").unwrap_or(path));
        let chosen = chosen.map(|path| path.split_once('?').map_or(path, |(path, _)| path));
        chosen.filter(|path| !path.is_empty()).map_or_else(|| self.storage.data_dir.join("l9.db"), PathBuf::from)
    }

    /// The folder of manifests, if one is named or there.
    fn tools(&self) -> Option<PathBuf> {
        let usual = self.storage.data_dir.join("tools");
        self.tools.dir.clone().or_else(|| usual.is_dir().then_some(usual))
    }

    /// What does not fit although its type does.
    pub(super) fn faults(&self) -> Vec<Problem> {
        let workers = &self.workers;
        let mut faults = Vec::new();
        let mut within = |path: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                faults.push(Problem::plain(format!("{path} is {value}: use {least} to {most}")));
            }
        };
        within("workers.count", workers.count as u64, 1, 100_000);
        within("workers.queue_capacity", workers.queue_capacity as u64, 1, 100_000_000);
        within("workers.lease_ms", workers.lease_ms, 5_000, 600_000);
        within("workers.drain_ms", workers.drain_ms, 0, 3_600_000);
        within("effects.attempts", self.effects.attempts.into(), 1, 100);
        within("effects.backoff_ms", self.effects.backoff_ms, 1, 3_600_000);
        if !(1..=64).contains(&workers.node.len()) || !workers.node.bytes().all(|b| b.is_ascii_graphic()) {
            let shown = &workers.node;
            faults.push(Problem::plain(format!("workers.node is {shown:?}: use 1 to 64 printable ASCII characters")));
        }
        for (name, provider) in [("openai", &self.models.openai), ("anthropic", &self.models.anthropic)] {
            let Some(url) = &provider.base_url else { continue };
            if !["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
                let message = format!("models.{name}.base_url is no web address");
                faults.push(Problem::new(message, "use an address such as https://example.org/v1"));
            }
        }
        if let Err(error) = self.server.http.validate() {
            faults.push(Problem::plain(error.to_string()));
        }
        faults
    }

    /// What the runtime is built with.
    ///
    /// # Errors
    /// When a price does not fit the price table.
    pub(crate) fn settings(&self) -> Result<l9::Settings, Problem> {
        let mut settings = l9::Settings {
            data_dir: self.storage.data_dir.clone(),
            database: Some(self.database()),
            tools_dir: self.tools(),
            node: self.workers.node.clone(),
            lease_ms: self.workers.lease_ms,
            seed: self.workers.seed,
            unknown: self.effects.unknown,
            attempts: self.effects.attempts,
            backoff_ms: self.effects.backoff_ms,
            openai_api_key: self.models.openai.api_key.clone(),
            anthropic_api_key: self.models.anthropic.api_key.clone(),
            ..l9::Settings::default()
        };
        settings.worker.concurrency = self.workers.count;
        settings.worker.drain_ms = self.workers.drain_ms;
        settings.queue.capacity = self.workers.queue_capacity;
        let openai = &mut settings.openai;
        self.models.openai.apply(&mut openai.base_url, &mut openai.default_model, &mut openai.prices)?;
        let anthropic = &mut settings.anthropic;
        self.models.anthropic.apply(&mut anthropic.base_url, &mut anthropic.default_model, &mut anthropic.prices)?;
        Ok(settings)
    }
}

impl Provider {
    fn apply(&self, base_url: &mut String, model: &mut String, prices: &mut l9::models::Prices) -> Result<(), Problem> {
        if let Some(chosen) = &self.base_url {
            base_url.clone_from(chosen);
        }
        if let Some(chosen) = &self.model {
            model.clone_from(chosen);
        }
        if self.prices.is_empty() {
            return Ok(());
        }
        let wrong = |error: serde_json::Error| Problem::plain(format!("models: the price table does not fit: {error}"));
        let mut table = serde_json::to_value(&*prices).map_err(wrong)?;
        for (name, price) in &self.prices {
            table[name] = serde_json::to_value(price).map_err(wrong)?;
        }
        *prices = serde_json::from_value::<l9::models::Prices>(Value::take(&mut table)).map_err(wrong)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_database_is_where_the_url_says_or_in_the_data_folder() {
        let mut config = Config::default();
        assert_eq!(config.database(), Path::new(".l9/l9.db"));
        for (url, path) in
            [("sqlite:x.db", "x.db"), ("sqlite:///x/y.db", "/x/y.db"), ("sqlite://x.db?mode=rwc", "x.db")]
        {
            config.storage.database_url = Some(url.into());
            assert_eq!(config.database(), Path::new(path));
        }
    }

    #[test]
    fn figures_out_of_range_are_named() {
        assert!(Config::default().faults().is_empty());
        let mut config = Config::default();
        config.workers.count = 0;
        config.workers.node = "two words".into();
        config.models.openai.base_url = Some("example.org".into());
        let faults = format!("{:?}", config.faults());
        assert!(faults.contains("workers.count is 0") && faults.contains("workers.node"), "{faults}");
        assert!(faults.contains("models.openai.base_url"), "{faults}");
    }

    #[test]
    fn own_prices_stand_beside_the_list_prices() {
        let mut config = Config::default();
        let price = super::super::sections::Price { input: 7, ..Default::default() };
        config.models.openai.prices.insert("mine".into(), price);
        let settings = config.settings().unwrap();
        assert_eq!(settings.openai.prices.of("mine").input, 7);
        assert_eq!(
            settings.openai.prices.of(&settings.openai.default_model),
            l9::Settings::default().openai.prices.of(&settings.openai.default_model)
        );
    }
}
