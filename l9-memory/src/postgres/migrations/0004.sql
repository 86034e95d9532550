-- The tree over all records. What was appended and has no leaf yet stands in the outbox,
-- one row an append; a row that is not visible yet is taken later, so nothing depends on
-- positions being committed in order.
CREATE TABLE audit_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    seq bigint NOT NULL,
    records bigint NOT NULL
);
INSERT INTO audit_outbox (tenant, run, seq, records)
    SELECT tenant, run, min(seq), count(*) FROM records GROUP BY tenant, run, seq / 256 ORDER BY min(position);

CREATE TABLE audit_log (
    id integer NOT NULL PRIMARY KEY CHECK (id = 0),
    size bigint NOT NULL,
    -- The key that signs; the first sequencer's.
    signer text,
    -- The sequencer's lease.
    epoch bigint NOT NULL,
    owner text,
    lease_until timestamptz
);
INSERT INTO audit_log (id, size, epoch) VALUES (0, 0, 0);

-- The leaves of records side by side.
CREATE TABLE audit_spans (
    leaf bigint NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    run bytea NOT NULL,
    seq bigint NOT NULL,
    records bigint NOT NULL
);
CREATE UNIQUE INDEX audit_spans_by_seq ON audit_spans (tenant, run, seq);

-- 256 hashes side by side; those at the right edge are not full.
CREATE TABLE audit_tiles (
    level integer NOT NULL,
    tile bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (level, tile)
);
ALTER TABLE audit_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE audit_checkpoints (
    size bigint NOT NULL PRIMARY KEY,
    note text NOT NULL
);

-- Which bodies may be gone, and the signed statement that says so.
CREATE TABLE audit_horizons (
    tenant text COLLATE "C" NOT NULL,
    before bigint NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (tenant, before)
);
