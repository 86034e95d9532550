-- What the database itself is: the format of what is stored, the root key it is sealed under.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An index over the journal, and the leases. Times are milliseconds since 1970.
CREATE TABLE runs (
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    head_next INTEGER NOT NULL,
    head_hash BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    -- The lease; from_expired tells how its owner got it.
    owner TEXT,
    lease_until INTEGER,
    from_expired INTEGER NOT NULL DEFAULT 0,
    -- When a run that nobody holds is due.
    wake_at INTEGER,
    -- SHA-256 of the caller's key.
    idempotency_key BLOB,
    PRIMARY KEY (tenant, run)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX runs_by_key ON runs (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_wake ON runs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_by_owner ON runs (owner, lease_until) WHERE owner IS NOT NULL;

CREATE TABLE records (
    position INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    commitment BLOB NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX records_by_seq ON records (tenant, run, seq);

CREATE TABLE artifacts (
    position INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX artifacts_by_id ON artifacts (tenant, id);

-- A command that was carried out keeps its id and loses its content.
CREATE TABLE inbox (
    position INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    id TEXT NOT NULL,
    sealed BLOB
) STRICT;
CREATE UNIQUE INDEX inbox_by_id ON inbox (tenant, run, id);
CREATE INDEX inbox_pending ON inbox (tenant, run, position) WHERE sealed IS NOT NULL;

-- Memories. Everything but times and the layer is sealed or a keyed token.
CREATE TABLE entries (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    layer INTEGER NOT NULL,
    at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    agent BLOB,
    session BLOB,
    source BLOB,
    key BLOB,
    content BLOB NOT NULL,
    terms BLOB NOT NULL,
    entry BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_by_id ON entries (tenant, id);
CREATE INDEX entries_by_position ON entries (tenant, position, agent, session);
CREATE UNIQUE INDEX entries_by_key ON entries (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX entries_by_content ON entries (tenant, content);
CREATE INDEX entries_by_source ON entries (tenant, source) WHERE source IS NOT NULL;

-- What was removed, for processes that hold it in their index.
CREATE TABLE forgotten (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL
) STRICT;
CREATE INDEX forgotten_by_position ON forgotten (tenant, position);
