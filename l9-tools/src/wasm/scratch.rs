//! What one call keeps beside its memory: `l9:tool/kv`.
//!
//! It is made with the call and gone with it. If it outlived the call, a tool could carry
//! what one call was given into the output of another, past the labels of both.

use std::collections::BTreeMap;

use l9_core::tool::KvGrant;

use crate::error::Grouped;

/// Keys and values, within the bounds of a grant.
#[derive(Debug)]
pub(super) struct Scratch {
    grant: KvGrant,
    values: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Scratch {
    pub(super) fn new(grant: &KvGrant) -> Self {
        Self { grant: grant.clone(), values: BTreeMap::new(), bytes: 0 }
    }

    /// Bytes that may be kept.
    pub(super) fn room(&self) -> u64 {
        self.grant.max_bytes
    }

    pub(super) fn get(&self, key: &str) -> Option<&Vec<u8>> {
        self.values.get(key)
    }

    /// Keeps a value, or says which bound is met.
    pub(super) fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), String> {
        let KvGrant { max_bytes, max_keys } = self.grant;
        let size = |key: &str, value: &[u8]| (key.len() + value.len()) as u64;
        let before = self.values.get(&key).map(|old| size(&key, old));
        let bytes = self.bytes - before.unwrap_or(0) + size(&key, &value);
        if bytes > max_bytes {
            let (bytes, most) = (Grouped(bytes), Grouped(max_bytes));
            return Err(format!("{bytes} bytes would be kept, over kv.max_bytes {most}: delete a key first"));
        }
        if before.is_none() && self.values.len() as u64 >= u64::from(max_keys) {
            let most = Grouped(max_keys.into());
            return Err(format!("{most} keys are kept, which is kv.max_keys: delete a key first"));
        }
        self.bytes = bytes;
        self.values.insert(key, value);
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &str) -> bool {
        let Some(value) = self.values.remove(key) else { return false };
        self.bytes -= (key.len() + value.len()) as u64;
        true
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_keys_are_bounded_and_a_value_in_place_of_another_counts_once() {
        let mut scratch = Scratch::new(&KvGrant { max_bytes: 10, max_keys: 2 });
        scratch.set("a".into(), vec![0; 9]).unwrap();
        scratch.set("a".into(), vec![1; 4]).unwrap();
        let error = scratch.set("b".into(), vec![0; 5]).unwrap_err();
        assert!(error.contains("11 bytes would be kept, over kv.max_bytes 10"), "{error}");
        scratch.set("b".into(), vec![0; 4]).unwrap();
        assert!(scratch.set("c".into(), vec![]).unwrap_err().contains("over kv.max_bytes"));
        assert!(scratch.delete("a") && !scratch.delete("a"));
        scratch.set("c".into(), vec![]).unwrap();
        let error = scratch.set("d".into(), vec![]).unwrap_err();
        assert!(error.contains("2 keys are kept, which is kv.max_keys"), "{error}");
        let keys: Vec<&str> = scratch.keys().map(String::as_str).collect();
        assert_eq!((keys, scratch.get("b")), (vec!["b", "c"], Some(&vec![0; 4])));
    }
}
