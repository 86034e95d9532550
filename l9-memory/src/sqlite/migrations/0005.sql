-- The tree over all records. A record's leaf is its position less one: positions are
-- given in the order of commits and without gaps, and no record is ever removed.
CREATE TABLE audit_log (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 0),
    size INTEGER NOT NULL,
    -- The key that signs; the first sequencer's.
    signer TEXT,
    -- The sequencer's lease.
    epoch INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER
) STRICT;
INSERT INTO audit_log (id, size, epoch) VALUES (0, 0, 0);

-- 256 hashes side by side; those at the right edge are not full.
CREATE TABLE audit_tiles (
    level INTEGER NOT NULL,
    tile INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, tile)
) STRICT;

CREATE TABLE audit_checkpoints (
    size INTEGER NOT NULL PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;

-- Which bodies may be gone, and the signed statement that says so.
CREATE TABLE audit_horizons (
    tenant TEXT NOT NULL,
    before INTEGER NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (tenant, before)
) STRICT, WITHOUT ROWID;
