//! Mistakes that somebody may make in a database, and how each of them is named.

/// A mistake, how it is taken back, and the beginnings of lines that name it.
pub struct Mistake {
    pub open: &'static str,
    pub close: &'static str,
    pub named: &'static [&'static str],
    /// Those of lines that name it where tables are shared, besides.
    pub shared: &'static [&'static str],
}

const fn mistake(open: &'static str, close: &'static str, named: &'static [&'static str]) -> Mistake {
    Mistake { open, close, named, shared: &[] }
}

impl Mistake {
    const fn shown(self, shared: &'static [&'static str]) -> Self {
        Self { shared, ..self }
    }
}

/// Mistakes that do not hide each other, since each is about something of its own. They are named in every kind of home.
pub const EVERYWHERE: &[Mistake] = &[
    mistake(
        "ALTER TABLE {s}.run NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE {s}.run FORCE ROW LEVEL SECURITY",
        &["catalog | pg_class of * | row-level security that does not hold for everybody: it is not forced"],
    ),
    mistake(
        "CREATE VIEW {s}.seen AS SELECT * FROM {v}.record; GRANT SELECT ON {s}.seen TO {role}",
        "DROP VIEW {s}.seen",
        &["catalog | every view | a view that reads with its owner's rights: *.seen"],
    ),
    mistake(
        "CREATE FUNCTION {s}.peek() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
         AS 'SELECT it::text FROM {v}.record AS it'",
        "DROP FUNCTION {s}.peek()",
        &["catalog | every function | a function that works with its owner's rights: *.peek()"],
    ),
    mistake(
        "GRANT SELECT ON {s}.call TO PUBLIC",
        "REVOKE SELECT ON {s}.call FROM PUBLIC",
        &["catalog | pg_class of *.call | rights of others than the owner and the role: PUBLIC has SELECT"],
    ),
    mistake(
        "CREATE POLICY wide ON {s}.delivery USING (true)",
        "DROP POLICY wide ON {s}.delivery",
        &["catalog | pg_policy of *.delivery | a policy that is wider than ours, or another: wide"],
    ),
    mistake(
        "DROP POLICY only_own ON {s}.usage_hour; DROP POLICY own ON {s}.usage_hour;
         CREATE POLICY own ON {s}.usage_hour USING (tenant_id = (SELECT tenantry.current_tenant())) WITH CHECK (true);
         CREATE POLICY only_own ON {s}.usage_hour AS RESTRICTIVE
            USING (tenant_id = (SELECT tenantry.current_tenant())) WITH CHECK (true)",
        "DROP POLICY only_own ON {s}.usage_hour; DROP POLICY own ON {s}.usage_hour;
         CREATE POLICY own ON {s}.usage_hour USING (tenant_id = (SELECT tenantry.current_tenant()))
            WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()));
         CREATE POLICY only_own ON {s}.usage_hour AS RESTRICTIVE
            USING (tenant_id = (SELECT tenantry.current_tenant()))
            WITH CHECK (tenant_id = (SELECT tenantry.current_tenant()))",
        &[
            "catalog | pg_policy of *.usage_hour | a policy that does not check what is written: only_own, own",
            "INSERT | *.usage_hour | a row for the victim",
            "UPDATE | *.usage_hour | an own row becomes the victim's",
        ],
    ),
    mistake(
        "GRANT pg_monitor TO {role}",
        "REVOKE pg_monitor FROM {role}",
        &[
            "catalog | pg_auth_members | a role whose rights the attacker's role has: pg_monitor",
            "SELECT | pg_stat_activity | statements of other roles",
        ],
    ),
    // It is `pg_monitor` that shows others' texts there.
    mistake(
        "GRANT USAGE ON SCHEMA public TO {role}",
        "REVOKE USAGE ON SCHEMA public FROM {role}",
        &["footing | other schemas", "SELECT | pg_stat_statements | statements of other roles"],
    ),
    mistake(
        "CREATE UNIQUE INDEX by_id ON {s}.object(id)",
        "DROP INDEX {s}.by_id",
        &["catalog | pg_index of *.object | a key in which the tenant does not stand: *.by_id"],
    ),
    mistake(
        "ALTER TABLE {s}.merkle_node OWNER TO {role}",
        "ALTER TABLE {s}.merkle_node OWNER TO {owner};
         GRANT SELECT, INSERT, UPDATE, DELETE ON {s}.merkle_node TO {role}",
        &[
            "catalog | pg_class of *.merkle_node | an owner that the attacker's role is",
            "footing | the role's attributes",
            "TRUNCATE | *.merkle_node | everybody's rows are removed",
        ],
    ),
    mistake(
        "GRANT SELECT ON tenantry.token_pad TO {role}",
        "REVOKE SELECT ON tenantry.token_pad FROM {role}",
        &["SELECT | tenantry.token_pad | the key of tokens: it was carried out"],
    ),
    mistake(
        "CREATE FUNCTION {s}.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER spy AFTER INSERT ON {s}.collection EXECUTE FUNCTION {s}.spy()",
        "DROP TRIGGER spy ON {s}.collection; DROP FUNCTION {s}.spy()",
        &["catalog | pg_trigger, pg_rewrite of *.collection | something that is carried out with each write: spy"],
    ),
    mistake(
        "ALTER TABLE {s}.remembered DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {s}.remembered ENABLE ROW LEVEL SECURITY",
        &[
            "SELECT | *.remembered | the transaction says no tenant",
            "SELECT | *.remembered | after the victim's transaction was cancelled",
            "COPY FROM | *.remembered",
            "SELECT | *.remembered | the policies are left out",
        ],
    ),
];

