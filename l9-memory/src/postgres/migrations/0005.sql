-- A due run that is handed to a node is not due again for a while: wake_at says so, and
-- what is due is found by one index.
ALTER TABLE runs DROP COLUMN offered_until;
