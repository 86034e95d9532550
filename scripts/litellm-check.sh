#!/usr/bin/env bash
# Runs a command against a model provider that nobody here wrote: the litellm proxy with
# mock models, offline, on a free port of the loopback.
#
#   scripts/litellm-check.sh                    both wires with curl
#   scripts/litellm-check.sh COMMAND [ARG…]     COMMAND with OPENAI_BASE_URL, OPENAI_API_KEY,
#                                               ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY set
#
# The proxy is installed into a virtual environment under the cache folder when it is
# missing (LITELLM_CHECK_VENV overrides where), and stopped in any case.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv="${LITELLM_CHECK_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/l9/litellm}"
scratch=$(mktemp -d)
proxy=""

clean_up() {
    if [ -n "$proxy" ]; then
        kill "$proxy" 2>/dev/null || true
        wait "$proxy" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ ! -x "$venv/bin/litellm" ]; then
    echo "installing the litellm proxy into $venv" >&2
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'litellm[proxy]'
fi

port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export LITELLM_CHECK_URL="http://127.0.0.1:$port"
export LITELLM_CHECK_KEY="sk-litellm-check"

# Without this the proxy asks the network for its price list; answers go nowhere else.
(
    cd "$scratch"
    exec env -u DATABASE_URL -u REDIS_URL LITELLM_LOCAL_MODEL_COST_MAP=True \
        "$venv/bin/litellm" --config "$root/tests/litellm/config.yaml" --host 127.0.0.1 --port "$port" --telemetry False
) >"$scratch/log" 2>&1 &
proxy=$!

ready=false
for _ in $(seq 120); do
    if curl --silent --fail --max-time 2 --noproxy '*' "$LITELLM_CHECK_URL/health/liveliness" >/dev/null 2>&1; then
        ready=true
        break
    fi
    kill -0 "$proxy" 2>/dev/null || break
    sleep 0.5
done
if ! $ready; then
    echo "the litellm proxy did not start:" >&2
    tail -n 40 "$scratch/log" >&2
    exit 1
fi

export OPENAI_BASE_URL="$LITELLM_CHECK_URL" OPENAI_API_KEY="$LITELLM_CHECK_KEY"
export ANTHROPIC_BASE_URL="$LITELLM_CHECK_URL" ANTHROPIC_API_KEY="$LITELLM_CHECK_KEY"

if [ $# -gt 0 ]; then
    "$@"
    exit
fi

ask() { # path, model, header
    curl --silent --show-error --fail --max-time 30 --noproxy '*' "$LITELLM_CHECK_URL$1" \
        -H "$3" -H 'content-type: application/json' \
        -d "{\"model\":\"$2\",\"stream\":true,\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
}
ask /chat/completions gpt-6.1-terra "authorization: Bearer $OPENAI_API_KEY" >"$scratch/chat"
grep -q '^data: \[DONE\]' "$scratch/chat"
echo "chat completions: streamed, $(grep -c '^data: {' "$scratch/chat") chunks"
ask /v1/messages claude-sonnet-5-5 "x-api-key: $ANTHROPIC_API_KEY" >"$scratch/messages"
grep -q '"message_stop"' "$scratch/messages"
echo "messages: streamed, $(grep -c '^data: {' "$scratch/messages") events"
