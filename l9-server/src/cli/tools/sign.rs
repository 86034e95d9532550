//! `tools sign`: a signature over a manifest's contract.

use l9::evidence::SigningKey;
use l9::registry::{self, signature_path};
use l9::tools::{open_key, open_or_create_key};
use serde_json::json;

use super::arguments::ToolsSign;
use crate::cli::failure::{Exit, Failure};
use crate::terminal::Screen;

/// Signs a manifest, and says which key verifies it.
pub(super) fn sign(screen: Screen, asked: &ToolsSign) -> Result<Exit, Failure> {
    let manifest = registry::read(&asked.manifest)?.manifest;
    registry::check(&manifest).map_err(|error| registry::in_file(&asked.manifest, &error))?;
    let secret = if asked.create { Some(open_or_create_key(&asked.key, None)?) } else { open_key(&asked.key)? };
    let secret = secret.ok_or_else(|| {
        Failure::usage(format!("there is no key {}", asked.key.display()))
            .with_help("name the file of your key, or make one with --create")
    })?;
    let key = SigningKey::unnamed(&secret)?;
    let note = registry::sign(&manifest, &key)?;
    let output = asked.output.clone().unwrap_or_else(|| signature_path(&asked.manifest));
    std::fs::write(&output, note)
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", output.display())))?;
    let (contract, key) = (manifest.contract_hash()?, key.public().to_string());
    if screen.is_json() {
        screen.object(&json!({
            "id": manifest.id,
            "version": manifest.version.to_string(),
            "contract_hash": contract,
            "key": key,
            "signature": output,
        }));
    } else {
        screen.line(&format!("{} {} is signed: {}", manifest.id, manifest.version, output.display()));
        screen.line(&format!("contract {contract}"));
        screen.line(&format!("tools.trusted_keys takes this key under a name of yours: {key}"));
    }
    Ok(Exit::Done)
}
