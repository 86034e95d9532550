-- Short-term entries, by when they are over.
CREATE INDEX entries_short_term ON entries (tenant, recorded_at) WHERE layer = 1;
