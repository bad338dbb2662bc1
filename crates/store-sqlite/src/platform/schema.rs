//! The tables of the platform store.

use crate::error::Fault;
use sqlcipher::{Executor, set_user_version, user_version};

const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

const VERSION_1: &str = "
    CREATE TABLE own_key(name TEXT PRIMARY KEY, bytes BLOB NOT NULL);

    CREATE TABLE tenant(
        id BLOB PRIMARY KEY,
        name TEXT NOT NULL,
        external_id TEXT UNIQUE,
        region TEXT NOT NULL,
        plan TEXT NOT NULL,
        overrides TEXT NOT NULL,
        isolation TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        version INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX tenant_by_plan ON tenant(plan);
    -- Ids of deleted tenants, which are never used again.
    CREATE TABLE deleted_tenant(
        id BLOB PRIMARY KEY,
        deleted_at INTEGER NOT NULL,
        region TEXT NOT NULL,
        -- Whether files or journal entries may be left, since the server stopped before they were removed.
        unfinished INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX deleted_tenant_unfinished ON deleted_tenant(unfinished) WHERE unfinished = 1;
    -- The only place where a tenant's keys are, each wrapped by the master key.
    CREATE TABLE tenant_key(
        tenant BLOB NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        wrapped BLOB NOT NULL,
        PRIMARY KEY(tenant, kind)
    ) WITHOUT ROWID;

    CREATE TABLE plan(name TEXT PRIMARY KEY, limits TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE template(
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        id BLOB NOT NULL,
        definition TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY(name, version)
    );
    CREATE TABLE endpoint(name TEXT PRIMARY KEY, body TEXT NOT NULL);

    -- The credential index: keyed hashes, and what each stands for. Operators have no tenant.
    CREATE TABLE credential(
        hash BLOB PRIMARY KEY,
        tenant BLOB,
        subject_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        expires_at INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX credential_by_tenant ON credential(tenant, subject_id);
    CREATE TABLE key_use(key BLOB PRIMARY KEY, tenant BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX key_use_by_tenant ON key_use(tenant);
";

/// The answers to operators' repeated requests; without a status while a request is carried out.
const VERSION_2: &str = "
    CREATE TABLE operator_answer(
        key BLOB PRIMARY KEY,
        request BLOB NOT NULL,
        until INTEGER NOT NULL,
        status INTEGER,
        body BLOB
    ) WITHOUT ROWID;
    CREATE INDEX operator_answer_by_end ON operator_answer(until);
";

/// Which of its audit logs a tenant writes: another one begins where a restore could not read the present one.
const VERSION_3: &str = "ALTER TABLE tenant ADD COLUMN log_epoch INTEGER NOT NULL DEFAULT 1;";

/// How often the server as a whole was restored, counted from 1, and from which backup it was put back where
/// nobody has said yet that the server before it is gone.
const VERSION_4: &str = "
    CREATE TABLE server(
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        generation INTEGER NOT NULL,
        put_back_from TEXT,
        put_back_home TEXT
    );
    INSERT INTO server VALUES(1, 1, NULL, NULL);
";

/// Which grant to run the attack suite made a tenant, when that ends, and which of its places the tenant has.
/// Before, the external id said so, in a form that operators could not give.
const VERSION_5: &str = "
    ALTER TABLE tenant ADD COLUMN throwaway_grant TEXT;
    ALTER TABLE tenant ADD COLUMN throwaway_until INTEGER;
    ALTER TABLE tenant ADD COLUMN throwaway_slot INTEGER;
    UPDATE tenant SET external_id = NULL, throwaway_grant = 'key_' || substr(external_id, 14, 26),
        throwaway_until = CAST(substr(external_id, 41) AS INTEGER),
        throwaway_slot = CAST(substr(external_id, 41 + instr(substr(external_id, 41), '/')) AS INTEGER)
        WHERE substr(external_id, 1, 13) = 'verify-grant/';
    CREATE UNIQUE INDEX tenant_throwaway ON tenant(throwaway_grant, throwaway_slot)
        WHERE throwaway_grant IS NOT NULL;
";

/// Brings the platform store to the present version.
pub(super) fn migrate(connection: &mut Executor) -> Result<(), Fault> {
    let found = user_version(connection)?;
    if found as usize > MIGRATIONS.len() {
        return Err(Fault::NewerSchema);
    }
    for (version, statements) in (1..).zip(MIGRATIONS).skip(found as usize) {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {statements}"))?;
        set_user_version(connection, version)?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, migrate};
    use sqlcipher::{OpenOptions, open_memory, set_user_version};

    #[test]
    fn a_throwaway_tenant_of_an_earlier_version_stays_one() {
        sqlcipher::init().unwrap();
        let mut connection = open_memory(&OpenOptions::default()).unwrap();
        for statements in &MIGRATIONS[..3] {
            connection.execute_batch(statements).unwrap();
        }
        set_user_version(&connection, 3).unwrap();
        for (id, external_id) in
            [("1", "verify-grant/01ARZ3NDEKTSV4RRFFQ69G5FAV/1700000000123/2"), ("2", "crm-7")]
        {
            let insert = "INSERT INTO tenant VALUES(?1, 'n', ?2, 'r', 'p', '{}', 'i', 'active', 1, 0, 1, 1)";
            connection.execute(insert, [id, external_id]).unwrap();
        }
        migrate(&mut connection).unwrap();
        let select = "SELECT coalesce(external_id, '') || ' ' || coalesce(throwaway_grant, '') || ' '
            || coalesce(throwaway_until, '') || ' ' || coalesce(throwaway_slot, '') FROM tenant ORDER BY id";
        let mut select = connection.prepare(select).unwrap();
        let rows: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows, [" key_01ARZ3NDEKTSV4RRFFQ69G5FAV 1700000000123 2", "crm-7   "]);
    }
}
