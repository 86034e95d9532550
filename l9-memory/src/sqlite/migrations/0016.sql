-- A row for each schedule: when somebody must look at it, and what it is and how far it came,
-- sealed.
CREATE TABLE schedules (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    -- Which making of it: one that is made again under its id has another.
    series BLOB NOT NULL,
    version INTEGER NOT NULL,
    due_at INTEGER,
    created_at INTEGER NOT NULL,
    definition BLOB NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_by_due ON schedules (due_at) WHERE due_at IS NOT NULL;
