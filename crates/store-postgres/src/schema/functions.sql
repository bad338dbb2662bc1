-- The writes that every transaction of a tenant's is made of, as functions of the role that calls them: a session plans
-- what stands in a function once, and a statement each time. They stand beside the tables, and see what their caller does.

CREATE OR REPLACE FUNCTION begin_calls(ids text[], kinds text[], starts int8[], bodies bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO call(tenant_id, id, kind, status, started_at, cached, body)
    SELECT (SELECT tenantry.current_tenant()), it.id, it.kind, 'open', it.started_at, false, it.body
    FROM unnest(ids, kinds, starts, bodies) AS it(id, kind, started_at, body)
    ON CONFLICT ON CONSTRAINT call_pkey DO UPDATE SET started_at = excluded.started_at, body = excluded.body
    WHERE call.status = 'open';
END
$$;

-- Gives the ids of the calls that had no outcome.
CREATE OR REPLACE FUNCTION end_calls(ids text[], kinds text[], statuses text[], starts int8[], ends int8[],
    from_cache bool[], bodies bytea[], outcomes bytea[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    INSERT INTO call(tenant_id, id, kind, status, started_at, finished_at, cached, body, outcome)
    SELECT (SELECT tenantry.current_tenant()), *
    FROM unnest(ids, kinds, statuses, starts, ends, from_cache, bodies, outcomes)
    ON CONFLICT ON CONSTRAINT call_pkey DO UPDATE SET kind = excluded.kind, status = excluded.status,
        started_at = excluded.started_at, finished_at = excluded.finished_at, cached = excluded.cached,
        body = excluded.body, outcome = excluded.outcome
    WHERE call.outcome IS NULL RETURNING call.id;
END
$$;

CREATE OR REPLACE FUNCTION put_sums(hours int8[], kinds text[], targets text[], keys text[], agents text[],
    workflows text[], sums text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_hour(tenant_id, hour, kind, target, key, agent, workflow, totals)
    SELECT (SELECT tenantry.current_tenant()), * FROM unnest(hours, kinds, targets, keys, agents, workflows, sums)
    ON CONFLICT ON CONSTRAINT usage_hour_pkey DO UPDATE SET totals = excluded.totals;
END
$$;

-- What every transaction ends with: its events, the nodes of the tree that they complete, and the log's head.
CREATE OR REPLACE FUNCTION put_log(log_epoch int8, numbers int8[], times int8[], actions text[], actors text[],
    resources text[], ids text[], hashes bytea[], leaves bytea[], shown bytea[],
    levels int8[], places int8[], roots bytea[],
    log_size int8, log_hash bytea, log_frontier bytea, stored int8, rests bool) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(numbers) > 0 THEN
        INSERT INTO audit_event(tenant_id, epoch, number, time, action, actor, resource, event_id, hash, leaf,
            disclosures)
        SELECT (SELECT tenantry.current_tenant()), log_epoch, *
        FROM unnest(numbers, times, actions, actors, resources, ids, hashes, leaves, shown);
    END IF;
    IF cardinality(levels) > 0 THEN
        INSERT INTO merkle_node(tenant_id, epoch, level, number, hash)
        SELECT (SELECT tenantry.current_tenant()), log_epoch, * FROM unnest(levels, places, roots);
    END IF;
    UPDATE log_head SET size = log_size, last_hash = log_hash, frontier = log_frontier, stored_bytes = stored,
        at_rest = rests
    -- The one row that the policies leave. Where somebody has taken them away it is one all the same.
    WHERE tenant_id = (SELECT tenantry.current_tenant());
END
$$;

-- Which of these runs there are, and where each stands.
CREATE OR REPLACE FUNCTION places_of_runs(ids text[])
RETURNS TABLE(id text, cursor int8, events int8, bytes int8)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT run.id, run.cursor, run.events,
        octet_length(run.run)::int8 + octet_length(run.state)::int8 FROM run WHERE run.id = ANY(ids);
END
$$;

CREATE OR REPLACE FUNCTION lengths_of_steps(runs text[], steps text[])
RETURNS TABLE(run text, place text, bytes int8)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT run_part.run, run_part.place, octet_length(run_part.body)::int8 FROM run_part
    JOIN unnest(runs, steps) AS it(run, place) ON run_part.run = it.run AND run_part.place = it.place
    WHERE run_part.kind = 'step';
END
$$;

CREATE OR REPLACE FUNCTION move_runs(ids text[], statuses text[], cursors int8[], ends int8[], counts int8[],
    runs bytea[], states bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE run SET status = it.status, cursor = it.cursor, finished_at = it.finished_at, events = it.events,
        run = it.run, state = it.state
    FROM unnest(ids, statuses, cursors, ends, counts, runs, states)
        AS it(id, status, cursor, finished_at, events, run, state)
    WHERE run.id = it.id;
END
$$;

CREATE OR REPLACE FUNCTION put_run_parts(runs text[], kinds text[], places text[], bodies bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_part(tenant_id, run, kind, place, body)
    SELECT (SELECT tenantry.current_tenant()), * FROM unnest(runs, kinds, places, bodies)
    ON CONFLICT ON CONSTRAINT run_part_pkey DO UPDATE SET body = excluded.body;
END
$$;
