-- Tenants' tables. `tenant_id` stands in every key, since the database checks keys without asking the policies.
-- What is sealed is sealed under the tenant's own key, for its table, row and tenant.

-- Where the audit log stands. Whoever writes as the tenant holds this row until the write is over.
CREATE TABLE log_head(
    tenant_id bytea PRIMARY KEY DEFAULT tenantry.current_tenant(),
    -- The name of the key that content is sealed under: who still has another reads it anew.
    data_key text NOT NULL,
    epoch int8 NOT NULL,
    size int8 NOT NULL,
    last_hash bytea NOT NULL,
    frontier bytea NOT NULL,
    stored_bytes int8 NOT NULL,
    at_rest bool NOT NULL
);
CREATE TABLE audit_event(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    epoch int8 NOT NULL,
    number int8 NOT NULL,
    time int8 NOT NULL,
    action text COLLATE "C" NOT NULL,
    actor text NOT NULL,
    resource text NOT NULL,
    event_id text NOT NULL,
    hash bytea NOT NULL,
    leaf bytea NOT NULL,
    disclosures bytea NOT NULL,
    PRIMARY KEY (tenant_id, epoch, number)
);
CREATE INDEX audit_event_by_action ON audit_event(tenant_id, action, epoch, number);
CREATE INDEX audit_event_by_actor ON audit_event(tenant_id, actor, epoch, number);
CREATE INDEX audit_event_by_resource ON audit_event(tenant_id, resource, epoch, number);
CREATE INDEX audit_event_by_id ON audit_event(tenant_id, event_id);
-- Roots of full subtrees above the leaves.
CREATE TABLE merkle_node(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    epoch int8 NOT NULL,
    level int8 NOT NULL,
    number int8 NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, epoch, level, number)
);

CREATE TABLE object(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    kind text NOT NULL,
    id text COLLATE "C" NOT NULL,
    owner text,
    version int8 NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);

CREATE TABLE collection(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    name text NOT NULL,
    indexes text[] NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CREATE TABLE record(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    collection text NOT NULL,
    id text COLLATE "C" NOT NULL,
    created_at int8 NOT NULL,
    updated_at int8 NOT NULL,
    version int8 NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (tenant_id, collection, id)
);
-- A declared index: for each value of the field a keyed token that is the same for what is equal to it.
CREATE TABLE record_token(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    collection text NOT NULL,
    token bytea NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, collection, token, id),
    FOREIGN KEY (tenant_id, collection, id) REFERENCES record ON DELETE CASCADE
);
CREATE INDEX record_token_by_record ON record_token(tenant_id, collection, id);

CREATE TABLE run(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    id text COLLATE "C" NOT NULL,
    workflow text NOT NULL,
    status text NOT NULL,
    cursor int8 NOT NULL,
    finished_at int8,
    events int8 NOT NULL,
    run bytea NOT NULL,
    frozen bytea NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX run_by_workflow ON run(tenant_id, workflow, id);
CREATE INDEX run_by_end ON run(tenant_id, finished_at, id) WHERE finished_at IS NOT NULL;
-- A run's steps, by their ids, and its events, by their numbers.
CREATE TABLE run_part(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    run text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    place text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, run, kind, place),
    FOREIGN KEY (tenant_id, run) REFERENCES run ON DELETE CASCADE
);
-- Deliveries that began a run, by a keyed token of what their sender calls them.
CREATE TABLE delivery(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    token bytea NOT NULL,
    run text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, token),
    FOREIGN KEY (tenant_id, run) REFERENCES run ON DELETE CASCADE
);
CREATE INDEX delivery_by_run ON delivery(tenant_id, run);

CREATE TABLE call(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    started_at int8 NOT NULL,
    finished_at int8,
    cached bool NOT NULL,
    body bytea NOT NULL,
    outcome bytea,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX call_by_beginning ON call(tenant_id, started_at);
CREATE INDEX call_by_end ON call(tenant_id, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX call_open ON call(tenant_id, started_at) WHERE status = 'open';
-- What calls came to, by hour, target and payer.
CREATE TABLE usage_hour(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    hour int8 NOT NULL,
    kind text NOT NULL,
    target text NOT NULL,
    key text NOT NULL,
    agent text NOT NULL,
    workflow text NOT NULL,
    totals text NOT NULL,
    PRIMARY KEY (tenant_id, hour, kind, target, key, agent, workflow)
);

CREATE TABLE remembered(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    key bytea NOT NULL,
    request bytea NOT NULL,
    until int8 NOT NULL,
    status int8,
    body bytea,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX remembered_by_end ON remembered(tenant_id, until);
