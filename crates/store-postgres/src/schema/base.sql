-- What every database with tenants in it has: how it knows which tenant a transaction is of.

-- The padded blocks of the key that tokens are made under. Only the owner reads them.
CREATE TABLE tenantry.token_pad(
    only_row bool PRIMARY KEY DEFAULT true CHECK (only_row),
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL
);

-- The tenant that the transaction's token is of, or nothing: for no token, a wrong or a forged one, one that has
-- ended, and one that would hold for longer than a minute.
CREATE FUNCTION tenantry.current_tenant() RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text := current_setting('tenantry.tenant', true);
    pads tenantry.token_pad;
    now_millis numeric := extract(epoch FROM clock_timestamp()) * 1000;
    end_millis numeric;
    mac bytea;
BEGIN
    IF token IS NULL OR token !~ '^[0-9a-f]{32}\.[0-9]{1,16}\.[0-9a-f]{64}$' THEN
        RETURN NULL;
    END IF;
    end_millis := split_part(token, '.', 2)::numeric;
    IF end_millis <= now_millis OR end_millis > now_millis + 60000 THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT pads FROM tenantry.token_pad;
    mac := sha256(pads.outer_pad || sha256(pads.inner_pad || convert_to(left(token, -65), 'UTF8')));
    -- Hashed once more under the key, so that how long the comparison takes says nothing about the code.
    IF sha256(pads.outer_pad || mac) = sha256(pads.outer_pad || decode(right(token, 64), 'hex')) THEN
        RETURN decode(left(token, 32), 'hex');
    END IF;
    RETURN NULL;
END
$$;
