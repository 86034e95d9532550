#!/bin/sh
# Builds the tool: out/greet.wasm, and out/greet.json, its manifest with the size and the hash of it.
# Wants componentize-py.
set -eu
cd "$(dirname "$0")"
mkdir -p out
componentize-py -d wit -w greet componentize --stub-wasi greet -o out/greet.wasm
sed -e "s/\"SHA256\"/\"$(sha256sum out/greet.wasm | cut -d ' ' -f 1)\"/" \
    -e "s/\"size\": 0/\"size\": $(wc -c <out/greet.wasm)/" manifest.json >out/greet.json
