-- How much is kept that is not forgotten: of a tenant as a whole (under \x00), and of each
-- agent's own. It is counted with every statement that changes rows, whoever changes them.
CREATE TABLE memory_usage (
    tenant text COLLATE "C" NOT NULL,
    agent bytea NOT NULL,
    entries bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (tenant, agent)
);
INSERT INTO memory_usage (tenant, agent, entries, bytes)
    SELECT tenant, owner, count(*), sum(octet_length(entry) + octet_length(terms))
    FROM entries CROSS JOIN LATERAL (VALUES ('\x00'::bytea), (agent)) AS owners (owner)
    WHERE standing & 1 = 0 AND owner IS NOT NULL GROUP BY tenant, owner;

CREATE FUNCTION memory_usage_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_usage (tenant, agent, entries, bytes)
        SELECT tenant, owner, count(*), sum(octet_length(entry) + octet_length(terms))
        FROM added CROSS JOIN LATERAL (VALUES ('\x00'::bytea), (agent)) AS owners (owner)
        WHERE standing & 1 = 0 AND owner IS NOT NULL GROUP BY tenant, owner ORDER BY tenant, owner
        ON CONFLICT (tenant, agent) DO UPDATE
        SET entries = memory_usage.entries + excluded.entries, bytes = memory_usage.bytes + excluded.bytes;
    RETURN NULL;
END $$;
CREATE FUNCTION memory_usage_take() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE memory_usage AS u SET entries = u.entries - gone.entries, bytes = u.bytes - gone.bytes
        FROM (SELECT tenant, owner, count(*) AS entries, sum(octet_length(entry) + octet_length(terms)) AS bytes
            FROM removed CROSS JOIN LATERAL (VALUES ('\x00'::bytea), (agent)) AS owners (owner)
            WHERE standing & 1 = 0 AND owner IS NOT NULL GROUP BY tenant, owner) AS gone
        WHERE u.tenant = gone.tenant AND u.agent = gone.owner;
    RETURN NULL;
END $$;
-- What changes nothing of the count, as sealing anew does, takes no lock on it.
CREATE FUNCTION memory_usage_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE memory_usage AS u SET entries = u.entries + changed.entries, bytes = u.bytes + changed.bytes
        FROM (SELECT tenant, owner, sum(counts) AS entries, sum(counts * (octet_length(entry) + octet_length(terms))) AS bytes
            FROM (SELECT 1 AS counts, tenant, agent, entry, terms, standing FROM added
                UNION ALL SELECT -1, tenant, agent, entry, terms, standing FROM removed) AS both_of_them
            CROSS JOIN LATERAL (VALUES ('\x00'::bytea), (agent)) AS owners (owner)
            WHERE standing & 1 = 0 AND owner IS NOT NULL GROUP BY tenant, owner) AS changed
        WHERE u.tenant = changed.tenant AND u.agent = changed.owner AND (changed.entries <> 0 OR changed.bytes <> 0);
    RETURN NULL;
END $$;
CREATE TRIGGER memory_usage_insert AFTER INSERT ON entries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION memory_usage_add();
CREATE TRIGGER memory_usage_delete AFTER DELETE ON entries REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION memory_usage_take();
CREATE TRIGGER memory_usage_update AFTER UPDATE ON entries REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION memory_usage_change();
