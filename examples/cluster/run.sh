#!/usr/bin/env bash
# Three nodes of L9 on this machine, over one PostgreSQL and one Redis server: one answers
# requests, two also work on runs.
#
#   examples/cluster/run.sh              starts them, says where they are, and stops them at Ctrl-C
#   examples/cluster/run.sh COMMAND…     runs a command while they are up, then stops them
#
# The command finds the nodes' addresses in L9_NODES, the first one's also in L9, and its data
# folder in L9_DATA_DIR, so that `l9-server nodes list` shows them all. DATABASE_URL and REDIS_URL
# name the servers; those that are not named are started in a scratch folder, on free ports of the
# loopback, and stopped at the end. L9_SERVER names the program; without it cargo builds one.
set -euo pipefail
# Each in a process group of its own: Ctrl-C is for this script, which stops them in their order.
set -m

cd "$(dirname "$0")/../.."
scratch="$(mktemp -d)"
chmod 755 "$scratch"
nodes=() servers=()

stop() {
    trap - EXIT
    # Nodes let their runs go one after another, before what they need goes.
    for process in "${nodes[@]}" "${servers[@]}"; do
        kill -INT "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "$*" >&2; exit 2; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# until_it WORDS COMMAND…: waits for a command to succeed.
until_it() {
    local words="$1"
    shift
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "$words: $(tail -n 5 "$scratch"/*.log)"
}

start_postgres() {
    local bin port as=()
    bin="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"
    bin="${bin:-$(dirname "$(command -v initdb || echo /initdb)")}"
    [ -x "$bin/initdb" ] || fail "there is no PostgreSQL: install the package postgresql, or name a server in DATABASE_URL"
    port="$(free_port)"
    mkdir "$scratch/postgres"
    # PostgreSQL refuses to run as root.
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --)
        chown nobody "$scratch/postgres"
    fi
    "${as[@]}" "$bin/initdb" --no-sync --auth=trust --encoding=UTF8 --locale=C --username l9 \
        --pgdata "$scratch/postgres" >"$scratch/initdb.log" 2>&1 || fail "initdb: $(tail -n 5 "$scratch/initdb.log")"
    "${as[@]}" "$bin/postgres" -D "$scratch/postgres" -k "$scratch/postgres" -h 127.0.0.1 -p "$port" \
        >"$scratch/postgres.log" 2>&1 &
    servers+=($!)
    until_it "PostgreSQL does not answer" "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" -d postgres
    export DATABASE_URL="postgresql://l9@127.0.0.1:$port/postgres?sslmode=disable"
}

start_redis() {
    local port
    command -v redis-server >/dev/null || fail "there is no Redis: install the package redis-server, or name a server in REDIS_URL"
    port="$(free_port)"
    redis-server --bind 127.0.0.1 --port "$port" --save "" --appendonly no >"$scratch/redis.log" 2>&1 &
    servers+=($!)
    until_it "Redis does not answer" bash -c "</dev/tcp/127.0.0.1/$port"
    export REDIS_URL="redis://127.0.0.1:$port"
}

# start_node NAME ROLES: starts a node and waits until it serves; says where in `address`.
start_node() {
    mkdir -p "$scratch/$1"
    L9_DATA_DIR="$scratch/$1" L9__WORKERS__NODE="$1" L9__STORAGE__ROOT_KEY="$scratch/root.key" L9__AUDIT__KEY="$scratch/audit.key" \
        "$L9_SERVER" serve --json --port 0 --role "$2" >"$scratch/$1.out" 2>"$scratch/$1.log" &
    nodes+=($!)
    until_it "node $1 does not serve" grep -q listening "$scratch/$1.out"
    address="http://$(sed -n 's/.*"listening": *"\([^"]*\)".*/\1/p' "$scratch/$1.out")"
    echo "node $1 ($2): $address" >&2
}

if [ -z "${L9_SERVER:-}" ]; then
    cargo build -p l9-server
    L9_SERVER="${CARGO_TARGET_DIR:-target}/debug/l9-server"
fi
[ -n "${DATABASE_URL:-}" ] || start_postgres
[ -n "${REDIS_URL:-}" ] || start_redis

# All nodes of a database share the root key and the audit log's key, which the first one makes.
start_node front api
export L9="$address" L9_NODES="$address"
for name in one two; do
    start_node "$name" api,worker,scheduler
    L9_NODES="$L9_NODES $address"
done
export L9_SERVER L9_DATA_DIR="$scratch/front" L9__STORAGE__ROOT_KEY="$scratch/root.key" L9__AUDIT__KEY="$scratch/audit.key"

if [ $# -gt 0 ]; then
    "$@"
else
    "$L9_SERVER" nodes list >&2
    echo "Ctrl-C stops them" >&2
    wait "${nodes[0]}"
fi
