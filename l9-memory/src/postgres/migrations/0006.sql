-- Emergency stops that stand, by the tenant they hold, or * for all: nobody gets the lease
-- of a run that one holds. Who ordered it and why is sealed. Times are milliseconds.
CREATE TABLE stops (
    scope text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL,
    sealed bytea NOT NULL
);

-- What was stated under the log's signature, such as that all was quiet.
CREATE TABLE audit_statements (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text NOT NULL
);
