-- What each process that serves this database last said of itself, by the server's clock in
-- milliseconds.
CREATE TABLE nodes (
    owner text COLLATE "C" NOT NULL PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    roles text COLLATE "C" NOT NULL,
    version text NOT NULL,
    address text,
    runs bigint NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL
);
