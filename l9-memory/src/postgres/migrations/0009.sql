-- What became of entries is a log beside them: what was forgotten, superseded or
-- quarantined, and the undoing of each. `standing` is the sum of what holds now: 1 forgotten,
-- 2 superseded, 4 in quarantine.
ALTER TABLE entries
    ADD COLUMN valid_from bigint,
    ADD COLUMN valid_to bigint,
    ADD COLUMN standing bigint NOT NULL DEFAULT 0,
    ADD COLUMN superseded_by bytea;
DROP INDEX entries_by_key;
CREATE UNIQUE INDEX entries_by_key ON entries (tenant, key) WHERE key IS NOT NULL AND standing & 3 = 0;
CREATE INDEX entries_with_key ON entries (tenant, key) WHERE key IS NOT NULL AND standing & 3 <> 0;
CREATE INDEX entries_by_time ON entries (tenant, at, position);
CREATE INDEX entries_by_session ON entries (tenant, session, at, position) WHERE session IS NOT NULL;

-- 1 removed, 2 forgotten, 3 returned, 4 superseded, 5 reinstated, 6 quarantined, 7 released.
-- The cause is the entry that supersedes, or the quarantine.
ALTER TABLE forgotten RENAME TO memory_changes;
ALTER TABLE memory_changes
    ADD COLUMN change bigint NOT NULL DEFAULT 1,
    ADD COLUMN at bigint NOT NULL DEFAULT 0,
    ADD COLUMN cause bytea,
    ADD COLUMN valid_from bigint;
ALTER TABLE memory_changes ALTER COLUMN change DROP DEFAULT, ALTER COLUMN at DROP DEFAULT;
CREATE INDEX memory_changes_by_entry ON memory_changes (tenant, id, position);

-- What derives from an entry (its id) or a source (its token).
CREATE TABLE derivations (
    tenant text COLLATE "C" NOT NULL,
    origin bytea NOT NULL,
    id bytea NOT NULL,
    PRIMARY KEY (tenant, origin, id)
);
CREATE INDEX derivations_by_entry ON derivations (tenant, id);

-- The origin is an entry's id or a source's token. Which, why and by whom is sealed.
CREATE TABLE quarantines (
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    origin bytea NOT NULL,
    at bigint NOT NULL,
    released_at bigint,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX quarantines_that_hold ON quarantines (tenant, origin) WHERE released_at IS NULL;

-- What a quarantine that holds hides.
CREATE TABLE quarantined (
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    quarantine bytea NOT NULL,
    PRIMARY KEY (tenant, id, quarantine)
);
CREATE INDEX quarantined_by ON quarantined (tenant, quarantine);

-- Positions of entries and changes that can be gone back to. The name and who took it are
-- sealed.
CREATE TABLE memory_snapshots (
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    agent bytea,
    entries bigint NOT NULL,
    changes bigint NOT NULL,
    at bigint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);
