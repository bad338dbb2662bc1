//! The functions that stand beside the tables: what they write and read for whoever names the victim, or its runs and
//! calls, and has the attacker's token. They do what their caller may do, unless somebody has made them otherwise.

use super::Outcome;
use super::ground::{BEGIN, Ground, bind, tried, tried_with};
use super::tally::{Tally, code, counted, is_refused, leak};
use crate::home::params;
use crate::init::SetupError;
use ids::{Id as _, RunId};
use secret::SecretText;
use std::fmt::Write as _;
use tokio_postgres::{Client, Error};

/// What the function of every write takes.
const TAKES: &str = "SELECT it.name, format_type(it.type, NULL) LIKE '%[]' FROM pg_proc,
    unnest(proargnames, proargtypes::oid[]) WITH ORDINALITY AS it(name, type, place)
    WHERE proname = 'write_all' AND pronamespace = $1::regnamespace ORDER BY it.place";
/// What every call says of the log, so that nothing but the tenant stands in its way.
const HEAD: &str = "log_epoch 1, log_size 0, log_hash '', log_frontier '', stored 0, rests false";

/// Functions that read, each with the rows of which of the victim's ids it is asked for.
const READING: [(&str, &str); 2] = [
    ("places_of_runs", "where the victim's runs stand"),
    ("lengths_of_steps", "the steps of the victim's runs"),
];

/// A call of the function of every write. `{own}` and `{victim}` are ids, `{run}`, `{place}` and `{cursor}` a run of
/// the victim's, and `{call}` one of its calls.
struct Write {
    attack: &'static str,
    /// Whether the transaction has the attacker's token, or none.
    bound: bool,
    /// What is said, beside the head of the log.
    said: &'static str,
    /// Whether it must be refused, and not only come to nothing.
    refused: bool,
}

const fn write(attack: &'static str, said: &'static str) -> Write {
    Write { attack, bound: true, said, refused: false }
}

const WRITES: &[Write] = &[
    Write { refused: true, ..write("the victim is the one that is meant", "meant '\\x{victim}'") },
    Write {
        bound: false,
        refused: true,
        ..write("the victim is meant, and the transaction says no tenant", "meant '\\x{victim}'")
    },
    Write {
        bound: false,
        ..write(
            "nobody is meant, and the transaction says no tenant",
            "moved_ids ARRAY['{run}'], moved_statuses '{failed}', moved_from '{{cursor}}', moved_cursors '{9}',
             moved_ends '{NULL}', moved_events '{0}', moved_runs '{x}', moved_states '{x}'",
        )
    },
    Write {
        refused: true,
        ..write(
            "a run of the victim's is moved",
            "meant '\\x{own}', moved_ids ARRAY['{run}'], moved_statuses '{failed}', moved_from '{{cursor}}',
             moved_cursors '{9}', moved_ends '{NULL}', moved_events '{0}', moved_runs '{x}', moved_states '{x}'",
        )
    },
    write(
        "a call of the victim's begins and ends",
        "meant '\\x{own}', begun_ids ARRAY['{call}'], begun_kinds '{model}', begun_starts '{0}', begun_bodies '{x}',
         ended_ids ARRAY['{call}'], ended_kinds '{model}', ended_statuses '{settled}', ended_starts '{0}',
         ended_ends '{0}', ended_cached '{false}', ended_bodies '{x}', ended_outcomes '{x}'",
    ),
    write(
        "a step is put into a run of the victim's",
        "meant '\\x{own}', part_runs ARRAY['{run}'], part_kinds '{step}', part_places '{verify}', part_bodies '{x}'",
    ),
    write(
        "work of the victim's begins and ends",
        "meant '\\x{own}', opened_kinds ARRAY['run'], opened_ids ARRAY['\\x{place}'::bytea], opened_dues '{NULL}',
         closed_kinds ARRAY['run'], closed_ids ARRAY['\\x{place}'::bytea]",
    ),
    Write {
        refused: true,
        ..write(
            "a lease on a run of the victim's is shown",
            "meant '\\x{own}', held ARRAY['\\x{place}'::bytea], holders ARRAY['\\x{victim}'::bytea], fences '{1}'",
        )
    },
];
/// What the attacker may write, which shows that the others would have come to something.
const OWN: &str = "meant '\\x{own}'";

/// What is known of the victim's rows.
struct Known {
    run: String,
    place: String,
    cursor: i64,
    call: String,
}

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    let known = known(ground).await?;
    let place = ground.place("write_all");
    let able = match &known {
        Ok(known) => able(&client, ground, known).await,
        Err(missing) => Some(missing.clone()),
    };
    for Write { attack, bound, said, refused } in WRITES {
        let outcome = match (&known, &able) {
            (Ok(known), None) => {
                let token = if *bound { ground.attacker.token() } else { SecretText::new(String::new()) };
                judged(called(&client, ground, (&token, said, &ground.victim), known).await, *refused)
            }
            (_, missing) => Outcome::Unattacked(missing.clone().unwrap_or_default()),
        };
        tally.note("SELECT", &place, attack, outcome);
    }
    for (function, attack) in READING {
        let outcome = match &known {
            Err(missing) => Outcome::Unattacked(missing.clone()),
            Ok(known) => {
                let select = format!("SELECT count(*) FROM {}.{function}(ARRAY[$1])", ground.attacker.schema);
                let (token, searched) = (ground.attacker.token(), [searched(ground)]);
                let values = params![known.run => TEXT];
                counted(tried_with(&client, Some(&token), &searched, &select, values).await)
            }
        };
        tally.note("SELECT", ground.place(function), attack, outcome);
    }
    Ok(())
}

