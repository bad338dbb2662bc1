-- What belongs to no tenant, or says which tenants there are. No content of a tenant's is here.

-- The server's own keys, each sealed under the master key.
CREATE TABLE tenantry.own_key(name text PRIMARY KEY, sealed bytea NOT NULL);

CREATE TABLE tenantry.tenant(
    id bytea PRIMARY KEY,
    name text NOT NULL,
    external_id text UNIQUE,
    region text NOT NULL,
    plan text NOT NULL,
    overrides text NOT NULL,
    isolation text NOT NULL,
    status text NOT NULL,
    created_at int8 NOT NULL,
    generation int8 NOT NULL,
    version int8 NOT NULL,
    throwaway_grant text,
    throwaway_until int8,
    throwaway_slot int8,
    UNIQUE (throwaway_grant, throwaway_slot)
);
-- Ids of deleted tenants, which are never used again.
CREATE TABLE tenantry.deleted_tenant(id bytea PRIMARY KEY, deleted_at int8 NOT NULL);
-- The only place where a tenant's keys are, each wrapped by the master key.
CREATE TABLE tenantry.tenant_key(
    tenant bytea NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (tenant, kind)
);

CREATE TABLE tenantry.plan(name text PRIMARY KEY, limits text NOT NULL);
CREATE TABLE tenantry.template(
    name text COLLATE "C" NOT NULL,
    version int8 NOT NULL,
    id bytea NOT NULL,
    definition text NOT NULL,
    created_at int8 NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE TABLE tenantry.endpoint(name text COLLATE "C" PRIMARY KEY, body text NOT NULL);

-- The credential index: keyed hashes, and what each stands for. Operators have no tenant.
CREATE TABLE tenantry.credential(
    hash bytea PRIMARY KEY,
    tenant bytea REFERENCES tenantry.tenant ON DELETE CASCADE,
    subject_id text COLLATE "C" NOT NULL,
    subject text NOT NULL,
    expires_at int8
);
CREATE INDEX credential_by_tenant ON tenantry.credential(tenant, subject_id);
CREATE TABLE tenantry.key_use(
    tenant bytea NOT NULL REFERENCES tenantry.tenant ON DELETE CASCADE,
    key bytea NOT NULL,
    at int8 NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE TABLE tenantry.operator_answer(
    key bytea PRIMARY KEY,
    request bytea NOT NULL,
    until int8 NOT NULL,
    status int8,
    body bytea
);
CREATE INDEX operator_answer_by_end ON tenantry.operator_answer(until);

-- Work that is not over, of all tenants: the servers look for it before they are inside any.
CREATE TABLE tenantry.work(
    tenant bytea NOT NULL,
    kind text NOT NULL,
    id bytea NOT NULL,
    due int8,
    PRIMARY KEY (tenant, kind, id)
);
-- Tenants that have stored something that is looked after.
CREATE TABLE tenantry.at_rest(tenant bytea PRIMARY KEY);
