-- Which of its audit logs a tenant writes, and as which of the servers that came one after the other: one that was imported
-- goes on as it did where it was.
ALTER TABLE tenantry.tenant
    ADD COLUMN log_epoch int8 NOT NULL DEFAULT 1,
    ADD COLUMN log_generation int8 NOT NULL DEFAULT 1;
-- Runs of tenants whose plan names a pool are carried out by workers of that pool alone.
ALTER TABLE tenantry.plan ADD COLUMN pool text CHECK (pool <> '');
-- When a worker of each pool was last there.
CREATE TABLE tenantry.pool(name text PRIMARY KEY, seen timestamptz NOT NULL);
-- The virtual time at which each tenant's next run starts, by which servers and workers share their places out. It stands
-- beside the tenant's row, whose changes make every server forget what it remembers.
CREATE TABLE tenantry.turn(
    tenant bytea PRIMARY KEY REFERENCES tenantry.tenant ON DELETE CASCADE,
    starts int8 NOT NULL
) WITH (fillfactor = 50);
