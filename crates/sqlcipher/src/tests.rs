//! What an encrypted file lets nobody do, and what copies and checks are worth.

use crate::open::{connect, settle};
use crate::{
    Connection, CopyError, Durability, OpenError, OpenOptions, application_id, init, integrity, open,
    open_memory, open_plain, set_user_version, user_version,
};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use secret::SecretBytes;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

const NEW: OpenOptions = OpenOptions {
    create: true,
    application_id: Some(0x0074_6e74),
    durability: Durability::Full,
    busy_timeout: Duration::from_millis(50),
    cache_kib: 256,
    journal_size_limit: 1 << 20,
    statement_cache: 16,
    exclusive: false,
    overwrite_deleted: true,
};
const CANARY: &str = "canary: the customer's list of prices";

fn key(seed: u8) -> SecretBytes<32> {
    SecretBytes::fill_with(|bytes| bytes.fill(seed))
}

/// A folder with a database under key 1 that holds 500 rows of readable text.
fn filled() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.db");
    let database = open(&path, &key(1), &NEW).unwrap();
    database.execute_batch("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)").unwrap();
    let filling = database.unchecked_transaction().unwrap();
    for _ in 0..500 {
        filling.execute("INSERT INTO notes (body) VALUES (?1)", [CANARY]).unwrap();
    }
    filling.commit().unwrap();
    drop(database);
    (folder, path)
}

fn rows(database: &Connection) -> i64 {
    database.query_row("SELECT count(*) FROM notes WHERE body = ?1", [CANARY], |row| row.get(0)).unwrap()
}

fn shows_canary(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.windows(16).any(|window| window == &CANARY.as_bytes()[..16])
}

#[test]
fn what_was_written_is_read_again_under_the_same_key() {
    let (_folder, path) = filled();
    let database = open(&path, &key(1), &OpenOptions { create: false, ..NEW }).unwrap();
    assert_eq!(rows(&database), 500);
    assert_eq!(application_id(&database).unwrap(), 0x0074_6e74);
}

#[test]
fn another_key_and_no_key_open_nothing() {
    let (folder, path) = filled();
    let other = folder.path().join("two.db");
    drop(open(&other, &key(2), &NEW).unwrap());
    for result in [open(&path, &key(2), &NEW), open(&other, &key(1), &NEW), open_plain(&path, &NEW)] {
        assert!(matches!(result, Err(OpenError::WrongKeyOrNotADatabase)), "{result:?}");
    }
    let plain = folder.path().join("plain.db");
    drop(open_plain(&plain, &NEW).unwrap());
    assert!(matches!(open(&plain, &key(1), &NEW), Err(OpenError::WrongKeyOrNotADatabase)));
    assert_eq!(rows(&open(&path, &key(1), &NEW).unwrap()), 500, "a failed attempt changes nothing");
}

#[test]
fn a_missing_an_empty_and_a_foreign_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let existing = OpenOptions { create: false, ..NEW };
    let path = folder.path().join("one.db");
    assert!(matches!(open(&path, &key(1), &existing), Err(OpenError::NotFound)));
    fs::write(&path, "").unwrap();
    assert!(matches!(open(&path, &key(1), &existing), Err(OpenError::Damaged)));
    open(&path, &key(1), &OpenOptions { application_id: None, ..NEW }).unwrap().close().unwrap();
    assert!(matches!(open(&path, &key(1), &existing), Err(OpenError::WrongApplication { found: 0, .. })));
    let taken_up = open(&path, &key(1), &NEW).unwrap();
    assert_eq!(Some(application_id(&taken_up).unwrap()), NEW.application_id, "a creation cut short goes on");
}

#[test]
fn a_file_of_another_application_is_refused() {
    let (_folder, path) = filled();
    let result = open(&path, &key(1), &OpenOptions { application_id: Some(7), ..NEW });
    assert!(
        matches!(result, Err(OpenError::WrongApplication { expected: 7, found: 0x0074_6e74 })),
        "{result:?}"
    );
}

#[test]
fn a_held_file_is_busy() {
    let (_folder, path) = filled();
    let holder = open(&path, &key(1), &OpenOptions { exclusive: true, ..NEW }).unwrap();
    holder.execute("DELETE FROM notes WHERE id = 1", ()).unwrap();
    assert!(matches!(open(&path, &key(1), &NEW), Err(OpenError::Busy)));
    drop(holder);
    assert_eq!(rows(&open(&path, &key(1), &NEW).unwrap()), 499);
}

#[test]
fn an_exclusive_handle_needs_no_shared_memory_file() {
    let (folder, path) = filled();
    let database = open(&path, &key(1), &OpenOptions { exclusive: true, ..NEW }).unwrap();
    database.execute("DELETE FROM notes WHERE id = 1", ()).unwrap();
    assert!(folder.path().join("one.db-wal").exists());
    assert!(!folder.path().join("one.db-shm").exists());
}

