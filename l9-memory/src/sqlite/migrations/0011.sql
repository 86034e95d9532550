-- Data subjects, by their keyed names: the key that what is about one is sealed under, which
-- entries those are, and which runs hold values about one.
CREATE TABLE subject_keys (
    tenant TEXT NOT NULL,
    subject BLOB NOT NULL,
    id BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, subject)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX subject_keys_by_id ON subject_keys (tenant, id);

CREATE TABLE entry_subjects (
    tenant TEXT NOT NULL,
    subject BLOB NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (tenant, subject, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_subjects_by_entry ON entry_subjects (tenant, id);

CREATE TABLE run_subjects (
    tenant TEXT NOT NULL,
    subject BLOB NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY (tenant, subject, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_subjects_by_run ON run_subjects (tenant, run);
