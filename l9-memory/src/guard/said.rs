//! An entry as it was said, kept beside the words that are shown: sealed, erased and rotated
//! with the entry itself, and in no answer but to who may see it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use l9_core::id::TenantId;
use l9_core::memory::NewEntry;
use l9_core::redact::tokens::Tokens;
use l9_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::orders::{SCAN, orders};
use crate::entry::SAID;

/// What was written another way.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Said {
    /// By the place of a text in the entry, as a JSON pointer: where its tokens stand, in their
    /// order, and for what.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    personal: BTreeMap<String, Vec<Original>>,
    /// Whether the scan for orders set its label.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    labelled: bool,
}

/// A token's place in bytes, its length, and what it stands for.
type Original = (usize, usize, String);

impl Said {
    /// What an entry carries, taken out of it.
    pub(super) fn take(entry: &mut NewEntry) -> Result<Self> {
        let Some(said) = entry.metadata.remove(SAID) else { return Ok(Self::default()) };
        serde_json::from_value(said).map_err(|error| {
            Error::corrupt("what a memory keeps of its words cannot be read: restore the database from a backup")
                .caused_by(error)
        })
    }

    /// Puts it into the entry, if there is anything.
    pub(super) fn put(self, entry: &mut NewEntry) -> Result<()> {
        if self != Self::default() {
            let said = serde_json::to_value(self)
                .map_err(|error| Error::internal("what was said has no JSON form").caused_by(error))?;
            entry.metadata.insert(SAID.to_owned(), said);
        }
        Ok(())
    }

    /// Puts tokens in the place of personal data, and notes the data.
    pub(super) fn stand_in(&mut self, tokens: &Tokens, tenant: &TenantId, entry: &mut NewEntry) {
        texts(entry, &mut |place, text| {
            let mut originals: Vec<Original> = Vec::new();
            let Cow::Owned(shown) = tokens.stand_in(tenant, text, |at, token, original| {
                originals.push((at, token.len(), original.to_owned()));
            }) else {
                return;
            };
            *text = shown;
            self.personal.insert(place.to_owned(), originals);
        });
    }

    /// Labels an entry whose words look like orders to a model.
    pub(super) fn label(&mut self, entry: &mut NewEntry) {
        self.labelled = orders(&entry.text).is_some() && entry.label.untrusted.insert(SCAN.to_owned());
    }

    /// The entry as it was given.
    pub(super) fn give_back(mut self, entry: &mut NewEntry) {
        if self.labelled {
            entry.label.untrusted.remove(SCAN);
        }
        texts(entry, &mut |place, text| {
            for (at, length, original) in self.personal.remove(place).unwrap_or_default().into_iter().rev() {
                let end = at.saturating_add(length);
                if text.get(at..end).is_some() {
                    text.replace_range(at..end, &original);
                }
            }
        });
    }
}

/// Visits every text of an entry that may say something of a person: its words, the things
/// of its relation, and the texts of its metadata. Names to find it by stay as they are.
fn texts(entry: &mut NewEntry, visit: &mut dyn FnMut(&str, &mut String)) {
    visit("/text", &mut entry.text);
    if let Some(relation) = &mut entry.relation {
        visit("/relation/subject", &mut relation.subject);
        visit("/relation/object", &mut relation.object);
    }
    let mut place = String::from("/metadata");
    for (name, value) in entry.metadata.iter_mut() {
        within(name, value, &mut place, visit);
    }
}

fn within(name: &str, value: &mut Value, place: &mut String, visit: &mut dyn FnMut(&str, &mut String)) {
    let length = place.len();
    place.push('/');
    place.push_str(&name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::String(text) => visit(place, text),
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(at, item)| within(&at.to_string(), item, place, visit));
        }
        Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| within(name, field, place, visit)),
        _ => {}
    }
    place.truncate(length);
}