#[test]
fn a_wrong_key_after_a_crash_loses_nothing() {
    let (folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    database.execute("INSERT INTO notes (body) VALUES (?1)", [CANARY]).unwrap();
    // What stands on the disk now is what a killed process would leave: a log that is not in the file yet.
    let left = folder.path().join("left.db");
    fs::copy(&path, &left).unwrap();
    fs::copy(folder.path().join("one.db-wal"), folder.path().join("left.db-wal")).unwrap();
    for exclusive in [false, true] {
        let options = OpenOptions { exclusive, ..NEW };
        assert!(matches!(open(&left, &key(2), &options), Err(OpenError::WrongKeyOrNotADatabase)));
        assert!(matches!(open_plain(&left, &options), Err(OpenError::WrongKeyOrNotADatabase)));
    }
    let recovered = open(&left, &key(1), &NEW).unwrap();
    assert_eq!(rows(&recovered), 501);
    assert_eq!(integrity(&recovered), Ok(()));
}

#[test]
fn nothing_written_can_be_read_in_the_files() {
    let (folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    database.execute("INSERT INTO notes (body) VALUES (?1)", [CANARY]).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert!(!shows_canary(&path), "{path:?}");
        seen += 1;
    }
    assert_eq!(seen, 3, "file, log and index");

    let plain = folder.path().join("plain.db");
    let twin = open_plain(&plain, &NEW).unwrap();
    twin.execute_batch("CREATE TABLE notes (body TEXT)").unwrap();
    twin.execute("INSERT INTO notes VALUES (?1)", [CANARY]).unwrap();
    assert!(twin.checkpoint().unwrap());
    assert!(shows_canary(&plain), "the search finds what is there to find");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    database.execute("DELETE FROM notes WHERE id = 1", ()).unwrap();
    database.snapshot(&folder.path().join("copy.db")).unwrap();
    database.export_copy(&folder.path().join("export.db"), &key(2)).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn attaching_is_refused_before_and_after_a_snapshot() {
    let (folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    let attach = |name: &str| {
        let other = folder.path().join(name);
        database.execute("ATTACH DATABASE ?1 AS other", [other.to_str().unwrap()])
    };
    let refused = attach("other.db").unwrap_err().to_string();
    assert!(refused.contains("too many attached databases"), "{refused}");
    database.snapshot(&folder.path().join("copy.db")).unwrap();
    assert!(attach("other.db").is_err());
    assert!(database.snapshot(&folder.path().join("absent/copy.db")).is_err());
    let open_transaction = database.unchecked_transaction().unwrap();
    assert!(database.snapshot(&folder.path().join("refused.db")).is_err());
    drop(open_transaction);
    assert!(attach("other.db").is_err(), "also after a snapshot that failed");
    assert!(!folder.path().join("refused.db").exists());
}

#[test]
fn the_settings_are_in_force() {
    let (_folder, path) = filled();
    let check = |database: &Connection, journal: &str| {
        let text = |pragma: &str| {
            database.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get::<_, String>(0)).unwrap()
        };
        let number = |pragma: &str| {
            database.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(text("journal_mode"), journal);
        for (pragma, value) in [
            ("foreign_keys", 1),
            ("secure_delete", 1),
            ("temp_store", 2),
            ("cell_size_check", 1),
            ("trusted_schema", 0),
            ("cache_size", -256),
            ("journal_size_limit", 1 << 20),
            ("busy_timeout", 50),
        ] {
            assert_eq!(number(pragma), value, "{pragma}");
        }
        database.execute_batch("PRAGMA writable_schema = ON").unwrap();
        database.execute_batch("CREATE TABLE victim (id INTEGER)").unwrap();
        assert!(database.execute("UPDATE sqlite_schema SET sql = ''", ()).is_err(), "defensive mode");
        assert!(database.prepare("SELECT \"a misspelt column\"").is_err(), "no text in double quotes");
    };
    check(&open(&path, &key(1), &NEW).unwrap(), "wal");
    check(&open_memory(&NEW).unwrap(), "memory");
    for (durability, level) in [(Durability::Full, 2), (Durability::Normal, 1)] {
        let database = open(&path, &key(1), &OpenOptions { durability, ..NEW }).unwrap();
        let found: i64 = database.query_row("PRAGMA synchronous", (), |row| row.get(0)).unwrap();
        assert_eq!(found, level);
    }
}

#[test]
fn deleted_content_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.db");
    let database = open_plain(&path, &NEW).unwrap();
    database.execute_batch("CREATE TABLE notes (body TEXT)").unwrap();
    database.execute("INSERT INTO notes VALUES (?1)", [CANARY]).unwrap();
    assert!(database.checkpoint().unwrap());
    assert!(shows_canary(&path));
    database.execute("DELETE FROM notes", ()).unwrap();
    assert!(database.checkpoint().unwrap());
    assert!(!shows_canary(&path));
}

#[test]
fn a_file_prefix_is_a_name_and_no_address() {
    let folder = tempfile::tempdir().unwrap();
    init().unwrap();
    let database = open_memory(&NEW).unwrap();
    let target = folder.path().join("copy.db");
    let address = format!("file:{}?mode=rwc", target.display());
    assert!(database.snapshot(Path::new(&address)).is_err());
    assert!(!target.exists());
}

/// Statements that SQLite told the hook of, as written and with their values. The hook is a plain
/// function, so what it hears goes through a static.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn listen(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, text) = event {
        let mut heard = HEARD.lock().unwrap();
        heard.push(text.to_owned());
        heard.extend(statement.expanded_sql());
    }
}

