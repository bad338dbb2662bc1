-- A run's parts are written many times and go once, with their run. A foreign key would be asked for each of them; whoever
-- removes a run removes them.
ALTER TABLE run_part DROP CONSTRAINT run_part_tenant_id_run_fkey;
-- Rows that are written anew all the time: with room beside them that takes no new entry in their indexes.
ALTER TABLE run SET (fillfactor = 60);
ALTER TABLE log_head SET (fillfactor = 20);
-- A declared range index: what an order sees of each record's value of the field, in clear. Texts are kept up to some
-- length, and numbers as fractions, so that what is found is compared again. Backups from before have no such column.
ALTER TABLE collection ADD COLUMN range_indexes text[];
CREATE TABLE record_range(
    tenant_id bytea NOT NULL DEFAULT tenantry.current_tenant(),
    collection text NOT NULL,
    field text NOT NULL,
    -- Nothing, then numbers, then text.
    rank int2 NOT NULL,
    number float8 NOT NULL,
    text text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, collection, field, id),
    FOREIGN KEY (tenant_id, collection, id) REFERENCES record ON DELETE CASCADE
);
CREATE INDEX record_range_in_order ON record_range(tenant_id, collection, field, rank, number, text);
CREATE INDEX record_range_by_record ON record_range(tenant_id, collection, id);
