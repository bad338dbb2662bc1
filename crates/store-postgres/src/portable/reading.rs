//! The tenant's rows as lines: for the file that goes out, and for the comparison with one that came in.

use crate::areas::collection_settings;
use crate::error::Fault;
use crate::home::{Home, OWN, Session};
use crate::tenant::TenantHandle;
use ids::TenantId;
use serde_json::Value;
use store::{RunEvent, StepRow};
use store_core::portable::Line;
use tokio_postgres::Row;

/// How many rows are read at once.
const ROWS_AT_ONCE: u32 = 200;

/// A statement, and what a row of it is as a line.
type Table = (&'static str, fn(&TenantHandle, &Row) -> Result<Line, Fault>);

/// Everything, in the order in which it is written. Events come in the order of their logs.
const TABLES: [Table; 10] = [
    ("SELECT kind, id, owner, version, body FROM object", object),
    ("SELECT collection, id, created_at, updated_at, version, data FROM record", record),
    ("SELECT indexes, range_indexes, name FROM collection", collection),
    ("SELECT id, run, frozen, state FROM run", run),
    ("SELECT run, kind, place, body FROM run_part", part),
    ("SELECT token, run FROM delivery", delivery),
    ("SELECT id, body, outcome FROM call", call),
    ("SELECT hour, kind, target, key, agent, workflow, totals FROM usage_hour", hour),
    ("SELECT key, request, until, status, body FROM remembered", remembered),
    (
        "SELECT epoch, number, time, action, actor, resource, hash, leaf, disclosures FROM audit_event
         ORDER BY epoch, number",
        audit_event,
    ),
];

/// Reads every row in this transaction, and gives its line to `take`.
pub(super) async fn read_all<F>(
    (home, id): (&Home, TenantId),
    (session, handle): (&Session, &TenantHandle),
    mut take: impl FnMut(Vec<Line>) -> F,
) -> Result<(), Fault>
where
    F: Future<Output = Result<(), Fault>>,
{
    for (select, line) in TABLES {
        // A token holds for a minute, and a cursor as long as the transaction.
        home.renew(session, id).await?;
        session.batch_execute(&format!("DECLARE leaving NO SCROLL CURSOR FOR {}", of_own(select))).await?;
        loop {
            let rows = session.query_typed(&format!("FETCH {ROWS_AT_ONCE} FROM leaving"), &[]).await?;
            if rows.is_empty() {
                break;
            }
            take(rows.iter().map(|row| line(handle, row)).collect::<Result<_, _>>()?).await?;
        }
        session.batch_execute("CLOSE leaving").await?;
    }
    Ok(())
}

/// The statement about the tenant's own rows.
fn of_own(select: &str) -> String {
    let (what, order) = select
        .split_once(" ORDER BY ")
        .map_or((select, String::new()), |(what, order)| (what, format!(" ORDER BY {order}")));
    format!("{what} WHERE {OWN}{order}")
}

fn text(handle: &TenantHandle, table: &str, place: &[&str], sealed: &[u8]) -> Result<String, Fault> {
    let bytes = handle.open_bytes(table, place, sealed)?;
    String::from_utf8(bytes).map_err(|_| Fault::Damaged("a stored value"))
}

fn written<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|_| Fault::Damaged("a value that does not serialise"))
}

fn number(row: &Row, place: usize) -> Result<u64, Fault> {
    Ok(row.try_get::<_, i64>(place)?.cast_unsigned())
}

fn object(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let (kind, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let body = text(handle, "object", &[&kind, &id], row.try_get(4)?)?;
    Ok(Line::Object { kind, id, owner: row.try_get(2)?, version: number(row, 3)?, body })
}

fn record(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let (collection, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let data = text(handle, "record", &[&collection, &id], row.try_get(5)?)?;
    let (created_at, updated_at, version) = (row.try_get(2)?, row.try_get(3)?, number(row, 4)?);
    Ok(Line::Record { collection, id, created_at, updated_at, version, data })
}

fn collection(_: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let settings = collection_settings(row)?;
    Ok(Line::Collection { name: row.try_get(2)?, settings: written(&settings)? })
}

fn run(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let id: &str = row.try_get(0)?;
    let (definition, config, input): (String, Value, Value) =
        handle.open("run", &[id, "frozen"], row.try_get(2)?)?;
    Ok(Line::Run {
        run: text(handle, "run", &[id, "run"], row.try_get(1)?)?,
        state: handle.open("run", &[id, "state"], row.try_get(3)?)?,
        definition,
        config: written(&config)?,
        input: written(&input)?,
    })
}

fn part(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let (run, kind, place): (String, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let sealed = row.try_get(3)?;
    if kind == crate::tenant::STEP {
        let (step, state): (StepRow, String) = handle.open("run_part", &[&run, kind, place], sealed)?;
        return Ok(Line::Step { run, id: place.to_owned(), body: written(&step)?, state });
    }
    let RunEvent { number, at, event } = handle.open("run_part", &[&run, kind, place], sealed)?;
    Ok(Line::RunEvent { run, number, at: at.millis(), body: written(&event)? })
}

fn delivery(_: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    Ok(Line::Delivery { token: hex::encode(row.try_get::<_, &[u8]>(0)?), run: row.try_get(1)? })
}

fn call(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let id: String = row.try_get(0)?;
    let body = text(handle, "call", &[&id, "body"], row.try_get(1)?)?;
    let outcome: Option<&[u8]> = row.try_get(2)?;
    let outcome = outcome.map(|sealed| text(handle, "call", &[&id, "outcome"], sealed)).transpose()?;
    Ok(Line::Call { id, body, outcome })
}

fn hour(_: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    Ok(Line::Hour {
        hour: row.try_get(0)?,
        kind: row.try_get(1)?,
        target: row.try_get(2)?,
        key: row.try_get(3)?,
        agent: row.try_get(4)?,
        workflow: row.try_get(5)?,
        totals: row.try_get(6)?,
    })
}

fn remembered(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let key = hex::encode(row.try_get::<_, &[u8]>(0)?);
    let body: Option<&[u8]> = row.try_get(4)?;
    let body = body.map(|sealed| handle.open_bytes("remembered", &[&key], sealed)).transpose()?;
    let status = row.try_get::<_, Option<i64>>(3)?.map(u16::try_from).transpose();
    Ok(Line::Remembered {
        key,
        request: hex::encode(row.try_get::<_, &[u8]>(1)?),
        until: row.try_get(2)?,
        status: status.map_err(|_| Fault::Damaged("a remembered answer"))?,
        body: body.map(hex::encode),
    })
}

fn audit_event(handle: &TenantHandle, row: &Row) -> Result<Line, Fault> {
    let (epoch, number) = (number(row, 0)?, number(row, 1)?);
    let place = format!("{epoch}/{number}");
    Ok(Line::AuditEvent {
        epoch,
        number,
        time: row.try_get(2)?,
        action: row.try_get(3)?,
        actor: row.try_get(4)?,
        resource: row.try_get(5)?,
        hash: hex::encode(row.try_get::<_, &[u8]>(6)?),
        leaf: text(handle, "audit_event", &[&place, "leaf"], row.try_get(7)?)?,
        disclosures: text(handle, "audit_event", &[&place, "disclosures"], row.try_get(8)?)?,
    })
}
