-- What became of entries is a log beside them: what was forgotten, superseded or
-- quarantined, and the undoing of each. `standing` is the sum of what holds now: 1 forgotten,
-- 2 superseded, 4 in quarantine.
ALTER TABLE entries ADD COLUMN valid_from INTEGER;
ALTER TABLE entries ADD COLUMN valid_to INTEGER;
ALTER TABLE entries ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN superseded_by BLOB;
DROP INDEX entries_by_key;
CREATE UNIQUE INDEX entries_by_key ON entries (tenant, key) WHERE key IS NOT NULL AND standing & 3 = 0;
CREATE INDEX entries_with_key ON entries (tenant, key) WHERE key IS NOT NULL AND standing & 3 <> 0;
DROP INDEX entries_by_position;
CREATE INDEX entries_by_position ON entries (tenant, position, agent, session, standing);
CREATE INDEX entries_by_time ON entries (tenant, at);
CREATE INDEX entries_by_session ON entries (tenant, session, at) WHERE session IS NOT NULL;

-- 1 removed, 2 forgotten, 3 returned, 4 superseded, 5 reinstated, 6 quarantined, 7 released.
-- The cause is the entry that supersedes, or the quarantine.
CREATE TABLE memory_changes (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    change INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cause BLOB,
    valid_from INTEGER
) STRICT;
CREATE INDEX memory_changes_by_position ON memory_changes (tenant, position);
CREATE INDEX memory_changes_by_entry ON memory_changes (tenant, id, position);
INSERT INTO memory_changes (position, tenant, id, change, at) SELECT position, tenant, id, 1, 0 FROM forgotten ORDER BY position;
DROP TABLE forgotten;

-- What derives from an entry (its id) or a source (its token).
CREATE TABLE derivations (
    tenant TEXT NOT NULL,
    origin BLOB NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (tenant, origin, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX derivations_by_entry ON derivations (tenant, id);

-- The origin is an entry's id or a source's token. Which, why and by whom is sealed.
CREATE TABLE quarantines (
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    origin BLOB NOT NULL,
    at INTEGER NOT NULL,
    released_at INTEGER,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX quarantines_that_hold ON quarantines (tenant, origin) WHERE released_at IS NULL;

-- What a quarantine that holds hides.
CREATE TABLE quarantined (
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    quarantine BLOB NOT NULL,
    PRIMARY KEY (tenant, id, quarantine)
) STRICT, WITHOUT ROWID;
CREATE INDEX quarantined_by ON quarantined (tenant, quarantine);

-- Positions of entries and changes that can be gone back to. The name and who took it are
-- sealed.
CREATE TABLE memory_snapshots (
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    agent BLOB,
    entries INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
