//! Reading: statements that forget whose rows they are to read, and transactions that are bound to nothing, or to what
//! is no token. Each is tried on every table.

use super::Outcome;
use super::ground::{BEGIN, Ground, bind, tried};
use super::tally::{Tally, code, counted, is_refused, leak};
use crate::init::SetupError;
use futures::{StreamExt as _, pin_mut};
use secret::SecretText;
use tokio_postgres::{Client, Error};

/// What a transaction says whose it is.
#[derive(Clone, Copy)]
enum Said {
    /// Nothing.
    Nothing,
    /// The attacker's token.
    Own,
    /// The victim's id alone.
    Bare,
    /// The victim's id under the code of the attacker's token.
    Spliced,
    /// A token of the victim's that has ended.
    Ended,
    /// The victim's token with another end than was signed.
    Prolonged,
    /// A right token of the victim's that holds for longer than a minute.
    TooLong,
    /// The victim's token without its last digit.
    Cut,
    /// The attacker's token with the victim's behind it, as a careless concatenation makes it.
    Both,
}

/// A statement that counts rows which it must not see. `{t}` is a table that the attacker's role can name, `{own}` and
/// `{victim}` are ids.
struct Read {
    statement: &'static str,
    attack: &'static str,
    said: Said,
    sql: &'static str,
}

const fn read(statement: &'static str, attack: &'static str, said: Said, sql: &'static str) -> Read {
    Read { statement, attack, said, sql }
}

/// No row at all is to be seen. A leak of a large table is not counted to its end.
pub(super) const ANY: &str = "SELECT count(*) FROM (SELECT 1 FROM {t} LIMIT 100000) AS it";
/// No row of others is to be seen.
pub(super) const OTHERS: &str = "SELECT count(*) FILTER (WHERE tenant_id <> '\\x{own}') FROM (SELECT tenant_id FROM {t} LIMIT 100000) AS it";

const READS: &[Read] = &[
    read("SELECT", "the filter by tenant is forgotten", Said::Own, OTHERS),
    read("SELECT", "the transaction says no tenant", Said::Nothing, ANY),
    read("SELECT", "the transaction says the victim's id and proves nothing", Said::Bare, ANY),
    read("SELECT", "the victim's id under the code of another token", Said::Spliced, ANY),
    read("SELECT", "a token that has ended is shown again", Said::Ended, ANY),
    read("SELECT", "a token with a later end than was signed", Said::Prolonged, ANY),
    read("SELECT", "a token that holds for longer than the database takes", Said::TooLong, ANY),
    read("SELECT", "a token that lacks its last digit", Said::Cut, ANY),
    read("SELECT", "two tokens in one setting", Said::Both, ANY),
    read(
        "SELECT",
        "the setting is replaced within the statement",
        Said::Own,
        "SELECT count(*) FROM {t} WHERE tenant_id <> '\\x{own}'
         AND set_config('tenantry.tenant', '{victim}' || substr(current_setting('tenantry.tenant'), 33), true) <> ''",
    ),
    read(
        "SELECT FOR UPDATE",
        "the filter by tenant is forgotten",
        Said::Own,
        "SELECT count(*) FILTER (WHERE tenant_id <> '\\x{own}')
         FROM (SELECT tenant_id FROM {t} LIMIT 1000 FOR UPDATE) AS it",
    ),
    read(
        "SELECT TABLESAMPLE",
        "the filter by tenant is forgotten",
        Said::Own,
        "SELECT count(*) FILTER (WHERE tenant_id <> '\\x{own}')
         FROM (SELECT tenant_id FROM {t} TABLESAMPLE SYSTEM(100) LIMIT 100000) AS it",
    ),
    read(
        "SELECT",
        "rows are asked for by where they lie",
        Said::Own,
        "SELECT count(*) FILTER (WHERE tenant_id <> '\\x{own}') FROM {t}
         WHERE ctid = ANY(ARRAY(SELECT format('(%s,%s)', page, line)::tid
            FROM generate_series(0, 15) AS page, generate_series(1, 60) AS line))",
    ),
    // A condition that the victim's rows alone fail at: whoever gets the error has had them tried.
    read(
        "SELECT",
        "a condition that fails at rows of others",
        Said::Own,
        "SELECT count(*) FROM {t}
         WHERE tenant_id <> '\\x{own}' OR CASE WHEN tenant_id = '\\x{own}' THEN 1 ELSE 1 / (length(tenant_id) - 16) END = 0",
    ),
    read(
        "query_to_xml",
        "a function that carries out statements",
        Said::Own,
        "SELECT count(*) FROM xpath('//row', query_to_xml(
            'SELECT 1 FROM {t} WHERE tenant_id <> ''\\x{own}'' LIMIT 1000', false, false, ''))
         CROSS JOIN LATERAL unnest(xpath) AS row",
    ),
];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    for (table, missing) in &ground.tables {
        let place = ground.place(table);
        let missed = |missing: &String| Outcome::Unattacked(missing.clone());
        for Read { statement, attack, said, sql } in READS {
            let outcome = match missing {
                Some(missing) => missed(missing),
                None => {
                    let found =
                        tried(&client, said.token(ground).as_ref(), &[], &ground.on(table, sql)).await;
                    match found {
                        // The condition was tried on a row of somebody else's.
                        Err(error) if code(&error) == "22012" => {
                            leak("a condition was tried on foreign rows")
                        }
                        found => counted(found),
                    }
                }
            };
            tally.note(statement, &place, attack, outcome);
        }
        let outcome = match missing {
            Some(missing) => missed(missing),
            None => copied(&client, ground, table).await,
        };
        tally.note("COPY TO", &place, "the table as a whole", outcome);
        let outcome = match missing {
            Some(missing) => missed(missing),
            None => planned(&client, ground, table).await,
        };
        tally.note("EXECUTE", &place, "a plan that was made for the victim", outcome);
    }
    Ok(())
}

