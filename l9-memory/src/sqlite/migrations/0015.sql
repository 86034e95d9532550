-- A row for each entry that was read for what it states, and one for each entry that was taken
-- from another so, with its origin.
CREATE TABLE readings (
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    reader TEXT NOT NULL,
    origin BLOB,
    -- Why it could not be read; empty if it could.
    failure TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX readings_by_origin ON readings (tenant, origin) WHERE origin IS NOT NULL;
CREATE TRIGGER readings_go_with_entries AFTER DELETE ON entries BEGIN
    DELETE FROM readings WHERE tenant = OLD.tenant AND id = OLD.id;
END;
