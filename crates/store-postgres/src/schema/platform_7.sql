-- Which of its audit logs a tenant writes, and as which of the servers that came one after the other: one that was imported
-- goes on as it did where it was.
ALTER TABLE tenantry.tenant
    ADD COLUMN log_epoch int8 NOT NULL DEFAULT 1,
    ADD COLUMN log_generation int8 NOT NULL DEFAULT 1;
