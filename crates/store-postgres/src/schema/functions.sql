-- The write that every transaction of a tenant's is made of, as functions of the role that calls them: a session plans
-- what stands in a function once, and a statement each time. They stand beside the tables, and see what their caller does.
-- All of it is planned once, and so that rows are found by their whole keys, each by itself (LATERAL and OFFSET 0 say so): a
-- session that began while the tables were small, or where most tenants are, would else read all that a tenant has.

-- Everything that a transaction writes, and which transaction the log's head is of then. Where `version` is given, the
-- caller has asked nothing first: it goes by what the head's row was when it wrote it, holds no leases but these, and
-- knows of no outcome of the calls that end. Where any of that is otherwise nothing is written.
CREATE OR REPLACE FUNCTION write_all(meant bytea, version int8, held bytea[], holders bytea[], fences int8[],
    begun_ids text[], begun_kinds text[], begun_starts int8[], begun_bodies bytea[],
    ended_ids text[], ended_kinds text[], ended_statuses text[], ended_starts int8[], ended_ends int8[],
    ended_cached bool[], ended_bodies bytea[], ended_outcomes bytea[],
    sum_hours int8[], sum_kinds text[], sum_targets text[], sum_keys text[], sum_agents text[], sum_workflows text[],
    sums text[],
    made_ids text[], made_workflows text[], made_statuses text[], made_cursors int8[], made_ends int8[],
    made_runs bytea[], made_frozen bytea[], made_states bytea[],
    moved_ids text[], moved_statuses text[], moved_from int8[], moved_cursors int8[], moved_ends int8[],
    moved_events int8[], moved_runs bytea[], moved_states bytea[],
    part_runs text[], part_kinds text[], part_places text[], part_bodies bytea[],
    opened_kinds text[], opened_ids bytea[], opened_dues int8[], closed_kinds text[], closed_ids bytea[],
    log_epoch int8, numbers int8[], times int8[], actions text[], actors text[], resources text[], event_ids text[],
    hashes bytea[], leaves bytea[], shown bytea[], levels int8[], places int8[], roots bytea[],
    log_size int8, log_hash bytea, log_frontier bytea, stored int8, rests bool) RETURNS int8
LANGUAGE plpgsql KEYED AS $$
DECLARE
    own bytea := tenantry.current_tenant();
    came int8;
    moving tid[];
