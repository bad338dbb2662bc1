//! Writing for another tenant, and what keys tell of its rows: a key or a reference that fails although nothing of the
//! own stands in its way says that another tenant has such a row.

use super::Outcome;
use super::ground::{BEGIN, Ground, bind, tried, tried_with};
use super::reads::OTHERS;
use super::tally::{Tally, code, counted, is_refused, leak, refused};
use crate::home::params;
use crate::init::SetupError;
use bytes::Bytes;
use futures::{SinkExt as _, pin_mut};
use tokio_postgres::{Client, Error};

/// A row of the attacker's once more, as the victim's.
const FOR_THE_VICTIM: &str = "INSERT INTO {t} SELECT (jsonb_populate_record(NULL::{t},
    to_jsonb(it) || jsonb_build_object('tenant_id', '\\x{victim}'))).* FROM {t} AS it LIMIT 1";
/// The attacker's rows become the victim's. A statement that reads nothing is asked for the policies for writing alone.
const ALL_GIVEN_AWAY: &str = "UPDATE {t} SET tenant_id = '\\x{victim}'";
/// The same for one row, where a statement without a condition would reach rows of everybody.
const GIVEN_AWAY: &str = "UPDATE {t} SET tenant_id = '\\x{victim}'
    WHERE ctid = (SELECT ctid FROM {t} WHERE tenant_id = '\\x{own}' LIMIT 1)";
/// The victim's rows, changed and removed.
const CHANGED: &str =
    "WITH it AS (UPDATE {t} SET tenant_id = '\\x{own}' WHERE tenant_id = '\\x{victim}' RETURNING 1)
    SELECT count(*) FROM it";
const REMOVED: &str =
    "WITH it AS (DELETE FROM {t} WHERE tenant_id = '\\x{victim}' RETURNING 1) SELECT count(*) FROM it";
/// A row of the victim's, and the same as one of the attacker's.
const ROW: &str = "SELECT to_jsonb(it)::text FROM {t} AS it LIMIT 1";
const AS_OWN: &str = "INSERT INTO {t} SELECT (jsonb_populate_record(NULL::{t},
    $1::jsonb || jsonb_build_object('tenant_id', '\\x{own}'))).*";

/// Refers to a row of another table.
const REFERRING: [&str; 3] = ["record_token", "record_range", "delivery"];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    let victims = ground.victim.link.connect().await?;
    for (table, missing) in &ground.tables {
        let place = ground.place(table);
        let sql = |sql: &str| ground.on(table, sql);
        let own = ground.attacker.token();
        let outcomes = match missing {
            Some(missing) => [(); 7].map(|()| Outcome::Unattacked(missing.clone())),
            None => [
                refused_first(tried(&client, Some(&own), &[], &sql(FOR_THE_VICTIM)).await),
                given_away(&client, ground, table).await,
                counted(tried(&client, Some(&own), &[], &sql(CHANGED)).await),
                counted(tried(&client, Some(&own), &[], &sql(REMOVED)).await),
                refused(tried(&client, Some(&own), &[], &sql("TRUNCATE {t} CASCADE")).await),
                copied_in(ground, table).await?,
                told_by_keys((&client, &victims), ground, table).await,
            ],
        };
        let names = [
            ("INSERT", "a row for the victim"),
            ("UPDATE", "an own row becomes the victim's"),
            ("UPDATE", "the victim's rows become the attacker's"),
            ("DELETE", "the victim's rows are removed"),
            ("TRUNCATE", "everybody's rows are removed"),
            ("COPY FROM", "rows that no policy sees"),
            ("INSERT", keys_name(table)),
        ];
        for ((statement, attack), outcome) in names.into_iter().zip(outcomes) {
            tally.note(statement, &place, attack, outcome);
        }
    }
    Ok(())
}

/// Whether an own row becomes the victim's.
async fn given_away(client: &Client, ground: &Ground<'_>, table: &str) -> Outcome {
    let own = ground.attacker.token();
    let narrow = counted(tried(client, Some(&own), &[], &ground.on(table, OTHERS)).await) == Outcome::Held;
    let update = ground.on(table, if narrow { ALL_GIVEN_AWAY } else { GIVEN_AWAY });
    refused_first(tried(client, Some(&own), &[], &update).await)
}

/// The same as [`refused`], where a key may stand in the way of what no policy refused.
fn refused_first<T>(tried: Result<T, Error>) -> Outcome {
    match tried.as_ref().map_err(code) {
        Err("23503" | "23505") => leak("only a key stood in its way"),
        _ => refused(tried),
    }
}

fn keys_name(table: &str) -> &'static str {
    if REFERRING.contains(&table) {
        "a reference tells whether the victim has a row"
    } else {
        "a key tells whether the victim has a row"
    }
}

/// Whether the database takes rows by COPY: it then asks no policy. On a connection of its own, which is of no use
/// after it was refused.
async fn copied_in(ground: &Ground<'_>, table: &str) -> Result<Outcome, SetupError> {
    let client = ground.attacker.link.connect().await?;
    let copy = ground.on(table, "COPY {t} FROM STDIN");
    let token = ground.attacker.token();
    let begun = async {
        client.batch_execute(BEGIN).await?;
        bind(&client, &token).await?;
        let sink = client.copy_in::<_, Bytes>(&copy).await?;
        pin_mut!(sink);
        sink.close().await
    };
    let begun: Result<(), Error> = begun.await;
    Ok(match begun {
        Ok(()) => leak("the database takes rows by COPY, and asks no policy"),
        // Not supported with row-level security.
        Err(error) if code(&error) == "0A000" || is_refused(&error) => Outcome::Held,
        Err(error) => Outcome::Unattacked(format!("the database answered {}", code(&error))),
    })
}

/// What becomes of a row that has the victim's keys and is the attacker's. The attacker's own rows are out of the way.
async fn told_by_keys((client, victims): (&Client, &Client), ground: &Ground<'_>, table: &str) -> Outcome {
    let read = ROW.replace("{t}", &format!("{}.{table}", ground.victim.schema));
    let row = tried(victims, Some(&ground.victim.token()), &[], &read).await;
    let row = row.ok().and_then(|rows| rows.first()?.try_get::<_, String>(0).ok());
    let Some(row) = row else {
        return Outcome::Unattacked("the victim's own row could not be read".to_owned());
    };
    let (own, empty) =
        (ground.attacker.token(), [ground.on(table, "DELETE FROM {t} WHERE tenant_id = '\\x{own}'")]);
    let values = params![row => TEXT];
    let tried = tried_with(client, Some(&own), &empty, &ground.on(table, AS_OWN), values).await;
    let refers = REFERRING.contains(&table);
    match tried.as_ref().map_err(code) {
        Ok(_) if refers => leak("a row refers to one of another tenant's"),
        Ok(_) => Outcome::Held,
        // As it does for a row that nobody has.
        Err("23503") if refers => Outcome::Held,
        Err("23505") => leak("the key is taken, by a row of another tenant's"),
        Err(code) => Outcome::Unattacked(format!("the database answered {code}")),
    }
}
