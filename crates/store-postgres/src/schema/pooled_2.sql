-- The owner sees the rows for this once; the policies are forced again before the transaction ends.
ALTER TABLE pooled.log_head NO FORCE ROW LEVEL SECURITY;
UPDATE pooled.log_head SET generation = tenant.generation FROM tenantry.tenant WHERE tenant.id = log_head.tenant_id;