#[test]
fn no_statement_carries_a_key() {
    let (folder, path) = filled();
    let mut raw = connect(&path).unwrap();
    raw.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(listen)).unwrap();
    settle(&raw, Some(&key(1)), &NEW).unwrap();
    raw.trace_v2::<fn(TraceEvent<'_>)>(TraceEventCodes::empty(), None).unwrap();

    let mut database = open(&path, &key(1), &NEW).unwrap();
    database.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(listen)).unwrap();
    database.export_copy(&folder.path().join("export.db"), &key(0xab)).unwrap();
    database.snapshot(&folder.path().join("copy.db")).unwrap();

    let heard = HEARD.lock().unwrap().join("\n").to_lowercase();
    assert!(heard.contains("journal_mode") && heard.contains("vacuum"), "the hook listens");
    for trace in ["0101010101", "ababababab", "pragma key", " key "] {
        assert!(!heard.contains(trace), "{trace} in {heard}");
    }
}

#[test]
fn any_damaged_page_is_reported() {
    let (_folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    assert_eq!(integrity(&database), Ok(()));
    drop(database);
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 4);
    for page in 1..pages {
        let mut damaged = whole.clone();
        damaged[page * 4096 + page * 37] ^= 1;
        fs::write(&path, damaged).unwrap();
        let findings = integrity(&open(&path, &key(1), &NEW).unwrap()).unwrap_err().join("\n");
        assert!(findings.contains(&format!("page {}", page + 1)), "{findings}");
    }
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(&path, damaged).unwrap();
    assert!(matches!(open(&path, &key(1), &NEW), Err(OpenError::WrongKeyOrNotADatabase)));
    fs::write(&path, &whole[..whole.len() - 4096]).unwrap();
    assert!(open(&path, &key(1), &NEW).map_or(true, |database| integrity(&database).is_err()));
}

#[test]
fn a_dangling_reference_is_reported() {
    let database = open_memory(&NEW).unwrap();
    database
        .execute_batch(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY);
             CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id));",
        )
        .unwrap();
    assert!(database.execute("INSERT INTO children VALUES (1, 9)", ()).is_err());
    database.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO children VALUES (1, 9)").unwrap();
    let findings = integrity(&database).unwrap_err();
    assert_eq!(findings, ["table children row 1 refers to a missing row of parents"]);
}

#[test]
fn an_export_opens_with_its_own_key_only() {
    let (folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    set_user_version(&database, 3).unwrap();
    let target = folder.path().join("export.db");
    database.export_copy(&target, &key(2)).unwrap();
    assert!(!shows_canary(&target));
    assert!(matches!(open(&target, &key(1), &NEW), Err(OpenError::WrongKeyOrNotADatabase)));
    let copy = open(&target, &key(2), &OpenOptions { create: false, ..NEW }).unwrap();
    assert_eq!((rows(&copy), user_version(&copy).unwrap()), (500, 3));
    assert_eq!(integrity(&copy), Ok(()));
    assert!(matches!(database.export_copy(&target, &key(2)), Err(CopyError::TargetExists)));
    assert_eq!(rows(&copy), 500, "a refused copy leaves the file that stood there");
}

#[test]
fn a_snapshot_has_the_same_key_and_one_moments_content() {
    let (folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    let reader = open(&path, &key(1), &NEW).unwrap();
    let target = folder.path().join("copy.db");
    let writing = reader.unchecked_transaction().unwrap();
    writing.execute("DELETE FROM notes", ()).unwrap();
    database.snapshot(&target).unwrap();
    database.export_copy(&folder.path().join("export.db"), &key(2)).unwrap();
    writing.commit().unwrap();
    let copy = open(&target, &key(1), &NEW).unwrap();
    assert_eq!((rows(&copy), rows(&database)), (500, 0));
    assert_eq!(rows(&open(&folder.path().join("export.db"), &key(2), &NEW).unwrap()), 500);
    assert_eq!(integrity(&copy), Ok(()));
}

#[test]
fn an_unkeyed_database_is_not_exported_under_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let plain = open_memory(&NEW).unwrap();
    plain.execute_batch("CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('x')").unwrap();
    let target = folder.path().join("export.db");
    assert!(plain.export_copy(&target, &key(2)).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn releasing_memory_lets_pages_go() {
    let (_folder, path) = filled();
    let database = open(&path, &key(1), &NEW).unwrap();
    assert_eq!(rows(&database), 500);
    let before = database.memory_used();
    database.release_memory().unwrap();
    let after = database.memory_used();
    assert!(after < before, "{before} to {after}");
    assert_eq!(rows(&database), 500);
}

#[test]
fn versions_are_set_with_the_transaction() {
    let mut database = open_memory(&NEW).unwrap();
    let migration = database.transaction().unwrap();
    set_user_version(&migration, 9).unwrap();
    migration.rollback().unwrap();
    assert_eq!(user_version(&database).unwrap(), 0);
}
