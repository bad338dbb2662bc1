//! The tables of a tenant's database, and how older ones become the present ones: forward only, each
//! version once.

use crate::error::Fault;
use sqlcipher::{Executor, set_user_version, user_version};

/// Leads from one version to the next: statements, then what takes code.
struct Migration {
    statements: &'static str,
    then: fn(&Executor) -> Result<(), Fault>,
}

/// Each migration leads from the version of its index to the next.
const MIGRATIONS: &[Migration] = &[
    Migration { statements: VERSION_1, then: |_| Ok(()) },
    Migration { statements: VERSION_2, then: crate::areas::sum_up_calls },
    Migration { statements: VERSION_3, then: |_| Ok(()) },
    Migration { statements: VERSION_4, then: |_| Ok(()) },
];

/// The version that this program writes.
pub(crate) const LATEST: u32 = MIGRATIONS.len() as u32;

const VERSION_1: &str = "
    CREATE TABLE identity(
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        tenant BLOB NOT NULL,
        created_at INTEGER NOT NULL
    );
    -- The number of the last journal entry that the tables contain.
    CREATE TABLE folded(only_row INTEGER PRIMARY KEY CHECK (only_row = 1), through INTEGER NOT NULL);
    INSERT INTO folded VALUES(1, 0);

    CREATE TABLE object(
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        owner TEXT,
        body TEXT NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY(kind, id)
    ) WITHOUT ROWID;

    CREATE TABLE collection(name TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE record(
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        data TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        PRIMARY KEY(collection, id)
    );

    CREATE TABLE run(
        id TEXT PRIMARY KEY,
        workflow TEXT NOT NULL,
        status TEXT NOT NULL,
        finished_at INTEGER,
        cursor INTEGER NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL
    );
    CREATE INDEX run_by_workflow ON run(workflow, id);
    CREATE INDEX run_by_status ON run(status, id);
    CREATE INDEX run_by_end ON run(finished_at) WHERE finished_at IS NOT NULL;
    CREATE TABLE run_source(
        run TEXT PRIMARY KEY,
        definition TEXT NOT NULL,
        config TEXT NOT NULL,
        input TEXT NOT NULL
    );
    CREATE TABLE step(run TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(run, id));
    CREATE TABLE run_event(
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        at INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY(run, number)
    );
    CREATE TABLE delivery(
        workflow TEXT NOT NULL,
        delivery TEXT NOT NULL,
        run TEXT NOT NULL,
        PRIMARY KEY(workflow, delivery)
    ) WITHOUT ROWID;
    CREATE INDEX delivery_by_run ON delivery(run);

    CREATE TABLE call(
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL,
        outcome TEXT
    );
    CREATE INDEX call_by_time ON call(started_at);
    CREATE INDEX call_open ON call(status) WHERE status = 'open';

    CREATE TABLE audit_event(
        number INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        action TEXT NOT NULL,
        actor TEXT NOT NULL,
        resource TEXT NOT NULL,
        leaf BLOB NOT NULL,
        hash BLOB NOT NULL,
        disclosures TEXT
    );
    CREATE INDEX audit_event_by_action ON audit_event(action, number);
    CREATE INDEX audit_event_by_actor ON audit_event(actor, number);
    CREATE INDEX audit_event_by_resource ON audit_event(resource, number);
    CREATE TABLE merkle_node(
        level INTEGER NOT NULL,
        number INTEGER NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY(level, number)
    ) WITHOUT ROWID;

    CREATE TABLE remembered(
        key BLOB PRIMARY KEY,
        request BLOB NOT NULL,
        until INTEGER NOT NULL,
        status INTEGER,
        body BLOB
    ) WITHOUT ROWID;
    CREATE INDEX remembered_by_end ON remembered(until);
";

const VERSION_2: &str = "
    -- What calls of one hour for one target and payer came to, so that nobody adds up single calls.
    CREATE TABLE usage_hour(
        hour INTEGER NOT NULL,
        kind TEXT NOT NULL,
        target TEXT NOT NULL,
        key TEXT NOT NULL,
        agent TEXT NOT NULL,
        workflow TEXT NOT NULL,
        totals TEXT NOT NULL,
        PRIMARY KEY(hour, kind, target, key, agent, workflow)
    ) WITHOUT ROWID;
    -- Calls that ended within the last minutes.
    CREATE TABLE call_ended(at INTEGER NOT NULL, call TEXT NOT NULL, PRIMARY KEY(at, call)) WITHOUT ROWID;
";

const VERSION_3: &str = "
    -- The engine's state of the step. Where it is empty the run's own state has it.
    ALTER TABLE step ADD COLUMN state TEXT NOT NULL DEFAULT '';
";

const VERSION_4: &str = "
    -- The leaves' hashes stand with their events.
    DELETE FROM merkle_node WHERE level = 0;
";

/// Brings a database to the present version. `before_change` is called once, before the first migration of
/// a database that is not new, to keep a copy.
pub(crate) fn migrate(
    connection: &Executor,
    before_change: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let found = user_version(connection)?;
    if found > LATEST {
        return Err(Fault::NewerSchema);
    }
    if found == LATEST {
        return Ok(());
    }
    if found > 0 {
        before_change()?;
    }
    for version in found..LATEST {
        let Migration { statements, then } = &MIGRATIONS[version as usize];
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {statements}"))?;
        then(connection)?;
        set_user_version(connection, version + 1)?;
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{LATEST, migrate};
    use crate::error::Fault;
    use crate::rows::Table;
    use crate::sqlite::tenant_options;
    use sqlcipher::{set_user_version, user_version};

    #[test]
    fn a_new_database_gets_the_present_tables_in_the_order_of_the_rows() {
        let database = sqlcipher::open_memory(&tenant_options(true)).unwrap();
        migrate(&database, || panic!("a new database needs no copy")).unwrap();
        assert_eq!(user_version(&database).unwrap(), LATEST);
        for table in Table::ALL {
            let (name, columns) = table.columns();
            let mut info =
                database.prepare(&format!("SELECT name FROM pragma_table_info('{name}')")).unwrap();
            let found: Vec<String> =
                info.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            assert_eq!(found, columns, "{name}");
        }
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let database = sqlcipher::open_memory(&tenant_options(true)).unwrap();
        set_user_version(&database, LATEST + 1).unwrap();
        assert_eq!(migrate(&database, || Ok(())), Err(Fault::NewerSchema));
    }
}
