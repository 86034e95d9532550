-- A run that was given up: when, and why, sealed. It is not due before it is redriven.
ALTER TABLE runs ADD COLUMN dead_at INTEGER;
ALTER TABLE runs ADD COLUMN dead_reason BLOB;
CREATE INDEX runs_dead ON runs (tenant, dead_at, run) WHERE dead_at IS NOT NULL;
