-- A tenant is also moved to another kind of home. While it is, its row stands here as one more that is to be served.
ALTER TABLE tenantry.provisioning
    DROP CONSTRAINT provisioning_what_check,
    ADD CONSTRAINT provisioning_what_check CHECK (what IN ('make', 'remove', 'move')),
    DROP CONSTRAINT provisioning_isolation_check,
    ADD CONSTRAINT provisioning_isolation_check
        CHECK (isolation IN ('schema', 'dedicated') OR what = 'move' AND isolation = 'pooled');
-- How far a tenant's last move is. It outlives the row above, which goes when the move has ended.
CREATE TABLE tenantry.move(
    tenant bytea PRIMARY KEY CHECK (octet_length(tenant) = 16),
    job int8 NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    phase text NOT NULL DEFAULT 'making' CHECK (phase IN
        ('making', 'copying', 'comparing', 'switching', 'removing', 'undoing', 'done', 'failed')),
    -- Changes that no transaction before this one made are not copied yet.
    since text,
    rows int8,
    paused_millis int8,
    error text,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    switched_at timestamptz,
    ended_at timestamptz
);
