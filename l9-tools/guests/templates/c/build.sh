#!/bin/sh
# Builds the tool: out/greet.wasm, and out/greet.json, its manifest with the size and the hash of it.
# Wants ziglang and wasm-tools. `wit-bindgen c wit --world full` writes bindings/ anew.
set -eu
cd "$(dirname "$0")"
mkdir -p out
python3 -m ziglang cc --target=wasm32-wasi -mexec-model=reactor -Oz -Wall -Wextra -s \
    -Ibindings greet.c bindings/full.c bindings/full_component_type.o -o out/core.wasm
wasm-tools component new out/core.wasm -o out/greet.wasm
rm out/core.wasm
sed -e "s/\"SHA256\"/\"$(sha256sum out/greet.wasm | cut -d ' ' -f 1)\"/" \
    -e "s/\"size\": 0/\"size\": $(wc -c <out/greet.wasm)/" manifest.json >out/greet.json
