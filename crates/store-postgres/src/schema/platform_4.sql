-- Who carries which run out, until when, and how often it was given to somebody. A lease that has ended counts as none.
ALTER TABLE tenantry.work
    ADD COLUMN holder bytea,
    ADD COLUMN fence int8 NOT NULL DEFAULT 0,
    ADD COLUMN held_until timestamptz,
    ADD COLUMN revoked bool NOT NULL DEFAULT false;
CREATE INDEX work_by_due ON tenantry.work(tenant_id, coalesce(due, 0), id) WHERE kind = 'run';
