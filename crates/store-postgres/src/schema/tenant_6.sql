-- Runs under way are looked for by their status.
CREATE INDEX run_by_status ON run(tenant_id, status, id);
