-- Data subjects, by their keyed names: the key that what is about one is sealed under, which
-- entries those are, and which runs hold values about one.
CREATE TABLE subject_keys (
    tenant text COLLATE "C" NOT NULL,
    subject bytea NOT NULL,
    id bytea NOT NULL,
    made_at bigint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, subject)
);
CREATE UNIQUE INDEX subject_keys_by_id ON subject_keys (tenant, id);

CREATE TABLE entry_subjects (
    tenant text COLLATE "C" NOT NULL,
    subject bytea NOT NULL,
    id bytea NOT NULL,
    PRIMARY KEY (tenant, subject, id)
);
CREATE INDEX entry_subjects_by_entry ON entry_subjects (tenant, id);

CREATE TABLE run_subjects (
    tenant text COLLATE "C" NOT NULL,
    subject bytea NOT NULL,
    run bytea NOT NULL,
    PRIMARY KEY (tenant, subject, run)
);
CREATE INDEX run_subjects_by_run ON run_subjects (tenant, run);
