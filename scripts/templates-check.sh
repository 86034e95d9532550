#!/usr/bin/env bash
# Follows docs/memory-and-tools.md from the template of each language to a tool that runs, and
# holds the four tools to the same behaviour.
#
#   scripts/templates-check.sh [L9_SERVER]    with that binary, or the release build's
#
# The languages' tools are installed into the cache folder that the document names, outside of
# the checkout. Wants rustup, Python 3 with venv, and Node 18 or later with npm.
set -euo pipefail

cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then export L9_SERVER_BIN="$1"; fi
exec cargo test --locked --test templates -- --ignored --nocapture
