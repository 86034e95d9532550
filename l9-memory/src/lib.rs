//! L9 memory: what is kept: journal and memory backends, retrieval, ingestion, vault.
