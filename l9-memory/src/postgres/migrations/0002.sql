-- Finds the runs that asked a person something.
CREATE INDEX records_by_question ON records (tenant, run) WHERE kind = 'approval.asked';
