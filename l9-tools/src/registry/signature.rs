//! Signatures over contracts. A signature stands beside its manifest as a signed note
//! (<https://c2sp.org/signed-note>) over what was signed, so that a manifest may be written
//! in other words that mean the same and nothing in it says who vouches for it.
//!
//! ```text
//! l9.tool/1
//! namespace/name
//! 1.2.3
//! hex(contract)
//!
//! — name base64(key hash ‖ Ed25519 signature)
//! ```

use std::collections::BTreeMap;

use l9_core::evidence::{SigningKey, VerifyingKey};
use l9_core::tool::{ContractHash, Manifest};
use l9_core::{Error, Result};

/// What every signed text begins with, so that no other note passes for one.
const DOMAIN: &str = "l9.tool/1";

/// The keys whose signatures count, by the names that the operator gave them.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(BTreeMap<String, VerifyingKey>);

/// Signs the contract of a manifest.
///
/// # Errors
/// `Internal` when the manifest has no canonical form.
pub fn sign(manifest: &Manifest, key: &SigningKey) -> Result<String> {
    Ok(key.sign(&text(manifest, manifest.contract_hash()?)))
}

fn text(manifest: &Manifest, contract: ContractHash) -> String {
    format!("{DOMAIN}\n{}\n{}\n{contract}\n", manifest.id, manifest.version)
}

impl TrustedKeys {
    /// Reads keys as `name+hash+key`, each under the name it goes by here.
    ///
    /// # Errors
    /// `Invalid`, naming the entry, for a text that is no key.
    pub fn parse(keys: &BTreeMap<String, String>) -> Result<Self> {
        let parse = |(name, key): (&String, &String)| match key.parse() {
            Ok(key) => Ok((name.clone(), key)),
            Err(error) => {
                let mend = "`tools sign` prints the line for its key";
                Err(Error::invalid(format!("tools.trusted_keys.{name}: {error}; {mend}")))
            }
        };
        keys.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether a key of that name is trusted.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The name of the trusted key that signed exactly this manifest.
    ///
    /// # Errors
    /// `Invalid` for what is no signature, for one of no trusted key, one that does not
    /// verify, and one over another contract; the message has the mend.
    pub fn signer(&self, manifest: &Manifest, note: &str) -> Result<&str> {
        let signers = signers(note)?;
        let refused = |why: String| Err(Error::invalid(format!("signature: {why}")));
        for (name, key) in &self.0 {
            let Ok(signed) = key.open(note) else { continue };
            let contract = manifest.contract_hash()?;
            if signed == text(manifest, contract) {
                return Ok(name);
            }
            let what: Vec<&str> = signed.lines().skip(1).collect();
            return refused(format!(
                "{name} signed {}, and this is {} {} {contract}: sign it again with `tools sign`",
                what.join(" "),
                manifest.id,
                manifest.version
            ));
        }
        match self.0.iter().find(|(_, key)| signers.contains(&key.name())) {
            Some((name, key)) => refused(format!(
                "it does not verify under tools.trusted_keys.{name}, although it says {}: it was changed or made with \
                 another key, sign it again with `tools sign`",
                key.name()
            )),
            None => refused(format!(
                "it is of {}, which tools.trusted_keys does not list: list the key, or sign with one that is listed",
                signers.join(" and ")
            )),
        }
    }
}

/// Who says to have signed.
fn signers(note: &str) -> Result<Vec<&str>> {
    let malformed = || Error::invalid("signature: it is no signed note: make one with `tools sign`");
    let (_, signatures) = note.rsplit_once("\n\n").ok_or_else(malformed)?;
    signatures
        .lines()
        .map(|line| line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).map(|(name, _)| name))
        .collect::<Option<Vec<_>>>()
        .filter(|names| !names.is_empty() && names.iter().all(|name| name.chars().all(crate::log::is_plain)))
        .ok_or_else(malformed)
}
