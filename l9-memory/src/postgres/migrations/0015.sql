-- A row for each entry that was read for what it states, and one for each entry that was taken
-- from another so, with its origin.
CREATE TABLE readings (
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    reader text COLLATE "C" NOT NULL,
    origin bytea,
    -- Why it could not be read; empty if it could.
    failure text NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, id) REFERENCES entries (tenant, id) ON DELETE CASCADE
);
CREATE INDEX readings_by_origin ON readings (tenant, origin) WHERE origin IS NOT NULL;
