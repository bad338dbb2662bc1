-- The write that every transaction of a tenant's is made of, as functions of the role that calls them: a session plans
-- what stands in a function once, and a statement each time. They stand beside the tables, and see what their caller does.
-- WORK is the table of work that is not over.

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
LANGUAGE plpgsql AS $$
DECLARE
    own bytea := tenantry.current_tenant();
    came int8;
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
        PERFORM 1 FROM WORK AS work JOIN unnest(held, holders, fences) AS it(id, holder, fence) USING (id)
        WHERE work.tenant_id = own AND work.kind = 'run' AND work.holder = it.holder AND work.fence = it.fence
        FOR SHARE OF work;
        GET DIAGNOSTICS came = ROW_COUNT;
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
        UPDATE run SET status = it.status, cursor = it.cursor, finished_at = it.finished_at, events = it.events,
            run = it.run, state = it.state
        FROM unnest(moved_ids, moved_statuses, moved_from, moved_cursors, moved_ends, moved_events, moved_runs,
            moved_states) AS it(id, status, before, cursor, finished_at, events, run, state)
        WHERE run.tenant_id = own AND run.id = it.id AND run.cursor = it.before;
        GET DIAGNOSTICS came = ROW_COUNT;
        IF came <> cardinality(moved_ids) THEN
            RAISE EXCEPTION 'a run has moved' USING ERRCODE = 'TN001';
        END IF;
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
        DELETE FROM WORK AS open USING unnest(closed_kinds, closed_ids) AS it(kind, id)
        WHERE open.tenant_id = own AND open.kind = it.kind AND open.id = it.id;
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

-- Which of these runs there are, and where each stands.
CREATE OR REPLACE FUNCTION places_of_runs(ids text[])
RETURNS TABLE(id text, cursor int8, events int8, bytes int8)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT run.id, run.cursor, run.events,
        octet_length(run.run)::int8 + octet_length(run.state)::int8 FROM run WHERE run.tenant_id = tenantry.current_tenant() AND run.id = ANY(ids);
END
$$;

-- How long the steps of these runs are.
CREATE OR REPLACE FUNCTION lengths_of_steps(runs text[])
RETURNS TABLE(run text, place text, bytes int8)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT run_part.run, run_part.place, octet_length(run_part.body)::int8 FROM run_part
    WHERE run_part.tenant_id = tenantry.current_tenant() AND run_part.run = ANY(runs) AND run_part.kind = 'step';
END
$$;
