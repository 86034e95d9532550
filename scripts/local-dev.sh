#!/usr/bin/env bash
# Serves L9 from this checkout for development: debug build, verbose logs, state in .l9/dev,
# built and started again whenever a source file changes. Ctrl-C stops it.
#
#   scripts/local-dev.sh [ARGUMENTS OF l9-server serve…]
set -euo pipefail

cd "$(dirname "$0")/.."
export L9_DATA_DIR="${L9_DATA_DIR:-.l9/dev}" LOG_LEVEL="${LOG_LEVEL:-info,l9_core=debug}"

server=""
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=""
    fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Whatever would change the binary, with its time of change.
state() { find Cargo.toml Cargo.lock src l9-*/src l9-*/Cargo.toml l9-tools/guests/dist -type f -printf '%p %T@\n' | sort | cksum; }

while true; do
    built="$(state)"
    if cargo build -p l9-server; then
        stop
        "${CARGO_TARGET_DIR:-target}/debug/l9-server" serve "$@" &
        server=$!
    fi
    while [ "$(state)" = "$built" ]; do sleep 1; done
    echo "sources changed: building again" >&2
done
