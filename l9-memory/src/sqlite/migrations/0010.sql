-- The root keys that have sealed here, and since when the database refuses what is sealed
-- under one.
CREATE TABLE root_keys (
    id BLOB NOT NULL PRIMARY KEY,
    noted_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT, WITHOUT ROWID;
