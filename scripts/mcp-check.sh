#!/usr/bin/env bash
# Runs a command against MCP servers that nobody here wrote: those of the protocol's own
# project for time, pages and SQLite in Python, and the one that shows everything in
# JavaScript.
#
#   scripts/mcp-check.sh COMMAND [ARG…]   COMMAND with L9_MCP_TIME, L9_MCP_FETCH,
#                                         L9_MCP_SQLITE and L9_MCP_EVERYTHING set to their
#                                         programs
#
# They are installed under the cache folder when they are missing (MCP_CHECK_DIR overrides
# where); the last one needs node and npm.
set -euo pipefail

folder="${MCP_CHECK_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/l9/mcp}"
modules="$folder/node"
# Seconds that installing one of them may take.
longest=300

# Installs a Python server, with whatever else is named, into an environment of its own.
install() {
    local venv="$folder/$1"
    [ -x "$venv/bin/$1" ] && return
    echo "installing an MCP server into $venv" >&2
    python3 -m venv "$venv"
    timeout "$longest" "$venv/bin/pip" install --quiet "$@"
}

install mcp-server-time
install mcp-server-fetch
# It was written for the first version of the protocol's library.
install mcp-server-sqlite 'mcp<2'
export L9_MCP_TIME="$folder/mcp-server-time/bin/mcp-server-time"
export L9_MCP_FETCH="$folder/mcp-server-fetch/bin/mcp-server-fetch"
export L9_MCP_SQLITE="$folder/mcp-server-sqlite/bin/mcp-server-sqlite"

if [ ! -e "$modules/node_modules/.bin/mcp-server-everything" ]; then
    echo "installing an MCP server into $modules" >&2
    mkdir -p "$modules"
    timeout "$longest" npm install --prefix "$modules" --silent --no-fund --no-audit @modelcontextprotocol/server-everything
fi
export L9_MCP_EVERYTHING="$modules/node_modules/.bin/mcp-server-everything"

"$@"
