-- A run's parts are written many times and go once, with their run. A foreign key would be asked for each of them, so
-- that what goes with the run is removed when the run is.
ALTER TABLE run_part DROP CONSTRAINT run_part_tenant_id_run_fkey;
CREATE FUNCTION forget_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.run_part USING gone WHERE run_part.tenant_id = gone.tenant_id
        AND run_part.run = gone.id', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;
CREATE TRIGGER run_is_gone AFTER DELETE ON run REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_parts();
-- Rows that are written anew all the time: with room beside them that takes no new entry in their indexes.
ALTER TABLE run SET (fillfactor = 60);
ALTER TABLE log_head SET (fillfactor = 20);
