-- Roles that reach a tenant here no more, since its data have moved to another home. For such a role the tenant's token
-- opens nothing, so that no server goes on with the old data, whatever it remembers. Only the owner reads and writes it.
CREATE TABLE tenantry.moved(
    tenant bytea NOT NULL CHECK (octet_length(tenant) = 16),
    role text NOT NULL,
    PRIMARY KEY (tenant, role)
);

CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text := current_setting('tenantry.tenant', true);
    inner_key bytea;
    outer_key bytea;
    has_left bool;
    mac bytea;
    left_millis numeric;
BEGIN
    -- 16 bytes, thirteen digits and 32 bytes. A regular expression takes twice as long as all the rest.
    IF token IS NULL OR length(token) <> 111 OR translate(token, '0123456789abcdef', '') <> '..'
        OR substr(token, 33, 1) <> '.' OR substr(token, 47, 1) <> '.' THEN
        RETURN NULL;
    END IF;
    -- The role that has connected, not the owner that this function is carried out as.
    SELECT inner_pad, outer_pad, EXISTS(SELECT 1 FROM tenantry.moved
            WHERE moved.tenant = decode(left(token, 32), 'hex') AND moved.role = session_user)
        INTO STRICT inner_key, outer_key, has_left FROM tenantry.token_pad;
    mac := sha256(outer_key || sha256(inner_key || convert_to(left(token, 46), 'UTF8')));
    -- Hashed once more under the key, so that how long the comparison takes says nothing about the code.
    IF sha256(outer_key || mac) <> sha256(outer_key || decode(right(token, 64), 'hex')) THEN
        RETURN NULL;
    END IF;
    left_millis := substr(token, 34, 13)::numeric - extract(epoch FROM clock_timestamp()) * 1000;
    IF has_left OR left_millis <= 0 OR left_millis > 60000 THEN
        RETURN NULL;
    END IF;
    RETURN decode(left(token, 32), 'hex');
END
$$;
