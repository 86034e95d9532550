//! L9 tools: what reaches outside: manifests, registry, wasm sandbox, egress, model clients, built-in tools.
