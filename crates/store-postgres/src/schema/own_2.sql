-- Work that is not over, where the tenant has a home of its own: it is written in the transaction that it is about.
CREATE TABLE work(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    kind text NOT NULL,
    id bytea NOT NULL,
    due int8,
    PRIMARY KEY (tenant_id, kind, id)
);
