//! A sentence-transformers model of the BERT family from its folder: `config.json`,
//! `tokenizer.json`, `model.safetensors`, and what says how tokens become a sentence. It
//! runs in this process, on the processor, and reaches nobody. Why it is no general runtime
//! of graphs: decision 34 in `docs/adr`.

mod bert;
mod folder;
mod weights;
mod wordpiece;

pub use folder::Local;
