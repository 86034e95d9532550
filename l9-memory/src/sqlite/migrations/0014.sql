-- How much is kept that is not forgotten: of a tenant as a whole (under x'00'), and of each
-- agent's own. It is counted with every change of a row, whoever changes it.
CREATE TABLE memory_usage (
    tenant TEXT NOT NULL,
    agent BLOB NOT NULL,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;
INSERT INTO memory_usage (tenant, agent, entries, bytes)
    SELECT tenant, x'00', count(*), sum(length(entry) + length(terms)) FROM entries
    WHERE (standing & 1) = 0 GROUP BY tenant;
INSERT INTO memory_usage (tenant, agent, entries, bytes)
    SELECT tenant, agent, count(*), sum(length(entry) + length(terms)) FROM entries
    WHERE (standing & 1) = 0 AND agent IS NOT NULL GROUP BY tenant, agent;

CREATE TRIGGER memory_usage_insert AFTER INSERT ON entries WHEN (NEW.standing & 1) = 0 BEGIN
    INSERT INTO memory_usage (tenant, agent, entries, bytes)
        VALUES (NEW.tenant, x'00', 1, length(NEW.entry) + length(NEW.terms))
        ON CONFLICT (tenant, agent) DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
    INSERT INTO memory_usage (tenant, agent, entries, bytes)
        SELECT NEW.tenant, NEW.agent, 1, length(NEW.entry) + length(NEW.terms) WHERE NEW.agent IS NOT NULL
        ON CONFLICT (tenant, agent) DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER memory_usage_delete AFTER DELETE ON entries WHEN (OLD.standing & 1) = 0 BEGIN
    UPDATE memory_usage SET entries = entries - 1, bytes = bytes - length(OLD.entry) - length(OLD.terms)
        WHERE tenant = OLD.tenant AND agent IN (x'00', OLD.agent);
END;
CREATE TRIGGER memory_usage_update AFTER UPDATE OF standing, entry, terms ON entries
WHEN (OLD.standing & 1) <> (NEW.standing & 1)
    OR length(OLD.entry) + length(OLD.terms) <> length(NEW.entry) + length(NEW.terms) BEGIN
    UPDATE memory_usage SET
        entries = entries + (OLD.standing & 1) - (NEW.standing & 1),
        bytes = bytes + (1 - (NEW.standing & 1)) * (length(NEW.entry) + length(NEW.terms))
            - (1 - (OLD.standing & 1)) * (length(OLD.entry) + length(OLD.terms))
        WHERE tenant = NEW.tenant AND agent IN (x'00', NEW.agent);
END;
