//! Looking for audit events: each filter by its index, so that few events are found as fast among a million.

use super::one_more;
use crate::error::Fault;
use crate::keys::TenantKeys;
use sqlcipher::types::Value;
use sqlcipher::{Executor, params, params_from_iter};
use store::{AuditQuery, PageRequest};

/// An event's row: its number, its leaf, what it discloses.
pub(super) type Row = (u64, Vec<u8>, Option<String>);

/// What one look-up has exactly, where it has it at all.
#[derive(Clone, Copy)]
struct Exactly<'q> {
    action: Option<&'q str>,
    actor: Option<&'q str>,
    resource: Option<&'q str>,
}

/// The events before this number that a query asks for, newest first: one more than fit the page.
pub(super) fn search(
    tables: &Executor,
    keys: &TenantKeys,
    query: &AuditQuery,
    before: u64,
    page: &PageRequest,
) -> Result<Vec<Row>, Fault> {
    let actors = query.actor.as_deref().map(|id| forms(tables, id, keys)).transpose()?;
    let actions = query.action.as_deref().map(|action| actions(tables, action)).transpose()?;
    let mut found = Vec::new();
    for actor in each(actors.as_deref()) {
        for action in each(actions.as_deref()) {
            let exactly = Exactly { action, actor, resource: query.resource.as_deref() };
            found.append(&mut look_up(tables, query, exactly, (before, one_more(page)))?);
        }
    }
    found.sort_unstable_by_key(|(number, ..)| std::cmp::Reverse(*number));
    found.truncate(one_more(page) as usize);
    Ok(found)
}

/// Each value that is looked for, or once none where any will do.
fn each(values: Option<&[String]>) -> Vec<Option<&str>> {
    values.map_or_else(|| vec![None], |values| values.iter().map(|value| Some(value.as_str())).collect())
}

fn look_up(
    tables: &Executor,
    query: &AuditQuery,
    exactly: Exactly<'_>,
    (before, limit): (u64, u32),
) -> Result<Vec<Row>, Fault> {
    let mut values = vec![
        Value::from(i64::try_from(before).unwrap_or(i64::MAX)),
        Value::from(query.from.map_or(i64::MIN, env::Timestamp::millis)),
        Value::from(query.to.map_or(i64::MAX, env::Timestamp::millis)),
        Value::from(i64::from(limit)),
    ];
    values.extend(exactly.filters().map(|(_, value)| Value::from(value.to_owned())));
    let mut select = tables.prepare_cached(&exactly.statement())?;
    let rows = select
        .query_map(params_from_iter(values), |row| Ok((row.get::<_, u64>(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl<'q> Exactly<'q> {
    fn filters(self) -> impl Iterator<Item = (&'static str, &'q str)> {
        let filters = [("action", self.action), ("actor", self.actor), ("resource", self.resource)];
        filters.into_iter().filter_map(|(column, value)| Some((column, value?)))
    }

    /// The filters' values come after the four that every look-up has.
    fn statement(self) -> String {
        let filters: String = (5..)
            .zip(self.filters())
            .map(|(place, (column, _))| format!(" AND {column} = ?{place}"))
            .collect();
        format!(
            "SELECT number, leaf, disclosures FROM audit_event
             WHERE number < ?1 AND time >= ?2 AND time < ?3{filters}
             ORDER BY number DESC LIMIT ?4"
        )
    }
}

/// The forms in which the log has this actor: by its id, or by the pseudonym of a person.
fn forms(tables: &Executor, id: &str, keys: &TenantKeys) -> Result<Vec<String>, Fault> {
    let mut is_there = tables.prepare_cached("SELECT EXISTS(SELECT 1 FROM audit_event WHERE actor = ?1)")?;
    let mut forms = Vec::new();
    for form in [id.to_owned(), keys.pseudonym(id).to_string()] {
        if is_there.query_row([&form], |row| row.get(0))? {
            forms.push(form);
        }
    }
    Ok(forms)
}

/// The log's actions that are this one, or begin with it and a dot.
fn actions(tables: &Executor, action: &str) -> Result<Vec<String>, Fault> {
    // From one to the next, each by one look into the index.
    let mut next =
        tables.prepare_cached("SELECT min(action) FROM audit_event WHERE action >= ?1 AND action < ?2")?;
    let mut actions = Vec::new();
    // A slash is what follows a dot, and a NUL makes the text that follows another at once.
    for (from, to) in
        [(action.to_owned(), format!("{action}\0")), (format!("{action}."), format!("{action}/"))]
    {
        let mut from = from;
        while let Some(found) = next.query_row(params![from, to], |row| row.get::<_, Option<String>>(0))? {
            from = format!("{found}\0");
            actions.push(found);
        }
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::Exactly;
    use crate::sqlite::tenant_options;
    use crate::tenant::migrate;

    #[test]
    fn every_filter_is_looked_up_by_its_index() {
        let tables = sqlcipher::open_memory(&tenant_options(true)).unwrap();
        migrate(&tables, || Ok(())).unwrap();
        let plan = |exactly: Exactly<'_>| {
            let explained = format!("EXPLAIN QUERY PLAN {}", exactly.statement());
            let mut plan = tables.prepare(&explained).unwrap();
            let lines = plan.query_map(sqlcipher::params_from_iter(vec![""; plan_values(exactly)]), |row| {
                row.get::<_, String>("detail")
            });
            lines.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        let none = Exactly { action: None, actor: None, resource: None };
        assert_eq!(plan(none), "SEARCH audit_event USING INTEGER PRIMARY KEY (rowid<?)");
        for (exactly, index) in [
            (Exactly { action: Some("a"), ..none }, "audit_event_by_action (action=? AND number<?)"),
            (Exactly { actor: Some("a"), ..none }, "audit_event_by_actor (actor=? AND number<?)"),
            (Exactly { resource: Some("a"), ..none }, "audit_event_by_resource (resource=? AND number<?)"),
        ] {
            assert_eq!(plan(exactly), format!("SEARCH audit_event USING INDEX {index}"));
        }
    }

    fn plan_values(exactly: Exactly<'_>) -> usize {
        4 + exactly.filters().count()
    }
}
