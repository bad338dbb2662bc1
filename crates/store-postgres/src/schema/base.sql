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
    mac bytea;
    left_millis numeric;
BEGIN
    -- 16 bytes, thirteen digits and 32 bytes. A regular expression takes twice as long as all the rest.
    IF token IS NULL OR length(token) <> 111 OR translate(token, '0123456789abcdef', '') <> '..'
        OR substr(token, 33, 1) <> '.' OR substr(token, 47, 1) <> '.' THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT pads FROM tenantry.token_pad;
    mac := sha256(pads.outer_pad || sha256(pads.inner_pad || convert_to(left(token, 46), 'UTF8')));
    -- Hashed once more under the key, so that how long the comparison takes says nothing about the code.
    IF sha256(pads.outer_pad || mac) <> sha256(pads.outer_pad || decode(right(token, 64), 'hex')) THEN
        RETURN NULL;
    END IF;
    left_millis := substr(token, 34, 13)::numeric - extract(epoch FROM clock_timestamp()) * 1000;
    IF left_millis <= 0 OR left_millis > 60000 THEN
        RETURN NULL;
    END IF;
    RETURN decode(left(token, 32), 'hex');
END
$$;