BEGIN
    IF own IS DISTINCT FROM meant THEN
        RAISE EXCEPTION 'another tenant' USING ERRCODE = 'TN002';
    END IF;
    IF version IS NOT NULL THEN
        SELECT xmin::text::int8 INTO came FROM log_head WHERE tenant_id = own FOR UPDATE;
        IF came IS DISTINCT FROM version THEN
            RAISE EXCEPTION 'the log has gone on' USING ERRCODE = 'TN001';
        END IF;
    END IF;
    IF cardinality(held) > 0 THEN
        SELECT count(*) INTO came FROM unnest(held, holders, fences) AS it(id, holder, fence)
        CROSS JOIN LATERAL (SELECT 1 FROM WORK AS work WHERE work.tenant_id = own AND work.kind = 'run'
            AND work.id = it.id AND work.holder = it.holder AND work.fence = it.fence FOR SHARE) AS lease;
        IF came <> cardinality(held) THEN
            RAISE EXCEPTION 'a lease is lost' USING ERRCODE = 'TN001';
        END IF;
    END IF;
    IF cardinality(begun_ids) > 0 THEN
        INSERT INTO call(tenant_id, id, kind, status, started_at, cached, body)
        SELECT own, it.id, it.kind, 'open', it.started_at, false, it.body
        FROM unnest(begun_ids, begun_kinds, begun_starts, begun_bodies) AS it(id, kind, started_at, body)
        ON CONFLICT ON CONSTRAINT call_pkey DO UPDATE SET started_at = excluded.started_at, body = excluded.body
        WHERE call.status = 'open';
    END IF;
    IF cardinality(ended_ids) > 0 THEN
        INSERT INTO call(tenant_id, id, kind, status, started_at, finished_at, cached, body, outcome)
        SELECT own, * FROM unnest(ended_ids, ended_kinds, ended_statuses, ended_starts, ended_ends, ended_cached,
            ended_bodies, ended_outcomes)
        ON CONFLICT ON CONSTRAINT call_pkey DO UPDATE SET kind = excluded.kind, status = excluded.status,
            started_at = excluded.started_at, finished_at = excluded.finished_at, cached = excluded.cached,
            body = excluded.body, outcome = excluded.outcome
        WHERE call.outcome IS NULL;
        GET DIAGNOSTICS came = ROW_COUNT;
        IF came <> cardinality(ended_ids) THEN
            RAISE EXCEPTION 'a call has an outcome' USING ERRCODE = 'TN001';
        END IF;
        INSERT INTO usage_hour(tenant_id, hour, kind, target, key, agent, workflow, totals)
        SELECT own, * FROM unnest(sum_hours, sum_kinds, sum_targets, sum_keys, sum_agents, sum_workflows, sums)
        ON CONFLICT ON CONSTRAINT usage_hour_pkey DO UPDATE SET totals = excluded.totals;
    END IF;
    IF cardinality(made_ids) > 0 THEN
        INSERT INTO run(tenant_id, id, workflow, status, cursor, finished_at, events, run, frozen, state)
        SELECT own, id, workflow, status, cursor, finished_at, 0, run, frozen, state
        FROM unnest(made_ids, made_workflows, made_statuses, made_cursors, made_ends, made_runs, made_frozen, made_states)
            AS it(id, workflow, status, cursor, finished_at, run, frozen, state);
    END IF;
    IF cardinality(moved_ids) > 0 THEN
        SELECT array_agg(found.at ORDER BY it.number) INTO moving
        FROM unnest(moved_ids, moved_from) WITH ORDINALITY AS it(id, before, number)
        CROSS JOIN LATERAL (SELECT run.ctid AS at FROM run WHERE run.tenant_id = own AND run.id = it.id
            AND run.cursor = it.before OFFSET 0) AS found;
        IF coalesce(cardinality(moving), 0) <> cardinality(moved_ids) THEN
            RAISE EXCEPTION 'a run has moved' USING ERRCODE = 'TN001';
        END IF;
        PERFORM move_runs(moving, moved_statuses, moved_cursors, moved_ends, moved_events, moved_runs, moved_states);
    END IF;
    IF cardinality(part_runs) > 0 THEN
        INSERT INTO run_part(tenant_id, run, kind, place, body)
        SELECT own, * FROM unnest(part_runs, part_kinds, part_places, part_bodies)
        ON CONFLICT ON CONSTRAINT run_part_pkey DO UPDATE SET body = excluded.body;
    END IF;
    -- A run that waits for a time is let go of with that.
    IF cardinality(opened_kinds) > 0 THEN
        INSERT INTO WORK AS old(tenant_id, kind, id, due)
        SELECT own, * FROM unnest(opened_kinds, opened_ids, opened_dues)
        ON CONFLICT (tenant_id, kind, id) DO UPDATE SET due = excluded.due,
            holder = CASE WHEN excluded.due IS NULL THEN old.holder END,
            held_until = CASE WHEN excluded.due IS NULL THEN old.held_until END;
    END IF;
    IF cardinality(closed_kinds) > 0 THEN
        -- Held first: one that somebody changes at this moment stands elsewhere afterwards, and is seen by the next statement.
        PERFORM 1 FROM unnest(closed_kinds, closed_ids) AS it(kind, id)
        CROSS JOIN LATERAL (SELECT 1 FROM WORK AS work WHERE work.tenant_id = own
            AND work.kind = it.kind AND work.id = it.id FOR UPDATE) AS held;
        DELETE FROM WORK AS open USING unnest(closed_kinds, closed_ids) AS it(kind, id)
        CROSS JOIN LATERAL (SELECT work.ctid AS at FROM WORK AS work WHERE work.tenant_id = own
            AND work.kind = it.kind AND work.id = it.id OFFSET 0) AS found
        WHERE open.ctid = found.at;
    END IF;
    IF cardinality(numbers) > 0 THEN
        INSERT INTO audit_event(tenant_id, epoch, number, time, action, actor, resource, event_id, hash, leaf,
            disclosures)
        SELECT own, log_epoch, * FROM unnest(numbers, times, actions, actors, resources, event_ids, hashes, leaves, shown);
    END IF;
    IF cardinality(levels) > 0 THEN
        INSERT INTO merkle_node(tenant_id, epoch, level, number, hash)
        SELECT own, log_epoch, * FROM unnest(levels, places, roots);
    END IF;
    -- The one row that the policies leave. Where somebody has taken them away it is one all the same.
    UPDATE log_head SET size = log_size, last_hash = log_hash, frontier = log_frontier, stored_bytes = stored,
        at_rest = rests WHERE tenant_id = own
    RETURNING xmin::text::int8 INTO came;
    RETURN came;
