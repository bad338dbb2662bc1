-- A run's parts are written many times and go once, with their run. A foreign key would be asked for each of them; whoever
-- removes a run removes them.
ALTER TABLE run_part DROP CONSTRAINT run_part_tenant_id_run_fkey;
-- Rows that are written anew all the time: with room beside them that takes no new entry in their indexes.
ALTER TABLE run SET (fillfactor = 60);
ALTER TABLE log_head SET (fillfactor = 20);
