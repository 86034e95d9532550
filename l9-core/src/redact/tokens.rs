//! Tokens that stand in for personal data: equal for equal data of one tenant, so that what
//! is said of one person still belongs together, and meaningless without the tenant's key.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::personal::{self, Kind};
use crate::id::TenantId;
use crate::vault::Vault;

/// How many bytes of a keyed digest stand in a token: of sixteen million data of one kind, two
/// have the same by chance.
const BYTES: usize = 6;

/// The longest token, in bytes.
const LONGEST: usize = "[email:]".len() + 2 * BYTES;

/// Makes tokens under the keys of tenants.
#[derive(Clone)]
pub struct Tokens {
    vault: Arc<dyn Vault>,
}

/// What tokens stand for.
pub(crate) type Originals = HashMap<String, String>;

impl Tokens {
    /// Under the keys of a vault.
    #[must_use]
    pub fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault }
    }

    /// The token of some data, such as `[email:3f9c2a71b04d]`.
    #[must_use]
    fn token(&self, tenant: &TenantId, kind: Kind, written: &str) -> String {
        let digest = self.vault.token(tenant, &format!("personal.{kind}"), kind.normal(written).as_bytes());
        shape(kind, &hex::encode(&digest.as_bytes()[..BYTES]))
    }

    /// The text with a token in the place of every piece of personal data, each of which
    /// `noted` is told with its place in the new text; borrowed if there is none.
    pub fn stand_in<'a>(
        &self,
        tenant: &TenantId,
        text: &'a str,
        mut noted: impl FnMut(usize, &str, &str),
    ) -> Cow<'a, str> {
        personal::replace(text, |at, kind, written| {
            let token = self.token(tenant, kind, written);
            noted(at, &token, written);
            token
        })
    }
}

/// The text with what is as long as tokens in their places: what a text will be, before it is
/// known whose it is.
pub(crate) fn placeholders(text: &str) -> Cow<'_, str> {
    personal::replace(text, |_, kind, _| shape(kind, &"0".repeat(2 * BYTES)))
}

fn shape(kind: Kind, digits: &str) -> String {
    format!("[{kind}:{digits}]")
}

/// The text with every token that is known put back.
#[must_use]
pub(crate) fn put_back<'a>(text: &'a str, originals: &Originals) -> Cow<'a, str> {
    if originals.is_empty() || !text.contains('[') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(open) = rest.find('[') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let near = &rest[..rest.floor_char_boundary(LONGEST)];
        let known = near.find(']').and_then(|close| originals.get_key_value(&near[..=close]));
        let (token, original) = known.map_or(("[", "["), |(token, original)| (token, original));
        out.push_str(original);
        rest = &rest[token.len()..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}
