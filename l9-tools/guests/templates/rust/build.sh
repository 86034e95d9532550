#!/bin/sh
# Builds the tool: out/greet.wasm, and out/greet.json, its manifest with the size and the hash of it.
# Wants the target wasm32-unknown-unknown of rustup, and wasm-tools.
set -eu
cd "$(dirname "$0")"
mkdir -p out
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"
export CARGO_TARGET_DIR
cargo build --release --target wasm32-unknown-unknown
wasm-tools component new "$CARGO_TARGET_DIR/wasm32-unknown-unknown/release/my_tool.wasm" -o out/greet.wasm
sed -e "s/\"SHA256\"/\"$(sha256sum out/greet.wasm | cut -d ' ' -f 1)\"/" \
    -e "s/\"size\": 0/\"size\": $(wc -c <out/greet.wasm)/" manifest.json >out/greet.json