/// A run and a call of the victim's, or why there is none.
async fn known(ground: &Ground<'_>) -> Result<Result<Known, String>, SetupError> {
    let client = ground.victim.link.connect().await?;
    let (schema, victim) = (&ground.victim.schema, &ground.victim.hex);
    let select = format!(
        "SELECT run.id, cursor, call.id FROM {schema}.run JOIN {schema}.call USING (tenant_id)
         WHERE tenant_id = '\\x{victim}' LIMIT 1"
    );
    let found = match tried(&client, Some(&ground.victim.token()), &[], &select).await {
        Ok(found) => found,
        Err(error) => return Ok(Err(format!("the victim's own statement: {}", code(&error)))),
    };
    let Some(row) = found.first() else {
        return Ok(Err("the victim has no run or no call".to_owned()));
    };
    let (run, cursor, call): (String, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let Ok(id) = run.parse::<RunId>() else { return Ok(Err("the victim's run has no id".to_owned())) };
    Ok(Ok(Known { place: hex::encode(id.to_bytes()), run, cursor, call }))
}

/// Why nothing would be shown: the attacker's own write must be seen in its own rows.
async fn able(client: &Client, ground: &Ground<'_>, known: &Known) -> Option<String> {
    match called(client, ground, (&ground.attacker.token(), OWN, &ground.attacker), known).await {
        Ok((Ok(()), true)) => None,
        Ok((Ok(()), false)) => Some("the attacker's own write came to nothing".to_owned()),
        Ok((Err(error), _)) | Err(error) => Some(format!("the attacker's own write: {}", code(&error))),
    }
}

fn judged(called: Result<(Result<(), Error>, bool), Error>, must_be_refused: bool) -> Outcome {
    match called {
        Ok((_, true)) => leak("rows of the victim's were changed"),
        Ok((Ok(()), false)) if must_be_refused => leak("it was carried out"),
        Ok((Ok(()), false)) => Outcome::Held,
        // What the function raises, and what keys and columns refuse that lack the tenant.
        Ok((Err(error), false)) if is_refused(&error) => Outcome::Held,
        Ok((Err(error), false)) if ["TN", "23"].iter().any(|class| code(&error).starts_with(class)) => {
            Outcome::Held
        }
        Ok((Err(error), false)) | Err(error) => {
            Outcome::Unattacked(format!("the database answered {}", code(&error)))
        }
    }
}

/// What came of a call, and whether rows of this party's were changed with it. All of it is taken back.
async fn called(
    client: &Client,
    ground: &Ground<'_>,
    (token, said, whose): (&SecretText, &str, &super::ground::Party),
    known: &Known,
) -> Result<(Result<(), Error>, bool), Error> {
    let call = written_out(client, ground, said, known).await?;
    let digest = digest(ground, &whose.hex);
    client.batch_execute(BEGIN).await?;
    let seen = async || {
        bind(client, &whose.token()).await?;
        client.query_typed_one(&digest, &[]).await?.try_get::<_, String>(0)
    };
    let outcome = async {
        client.batch_execute(&searched(ground)).await?;
        let before = seen().await?;
        bind(client, token).await?;
        client.batch_execute("SAVEPOINT called").await?;
        let called = client.query_typed(&call, &[]).await.map(drop);
        if called.is_err() {
            client.batch_execute("ROLLBACK TO called").await?;
        }
        Ok((called, before != seen().await?))
    };
    let outcome = outcome.await;
    client.batch_execute("ROLLBACK").await?;
    outcome
}

/// As the store has it: the functions name tables without their schema.
fn searched(ground: &Ground<'_>) -> String {
    format!("SET LOCAL search_path = {}", ground.attacker.schema)
}

/// A call in which everything is empty that is not said.
async fn written_out(
    client: &Client,
    ground: &Ground<'_>,
    said: &str,
    known: &Known,
) -> Result<String, Error> {
    let said = format!("{said}, {HEAD}")
        .replace("{own}", &ground.attacker.hex)
        .replace("{victim}", &ground.victim.hex)
        .replace("{run}", &known.run)
        .replace("{place}", &known.place)
        .replace("{cursor}", &known.cursor.to_string())
        .replace("{call}", &known.call);
    let said: Vec<_> = said.split(',').filter_map(|it| it.trim().split_once(' ')).collect();
    let schema = &ground.attacker.schema;
    let mut call = format!("SELECT {schema}.write_all(");
    for (place, row) in client.query_typed(TAKES, params![schema => TEXT]).await?.iter().enumerate() {
        let (name, is_list): (&str, bool) = (row.try_get(0)?, row.try_get(1)?);
        let value = said.iter().find(|(said, _)| *said == name).map(|(_, value)| *value);
        let value = value.unwrap_or(if is_list { "'{}'" } else { "NULL" });
        let comma = if place == 0 { "" } else { ", " };
        // Nothing fails that is written into a text.
        let _ = write!(call, "{comma}{name} => {value}");
    }
    Ok(format!("{call})"))
}

/// All rows of a tenant's that the function may reach, as one text.
fn digest(ground: &Ground<'_>, hex: &str) -> String {
    let schema = &ground.attacker.schema;
    let mut tables: Vec<_> = ground.tables.keys().map(|table| format!("{schema}.{table}")).collect();
    if ground.is_shared() {
        tables.push("tenantry.work".to_owned());
    }
    let rows = |table: &String| {
        format!(
            "(SELECT string_agg(it::text, '|' ORDER BY it::text) FROM {table} AS it WHERE tenant_id = '\\x{hex}')"
        )
    };
    let all: Vec<_> = tables.iter().map(rows).collect();
    format!("SELECT md5(concat_ws('/', {}))", all.join(", "))
}