/// What a copy of the whole table has of others.
async fn copied(client: &Client, ground: &Ground<'_>, table: &str) -> Outcome {
    let copy = ground.on(table, "COPY {t}(tenant_id) TO STDOUT");
    let own = format!("\\\\x{}\n", ground.attacker.hex);
    let token = ground.attacker.token();
    let lines = async {
        client.batch_execute(BEGIN).await?;
        bind(client, &token).await?;
        let stream = client.copy_out(&copy).await?;
        pin_mut!(stream);
        let mut others = 0usize;
        while let Some(lines) = stream.next().await {
            let lines = lines?;
            others += lines.split_inclusive(|byte| *byte == b'\n').filter(|it| *it != own.as_bytes()).count();
        }
        Ok::<_, Error>(others)
    };
    let lines = lines.await;
    let ended = client.batch_execute("ROLLBACK").await;
    match lines.and_then(|lines| ended.map(|()| lines)) {
        Ok(0) => Outcome::Held,
        Ok(lines) => leak(format!("lines of others: {lines}")),
        Err(error) if is_refused(&error) => Outcome::Held,
        Err(error) => Outcome::Unattacked(format!("the database answered {}", code(&error))),
    }
}

/// What a prepared statement shows the attacker whose plan was made, and used, for the victim. In one transaction, since
/// a pooler may give the next another connection.
async fn planned(client: &Client, ground: &Ground<'_>, table: &str) -> Outcome {
    let prepare = format!("PREPARE verify_plan AS {}", ground.on(table, OTHERS));
    let (victims, own) = (ground.victim.token(), ground.attacker.token());
    let found = async {
        client.batch_execute(BEGIN).await?;
        bind(client, &victims).await?;
        client.batch_execute("SET LOCAL plan_cache_mode = force_generic_plan").await?;
        client.batch_execute(&prepare).await?;
        let victims = client.query_typed("EXECUTE verify_plan", &[]).await?;
        bind(client, &own).await?;
        let found = client.query_typed("EXECUTE verify_plan", &[]).await?;
        // It outlives the transaction otherwise.
        client.batch_execute("DEALLOCATE verify_plan").await?;
        Ok::<_, Error>((victims, found))
    };
    let found = found.await;
    let ended = client.batch_execute("ROLLBACK").await;
    if found.is_err() {
        // It may be there or not.
        let _: Result<(), Error> = client.batch_execute("DEALLOCATE verify_plan").await;
    }
    let shown = |rows: &[tokio_postgres::Row]| rows.first().and_then(|row| row.try_get::<_, i64>(0).ok());
    match found.and_then(|found| ended.map(|()| found)) {
        // In a home of the attacker's own the victim has no rows that its token could open.
        Ok((victims, _)) if ground.is_shared() && shown(&victims) == Some(0) => {
            Outcome::Unattacked("the victim's own plan showed none of its rows".to_owned())
        }
        Ok((_, found)) => counted(Ok(found)),
        Err(error) => counted(Err(error)),
    }
}

impl Said {
    fn token(self, ground: &Ground<'_>) -> Option<SecretText> {
        let (own, victims) = (ground.attacker.token(), ground.victim.token());
        let (own, victims) = (own.expose(), victims.expose());
        let victim = &ground.victim.hex;
        Some(match self {
            Self::Nothing => return None,
            Self::Own => ground.attacker.token(),
            Self::Bare => SecretText::new(victim.clone()),
            Self::Spliced => SecretText::new(format!("{victim}{}", own.get(victim.len()..)?)),
            Self::Ended => ground.victim.ending_in(-1),
            Self::Prolonged => {
                let (said, code) = victims.rsplit_once('.')?;
                let (id, end) = said.split_once('.')?;
                SecretText::new(format!("{id}.{}.{code}", end.parse::<i64>().ok()? + 1))
            }
            Self::TooLong => ground.victim.ending_in(600_000),
            Self::Cut => SecretText::new(victims.get(..victims.len() - 1)?.to_owned()),
            Self::Both => SecretText::new(format!("{own}{victims}")),
        })
    }
}
