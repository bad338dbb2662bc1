-- Counts the changes of what servers remember between requests, so that each of them learns soon that it has to read it
-- anew. The count goes up in the change's own transaction, whoever makes it.
CREATE TABLE tenantry.epoch(only_row bool PRIMARY KEY DEFAULT true CHECK (only_row), number int8 NOT NULL);
INSERT INTO tenantry.epoch(number) VALUES(1);
CREATE FUNCTION tenantry.count_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE tenantry.epoch SET number = number + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON tenantry.tenant
    FOR EACH STATEMENT EXECUTE FUNCTION tenantry.count_change();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON tenantry.plan
    FOR EACH STATEMENT EXECUTE FUNCTION tenantry.count_change();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON tenantry.credential
    FOR EACH STATEMENT EXECUTE FUNCTION tenantry.count_change();
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON tenantry.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION tenantry.count_change();
