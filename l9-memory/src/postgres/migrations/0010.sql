-- The root keys that have sealed here, and since when the database refuses what is sealed
-- under one.
CREATE TABLE root_keys (
    id bytea NOT NULL PRIMARY KEY,
    noted_at bigint NOT NULL,
    retired_at bigint
);
CREATE FUNCTION refuse_retired_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'sealed under a root key that was retired' USING ERRCODE = 'L9K01';
END $$;
