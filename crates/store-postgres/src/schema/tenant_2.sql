-- Counts restores, so that a backup from before one is known. It stands beside what it is about, since a tenant's
-- own database and the platform's do not commit together.
ALTER TABLE log_head ADD COLUMN generation int8 NOT NULL DEFAULT 0;
