//! The secrets of a system, gathered once when it is built: those that manifests may name,
//! and all that is masked.

use std::sync::Arc;

use l9_core::Result;
use l9_core::redact::KnownSecrets;
use l9_core::vault::Vault;
use l9_tools::secrets::{Folder, Grant, Provider, Sealed, Secrets};
use secrecy::SecretString;

use crate::servers::Servers;
use crate::settings::{Settings, Storage};
use crate::short_term::ShortTerm;

/// Reads the secrets that are granted, and has everything masked that is one.
pub(crate) fn gather(
    settings: &Settings,
    providers: &[Arc<dyn Provider>],
    others: &[SecretString],
    vault: &Arc<dyn Vault>,
    known: &KnownSecrets,
) -> Result<Secrets> {
    let mut secrets = Secrets::default();
    let folder = Folder::at(settings.secrets_folder());
    let sealed = Sealed::at(settings.sealed_secrets_path(), Arc::clone(vault));
    let mut all: Vec<&dyn Provider> = providers.iter().map(AsRef::as_ref).collect();
    all.push(&folder);
    // Without a root key of its own a system in memory can open nothing.
    if settings.storage != Storage::InMemory {
        all.push(&sealed);
    }
    let mut grants = settings.secret_grants.clone();
    for handle in Servers::handles(settings) {
        grants.entry(handle.to_owned()).or_insert_with(Grant::nobody);
    }
    secrets.load(&grants, &all)?;
    for (handle, value) in &settings.tool_secrets {
        secrets.add(handle, Grant::anywhere(), value.clone());
    }
    known.learn(secrets.iter());
    let keys = [("OPENAI_API_KEY", &settings.openai_api_key), ("ANTHROPIC_API_KEY", &settings.anthropic_api_key)];
    known.learn(keys.into_iter().filter_map(|(name, key)| Some((name, key.as_ref()?))));
    known.learn(settings.database_passwords().iter().map(|password| ("", password)));
    known.learn(ShortTerm::passwords(settings).iter().map(|password| ("REDIS_PASSWORD", password)));
    known.learn(others.iter().map(|secret| ("", secret)));
    Ok(secrets)
}
