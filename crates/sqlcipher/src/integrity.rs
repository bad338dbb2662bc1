//! Whether a file is whole: each page's authentication code, then the structure, then the references.

use rusqlite::{Connection as Executor, Row};

/// Checks every page of the file under its key, the b-trees, and the foreign keys, and tells what is wrong,
/// in words for the operator. Takes as long as reading the file; an unkeyed one has no codes to check.
pub fn integrity(executor: &Executor) -> Result<(), Vec<String>> {
    let mut findings = Vec::new();
    let text = |row: &Row<'_>| row.get::<_, String>(0);
    collect(executor, "PRAGMA cipher_integrity_check", &mut findings, text);
    collect(executor, "PRAGMA quick_check(100)", &mut findings, text);
    findings.retain(|finding| finding != "ok");
    collect(executor, "PRAGMA foreign_key_check", &mut findings, |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        let row_id: Option<i64> = row.get(1)?;
        let place = row_id.map_or_else(String::new, |id| format!(" row {id}"));
        Ok(format!("table {table}{place} refers to a missing row of {parent}"))
    });
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

/// A check that cannot run to its end has found something too.
fn collect(
    executor: &Executor,
    check: &str,
    findings: &mut Vec<String>,
    describe: impl Fn(&Row<'_>) -> rusqlite::Result<String>,
) {
    let run = |findings: &mut Vec<String>| {
        let mut statement = executor.prepare(check)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            findings.push(describe(row)?);
        }
        Ok::<(), rusqlite::Error>(())
    };
    if let Err(error) = run(findings) {
        findings.push(format!("{check}: {error}"));
    }
}
