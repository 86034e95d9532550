-- Where a fork left its parent: its own records begin at fork_at.
ALTER TABLE runs ADD COLUMN fork_parent BLOB;
ALTER TABLE runs ADD COLUMN fork_at INTEGER;
-- Until when a due run is left to the node that it was handed to.
ALTER TABLE runs ADD COLUMN offered_until INTEGER NOT NULL DEFAULT 0;

-- How long ago the lease before the newest had run out when it was taken over; NULL if it
-- had not.
ALTER TABLE runs ADD COLUMN expired_ms INTEGER;
ALTER TABLE runs DROP COLUMN from_expired;

-- The folded state of a run at a point of its chain, sealed; one a run.
CREATE TABLE snapshots (
    tenant TEXT NOT NULL,
    run BLOB NOT NULL,
    next INTEGER NOT NULL,
    hash BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, run)
) STRICT;
