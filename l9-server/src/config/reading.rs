//! The databases that the tool `sql/query` reads.

use std::collections::BTreeMap;

use l9::sql::{Databases, Settings};

use super::problem::Problem;
use super::sections::{ReadDatabase, Tools};

impl Tools {
    /// The databases that have an address, by their names. A variable of the environment
    /// names one in capitals, so a name's case does not matter.
    pub(super) fn databases(&self) -> Databases {
        let read = self.named().into_iter().filter_map(|(name, database)| {
            let url = database.url.as_ref()?.whole();
            let timeout_ms = database.timeout_ms.unwrap_or_else(Settings::usual_timeout);
            Some((name, Settings { url, timeout_ms }))
        });
        read.collect()
    }

    /// What is said of each database, whichever way its name is written.
    fn named(&self) -> BTreeMap<String, ReadDatabase> {
        let mut named: BTreeMap<String, ReadDatabase> = BTreeMap::new();
        for (name, ReadDatabase { url, timeout_ms }) in &self.databases {
            let database = named.entry(name.to_ascii_lowercase()).or_default();
            database.url = database.url.take().or_else(|| url.clone());
            database.timeout_ms = database.timeout_ms.or(*timeout_ms);
        }
        named
    }

    /// What of them does not fit although its type does.
    pub(super) fn database_faults(&self) -> Vec<Problem> {
        let mut faults = Vec::new();
        for (name, database) in self.named() {
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

    use super::*;

    fn tools(name: &str, url: Option<&str>, timeout_ms: Option<u64>) -> Tools {
        let mut tools = Tools::default();
        tools.databases.insert(name.to_owned(), ReadDatabase { url: url.map(Into::into), timeout_ms });
        tools
    }

    #[test]
    fn an_address_becomes_a_database_under_a_name_in_lowercase() {
        let databases = tools("SALES", Some("postgresql://me:hunter2@db/sales"), None).databases();
        assert_eq!(databases["sales"].url.expose_secret(), "postgresql://me:hunter2@db/sales");
        assert_eq!(databases["sales"].timeout_ms, Settings::usual_timeout());
        // The file says how long, the environment where.
        let mut both = tools("SALES", Some("sqlite:sales.db"), None);
        both.databases.extend(tools("sales", None, Some(500)).databases);
        assert!(both.database_faults().is_empty());
        assert_eq!(both.databases()["sales"].timeout_ms, 500);
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