/// What the same mistakes show where tables are shared.
pub const SHOWN_IN_SHARED: &[&str] = &[
    "SELECT | every view, table and function that was added | rows of the victim's: pooled.seen, pooled.peek()",
    "INSERT | *.object | a key tells whether the victim has a row",
    "SELECT | *.remembered | the filter by tenant is forgotten",
    "SELECT | *.remembered | a condition that fails at rows of others",
    "SELECT FOR UPDATE | *.remembered",
    "SELECT TABLESAMPLE | *.remembered",
    "SELECT | *.remembered | rows are asked for by where they lie",
    "SELECT | *.remembered | the setting is replaced within the statement",
    "query_to_xml | *.remembered",
    "COPY TO | *.remembered",
    "EXECUTE | *.remembered",
    "UPDATE | *.remembered | the victim's rows become the attacker's",
    "DELETE | *.remembered | the victim's rows are removed",
];

/// Mistakes that are everybody's, one after the other.
pub const ONE_BY_ONE: &[Mistake] = &[
    mistake(
        "GRANT {owner} TO {role}",
        "REVOKE {owner} FROM {role}",
        &[
            "catalog | pg_auth_members",
            "SET ROLE | the owner's role",
            "ALTER TABLE | object | the policies are turned off",
            "CREATE POLICY | object",
            "CREATE FUNCTION | tenantry.current_tenant",
        ],
    ),
    mistake(
        "ALTER TABLE {s}.object DISABLE ROW LEVEL SECURITY; GRANT SELECT ON pg_statistic TO {role};
         CREATE STATISTICS {s}.seen ON kind, id FROM {s}.object; ALTER TABLE {s}.object OWNER TO {role};
         ANALYZE {s}.object",
        "ALTER TABLE {s}.object ENABLE ROW LEVEL SECURITY; REVOKE SELECT ON pg_statistic FROM {role};
         DROP STATISTICS {s}.seen; ALTER TABLE {s}.object OWNER TO {owner};
         GRANT SELECT, INSERT, UPDATE, DELETE ON {s}.object TO {role}",
        &["SELECT | *.object | the transaction says no tenant", "SELECT | pg_statistic | values in statistics"],
    )
    .shown(&["SELECT | pg_stats | values in statistics", "SELECT | pg_stats_ext | values in statistics"]),
    // The function of every write believes whom it is told, and does what its maker may do.
    mistake(
        "CREATE TEMP TABLE kept AS SELECT pg_get_functiondef(oid) AS was FROM pg_proc
            WHERE proname = 'write_all' AND pronamespace = '{s}'::regnamespace;
         DO $do$ BEGIN EXECUTE (SELECT replace(replace(was, 'LANGUAGE plpgsql', 'LANGUAGE plpgsql SECURITY DEFINER'),
            'own bytea := tenantry.current_tenant()', 'own bytea := meant') FROM kept); END $do$",
        "DO $do$ BEGIN EXECUTE (SELECT was FROM kept); END $do$; DROP TABLE kept",
        &[
            "SELECT | *.write_all | the victim is the one that is meant: it was carried out",
            "SELECT | *.write_all | the victim is meant, and the transaction says no tenant: it was carried out",
            "catalog | every function | a function that works with its owner's rights: *write_all",
        ],
    ),
    // The same as one for whom the policies do not hold, and who asks for a run's id alone.
    mistake(
        "CREATE TEMP TABLE kept AS SELECT pg_get_functiondef(oid) AS was FROM pg_proc
            WHERE proname = 'write_all' AND pronamespace = '{s}'::regnamespace;
         DO $do$ BEGIN EXECUTE (SELECT replace(replace(was, 'LANGUAGE plpgsql', 'LANGUAGE plpgsql SECURITY DEFINER'),
            'run.tenant_id = own AND run.id', 'run.id') FROM kept); END $do$;
         ALTER FUNCTION {s}.write_all OWNER TO CURRENT_USER",
        "ALTER FUNCTION {s}.write_all OWNER TO {owner};
         DO $do$ BEGIN EXECUTE (SELECT was FROM kept); END $do$; DROP TABLE kept",
        &["catalog | every function | a function that works with its owner's rights: *write_all"],
    )
    .shown(&["SELECT | pooled.write_all | a run of the victim's is moved: rows of the victim's were changed"]),
    // A tenant's id is believed as it is, and no code is asked for.
    mistake(
        "CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS bytea LANGUAGE sql STABLE SECURITY DEFINER
         AS $$ SELECT decode(left(nullif(current_setting('tenantry.tenant', true), ''), 32), 'hex') $$",
        "",
        &[],
    )
    .shown(&[
        "SELECT | pooled.run | the transaction says the victim's id and proves nothing",
        "SELECT | pooled.run | the victim's id under the code of another token",
        "SELECT | pooled.run | a token that has ended is shown again",
        "SELECT | pooled.run | a token with a later end than was signed",
        "SELECT | pooled.run | a token that holds for longer than the database takes",
        "SELECT | pooled.run | a token that lacks its last digit",
        "SELECT | pooled.run | two tokens in one setting",
    ]),
];
