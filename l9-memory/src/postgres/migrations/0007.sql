-- Every change of every version of a tool, in the order in which they were decided. Who
-- decided and why is sealed. Times are milliseconds.
CREATE TABLE tool_changes (
    position bigint PRIMARY KEY,
    tool text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    contract bytea NOT NULL,
    state text NOT NULL,
    at bigint NOT NULL,
    sealed bytea NOT NULL
);
