//! The databases that the tool `sql/query` reads.

use l9::sql::{Databases, Settings};

use super::problem::Problem;
use super::sections::{ReadDatabase, Tools};

impl Tools {
    /// The databases that have an address, by their names.
    pub(super) fn databases(&self) -> Databases {
        let read = self.databases.iter().filter_map(|(name, ReadDatabase { url, timeout_ms })| {
            let url = url.as_ref()?.whole();
            Some((name.clone(), Settings { url, timeout_ms: timeout_ms.unwrap_or_else(Settings::usual_timeout) }))
        });
        read.collect()
    }

    /// What of them does not fit although its type does.
    pub(super) fn database_faults(&self) -> Vec<Problem> {
        let mut faults = Vec::new();
        for (name, database) in &self.databases {
            let Some(url) = &database.url else {
                let mend = format!("add tools.databases.{name}.url, or remove it");
                faults.push(Problem::new(format!("tools.databases.{name} has no address"), mend));
                continue;
            };
            if url.names().is_none() || url.is_in_memory() {
                // Never the whole address: it may hold a password.
                faults.push(Problem::new(
                    format!("tools.databases.{name}.url names no database there is"),
                    "use sqlite:PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
                ));
            }
        }
        let checked = self.databases().into_iter().filter_map(|(name, settings)| settings.check(&name).err());
        faults.extend(checked.map(|error| Problem::plain(error.message().to_owned())));
        faults
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::loader::Loader;
    use super::*;

    fn tools(name: &str, url: Option<&str>, timeout_ms: Option<u64>) -> Tools {
        let mut tools = Tools::default();
        tools.databases.insert(name.to_owned(), ReadDatabase { url: url.map(Into::into), timeout_ms });
        tools
    }

    #[test]
    fn the_file_says_how_long_and_the_environment_where() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "tools: { databases: { sales: { timeout_ms: 500 } } }").unwrap();
        let url = "postgresql://me:hunter2@db/sales";
        let environment = vec![("L9__TOOLS__DATABASES__SALES__URL".to_owned(), url.to_owned())];
        let loader = Loader { file: Some(file), dot_env: folder.path().join(".env"), environment, flags: Vec::new() };
        let databases = loader.load().unwrap().config.tools.databases();
        assert_eq!(databases["sales"].url.expose_secret(), url);
        assert_eq!((databases.len(), databases["sales"].timeout_ms), (1, 500));
    }

    #[test]
    fn a_query_has_the_usual_time_unless_it_is_said() {
        let databases = tools("sales", Some("sqlite:sales.db"), None).databases();
        assert_eq!(databases["sales"].timeout_ms, Settings::usual_timeout());
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_address() {
        assert!(tools("sales", Some("sqlite:sales.db"), Some(500)).database_faults().is_empty());
        for (name, url, timeout_ms, why) in [
            ("sales", None, None, "tools.databases.sales has no address"),
            ("sales", Some("mysql://me:hunter2@db/x"), None, "tools.databases.sales.url names no database"),
            ("sales", Some("sqlite::memory:"), None, "tools.databases.sales.url names no database"),
            ("our sales", Some("sqlite:x.db"), None, "tools.databases.our sales is no name"),
            ("sales", Some("sqlite:x.db"), Some(7), "tools.databases.sales.timeout_ms is 7: use 100 to 50000"),
        ] {
            let faults = format!("{:?}", tools(name, url, timeout_ms).database_faults());
            assert!(faults.contains(why) && !faults.contains("hunter2"), "{faults}");
        }
    }
}
