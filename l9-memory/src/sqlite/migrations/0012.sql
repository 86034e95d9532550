-- The vectors of entries, sealed, by the embedder that made them; made after the entries.
CREATE TABLE vectors (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    embedder TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX vectors_by_entry ON vectors (tenant, id, embedder);
CREATE INDEX vectors_by_position ON vectors (tenant, embedder, position);
CREATE TRIGGER vectors_go_with_entries AFTER DELETE ON entries BEGIN
    DELETE FROM vectors WHERE tenant = OLD.tenant AND id = OLD.id;
END;

-- Which process makes the vectors of an embedder, and until when it is not disturbed.
CREATE TABLE embedders (
    embedder TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
