-- What each process that serves this database last said of itself, by this machine's clock in
-- milliseconds.
CREATE TABLE nodes (
    owner TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    version TEXT NOT NULL,
    address TEXT,
    runs INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
