-- The forks of a run are asked for before its bodies may go.
CREATE INDEX runs_forks ON runs (tenant, fork_parent) WHERE fork_parent IS NOT NULL;
