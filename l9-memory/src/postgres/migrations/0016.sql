-- A row for each schedule: when somebody must look at it, and what it is and how far it came,
-- sealed.
CREATE TABLE schedules (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    -- Which making of it: one that is made again under its id has another.
    series bytea NOT NULL,
    version bigint NOT NULL,
    due_at bigint,
    created_at bigint NOT NULL,
    definition bytea NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX schedules_by_due ON schedules (due_at) WHERE due_at IS NOT NULL;
