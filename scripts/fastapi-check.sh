#!/usr/bin/env bash
# Imports the description of a service that knows nothing of L9, calls one of its operations
# with a secret, and looks for the secret where it must not be.
#
#   scripts/fastapi-check.sh L9_SERVER     the binary to check
#
# FastAPI is installed into a virtual environment under the cache folder when it is missing
# (FASTAPI_CHECK_VENV overrides where); the service runs on a free port of the loopback and
# is stopped in any case.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
l9=$(realpath "$1")
venv="${FASTAPI_CHECK_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/l9/fastapi}"
scratch=$(mktemp -d)
service=""

clean_up() {
    if [ -n "$service" ]; then
        kill "$service" 2>/dev/null || true
        wait "$service" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "check: FAILED $1" >&2; exit 1; }

if [ ! -x "$venv/bin/uvicorn" ]; then
    echo "installing FastAPI into $venv" >&2
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet fastapi uvicorn
fi

key="k3y-$("$venv/bin/python" -c 'import secrets; print(secrets.token_urlsafe(24))')"
port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url="http://127.0.0.1:$port"
(cd "$root/tests/fastapi" && SERVICE_KEY="$key" PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/uvicorn" service:app --host 127.0.0.1 --port "$port") \
    >"$scratch/service.log" 2>&1 &
service=$!
ready=false
for _ in $(seq 240); do
    if curl --silent --fail --max-time 2 --noproxy '*' "$url/openapi.json" >"$scratch/openapi.json" 2>/dev/null; then
        ready=true
        break
    fi
    kill -0 "$service" 2>/dev/null || break
    sleep 0.5
done
if ! $ready; then
    tail -n 40 "$scratch/service.log" >&2
    fail "the service did not start"
fi

cd "$scratch"
mkdir data
"$l9" --data-dir data tools import openapi openapi.json --output data/tools --server "$url" --json >import.json
grep -q '"notes/put-note"' import.json || fail "the operation is not imported: $(cat import.json)"
# The service is on this machine, which an operator has to say.
sed -i 's/"allow_private": false/"allow_private": true/' data/tools/*.json
handle=$(sed -n 's/.*"handle": *"\([^"]*\)".*/\1/p' data/tools/notes-put-note.json | head -n 1)
printf 'tools:\n  secrets:\n    %s: { hosts: [127.0.0.1], tools: [notes/put-note, notes/list-notes] }\n' "$handle" >config.yaml
printf '%s' "$key" | "$l9" --data-dir data secrets set "$handle" >set.out 2>&1

arguments='{"book": "shelf one", "number": 7, "pinned": true, "body": {"text": "hello", "author": {"name": "Ada"}}}'
LOG_LEVEL=trace LOG_FORMAT=json "$l9" --data-dir data tools call notes/put-note "$arguments" --json >call.out 2>call.log ||
    fail "the call: $(cat call.out call.log | tail -c 2000)"
grep -q '"book":"shelf one"' call.out || fail "what came back: $(cat call.out)"
grep -q "redacted: $handle" call.out || fail "the key that the service told is not masked: $(cat call.out)"
run=$(sed -n 's/.*"run_id":"\([^"]*\)".*/\1/p' call.out | head -n 1)
"$l9" --data-dir data runs events "$run" --json >events.out
[ -s call.log ] || fail "nothing was logged"
grep -q 'put-note' events.out || fail "the journal does not have the call"
if grep -rqF -- "$key" call.out call.log events.out set.out import.json data; then
    fail "the secret stands in $(grep -rlF -- "$key" call.out call.log events.out set.out import.json data | tr '\n' ' ')"
fi
# Whoever looks for it finds it where it is.
printf '%s' "$key" >seen && grep -rqF -- "$key" seen || fail "the search finds nothing"
echo "check: ok notes/put-note, imported and called with a secret that shows nowhere"
