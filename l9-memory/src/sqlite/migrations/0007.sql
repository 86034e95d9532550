-- Emergency stops that stand, by the tenant they hold, or * for all: nobody gets the lease
-- of a run that one holds. Who ordered it and why is sealed.
CREATE TABLE stops (
    scope TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was stated under the log's signature, such as that all was quiet.
CREATE TABLE audit_statements (
    position INTEGER NOT NULL PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;
