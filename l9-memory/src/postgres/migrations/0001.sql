-- What the database itself is: the program it belongs to, its form, the root key it is
-- sealed under.
CREATE TABLE meta (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO meta (name, value) VALUES ('application', 'l9');

-- An index over the journal, and the leases. created_at and updated_at are L9's own
-- times in milliseconds since 1970; the others are this server's.
CREATE TABLE runs (
    tenant text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    kind text NOT NULL,
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    head_next bigint NOT NULL,
    head_hash bytea NOT NULL,
    epoch bigint NOT NULL,
    priority integer NOT NULL,
    -- Where a fork left its parent: its own records begin at fork_at.
    fork_parent bytea,
    fork_at bigint,
    -- SHA-256 of the caller's key.
    idempotency_key bytea,
    -- The lease; expired_ms is how long ago the one before had run out when it was
    -- taken over, NULL if it had not.
    owner text COLLATE "C",
    lease_until timestamptz,
    expired_ms bigint,
    -- When a run that nobody holds is due.
    wake_at timestamptz,
    -- Until when a due run is left to the node that it was handed to.
    offered_until timestamptz NOT NULL DEFAULT '-infinity',
    -- How many commands wait in its inbox. It stands here so that whoever locks the row
    -- knows, and no command slips between a look at the inbox and a release.
    waiting integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, run)
    -- Every append moves a head: with room in the page no index is touched.
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX runs_by_key ON runs (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_wake ON runs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_by_lease ON runs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;

-- Positions have gaps and may be committed out of order; within a run they rise.
CREATE TABLE records (
    position bigint GENERATED ALWAYS AS IDENTITY,
    tenant text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    at bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    body bytea NOT NULL,
    commitment bytea NOT NULL,
    prev bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant, run, seq)
);
CREATE INDEX records_by_position ON records (tenant, position);
-- What is sealed does not compress.
ALTER TABLE records ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE artifacts (
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);
ALTER TABLE artifacts ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- The folded state of a run at a point of its chain, sealed; one a run.
CREATE TABLE snapshots (
    tenant text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    next bigint NOT NULL,
    hash bytea NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, run)
);
ALTER TABLE snapshots ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- A command that was carried out keeps its id and loses its content.
CREATE TABLE inbox (
    position bigint GENERATED ALWAYS AS IDENTITY,
    tenant text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    id text COLLATE "C" NOT NULL,
    sealed bytea,
    PRIMARY KEY (tenant, run, id)
);
CREATE INDEX inbox_pending ON inbox (tenant, run, position) WHERE sealed IS NOT NULL;

-- Memories. Everything but times and the layer is sealed or a keyed token.
CREATE TABLE entries (
    position bigint GENERATED ALWAYS AS IDENTITY,
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    layer bigint NOT NULL,
    at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    agent bytea,
    session bytea,
    source bytea,
    key bytea,
    content bytea NOT NULL,
    terms bytea NOT NULL,
    entry bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX entries_by_position ON entries (tenant, position);
CREATE UNIQUE INDEX entries_by_key ON entries (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX entries_by_content ON entries (tenant, content);
CREATE INDEX entries_by_source ON entries (tenant, source) WHERE source IS NOT NULL;
ALTER TABLE entries ALTER COLUMN terms SET STORAGE EXTERNAL;
ALTER TABLE entries ALTER COLUMN entry SET STORAGE EXTERNAL;

-- What was removed, for processes that hold it in their index.
CREATE TABLE forgotten (
    position bigint GENERATED ALWAYS AS IDENTITY,
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    PRIMARY KEY (tenant, position)
);
