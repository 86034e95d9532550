-- The vectors of entries, sealed, by the embedder that made them; made after the entries.
CREATE TABLE vectors (
    position bigint GENERATED ALWAYS AS IDENTITY,
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    embedder text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, id, embedder),
    FOREIGN KEY (tenant, id) REFERENCES entries (tenant, id) ON DELETE CASCADE
);
CREATE INDEX vectors_by_position ON vectors (tenant, embedder, position);
ALTER TABLE vectors ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX entries_by_place ON entries (position);

-- Which node makes the vectors of an embedder, and until when it is not disturbed.
CREATE TABLE embedders (
    embedder text COLLATE "C" NOT NULL PRIMARY KEY,
    owner text NOT NULL,
    until bigint NOT NULL
);
