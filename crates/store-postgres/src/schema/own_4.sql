-- Who carries which run out, as in the shared table.
ALTER TABLE work
    ADD COLUMN holder bytea,
    ADD COLUMN fence int8 NOT NULL DEFAULT 0,
    ADD COLUMN held_until timestamptz,
    ADD COLUMN revoked bool NOT NULL DEFAULT false;
CREATE INDEX work_by_due ON work(tenant_id, coalesce(due, 0), id) WHERE kind = 'run';
