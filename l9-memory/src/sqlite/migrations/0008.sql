-- Every change of every version of a tool, in the order in which they were decided. Who
-- decided and why is sealed.
CREATE TABLE tool_changes (
    position INTEGER NOT NULL PRIMARY KEY,
    tool TEXT NOT NULL,
    version TEXT NOT NULL,
    contract BLOB NOT NULL,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
