-- Homes of tenants that have their own: made on request by whoever has the rights, which the server has not.
ALTER TABLE tenantry.work RENAME COLUMN tenant TO tenant_id;

-- Where such a tenant's data are, with the password of its role, sealed under the master key.
CREATE TABLE tenantry.home(
    tenant bytea PRIMARY KEY CHECK (octet_length(tenant) = 16),
    isolation text NOT NULL CHECK (isolation IN ('schema', 'dedicated')),
    sealed bytea NOT NULL,
    -- The version of its tables; 0 as long as they are not all there.
    version int8 NOT NULL DEFAULT 0
);
-- What is to be made and removed. A row is served by whoever has locked it, so that one whose server is gone is free
-- again at once.
CREATE TABLE tenantry.provisioning(
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant bytea NOT NULL CHECK (octet_length(tenant) = 16),
    what text NOT NULL CHECK (what IN ('make', 'remove')),
    isolation text NOT NULL CHECK (isolation IN ('schema', 'dedicated')),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
    error text,
    tries int8 NOT NULL DEFAULT 0,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    -- An id is never used again, so each is made once and removed once.
    UNIQUE (tenant, what)
);
CREATE INDEX provisioning_waiting ON tenantry.provisioning(id) WHERE state = 'waiting';
-- Tenants in whose own homes there may be work. A row stays until nobody has said so for a while, and there is none.
CREATE TABLE tenantry.work_elsewhere(tenant bytea PRIMARY KEY, until timestamptz NOT NULL);