END
$$;

-- Moves the runs that stand at these places, which nobody else moves meanwhile: whoever asks holds the log's head.
CREATE OR REPLACE FUNCTION move_runs(places tid[], statuses text[], cursors int8[], ends int8[], event_counts int8[],
    runs bytea[], states bytea[]) RETURNS void
LANGUAGE plpgsql KEYED SET enable_indexscan = off SET enable_bitmapscan = off AS $$
BEGIN
    UPDATE run SET status = it.status, cursor = it.cursor, finished_at = it.finished_at, events = it.events,
        run = it.run, state = it.state
    FROM unnest(places, statuses, cursors, ends, event_counts, runs, states)
        AS it(at, status, cursor, finished_at, events, run, state)
    WHERE run.ctid = it.at AND run.ctid = ANY(places);
END
$$;

-- Which of these runs there are, and where each stands.
CREATE OR REPLACE FUNCTION places_of_runs(ids text[])
RETURNS TABLE(id text, cursor int8, events int8, bytes int8)
LANGUAGE plpgsql STABLE KEYED AS $$
DECLARE
    own bytea := tenantry.current_tenant();
BEGIN
    RETURN QUERY SELECT found.* FROM unnest(ids) AS it(id)
    CROSS JOIN LATERAL (SELECT run.id, run.cursor, run.events,
            octet_length(run.run)::int8 + octet_length(run.state)::int8
        FROM run WHERE run.tenant_id = own AND run.id = it.id OFFSET 0) AS found;
END
$$;

-- How long the steps of these runs are.
CREATE OR REPLACE FUNCTION lengths_of_steps(runs text[])
RETURNS TABLE(run text, place text, bytes int8)
LANGUAGE plpgsql STABLE KEYED AS $$
DECLARE
    own bytea := tenantry.current_tenant();
BEGIN
    RETURN QUERY SELECT found.* FROM unnest(runs) AS it(run)
    CROSS JOIN LATERAL (SELECT part.run, part.place, octet_length(part.body)::int8
        FROM run_part AS part WHERE part.tenant_id = own AND part.run = it.run AND part.kind = 'step' OFFSET 0) AS found;
END
$$;

-- The records with these keys, each with the number that it was asked under.
CREATE OR REPLACE FUNCTION records_of(collections text[], ids text[])
RETURNS TABLE(id text, created_at int8, updated_at int8, version int8, data bytea, number int8)
LANGUAGE plpgsql STABLE KEYED AS $$
DECLARE
    own bytea := tenantry.current_tenant();
BEGIN
    RETURN QUERY SELECT found.*, asked.number
    FROM unnest(collections, ids) WITH ORDINALITY AS asked(collection, id, number)
    CROSS JOIN LATERAL (SELECT record.id, record.created_at, record.updated_at, record.version, record.data
        FROM record WHERE record.tenant_id = own AND record.collection = asked.collection AND record.id = asked.id
        OFFSET 0) AS found;
END
$$;
