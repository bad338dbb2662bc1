-- The virtual time at which each tenant's next run starts, by which servers and workers share their places out. It stands
-- beside the tenant's row, whose changes make every server forget what it remembers.
CREATE TABLE tenantry.turn(
    tenant bytea PRIMARY KEY REFERENCES tenantry.tenant ON DELETE CASCADE,
    starts int8 NOT NULL
) WITH (fillfactor = 50);
