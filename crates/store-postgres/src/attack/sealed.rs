//! What a role sees although it is another tenant's, as `docs/postgres.md` says it does: the shared role with several
//! tokens rows of all of them, and the platform's own tables. There it must be sealed: no word that the victim stored
//! stands anywhere in clear, as text or as bytes. And what else a role can read: views and functions that somebody added
//! must show nothing of the victim.

use super::Outcome;
use super::ground::{Ground, tried_with};
use super::tally::{Tally, counted, leak};
use crate::home::params;
use crate::init::SetupError;
use tokio_postgres::Client;

/// Rows in which one of these words stands.
const SHOWN: &str = "SELECT count(*) FROM (SELECT 1 FROM {t} AS it, unnest($1::text[]) AS word
    WHERE position(word in it::text) > 0 LIMIT 1000) AS shown";

/// What a role can read that is neither the server's own nor a tenant's table.
const READABLE: &str = "SELECT pg_class.oid::regclass::text, nspname = 'tenantry' FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND relkind IN ('r', 'p', 'v', 'm', 'f')
    AND has_schema_privilege(relnamespace, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT')
    AND NOT (nspname = $1 AND relname = ANY($2)) ORDER BY 1";

/// What a role can call without values, that gives rows or a value and is not the server's own.
const CALLABLE: &str = "SELECT format('%I.%I()', nspname, proname) FROM pg_proc
    JOIN pg_namespace ON pg_namespace.oid = pronamespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND prokind = 'f' AND pronargs = 0
    AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    AND has_schema_privilege(pronamespace, 'USAGE') AND has_function_privilege(pg_proc.oid, 'EXECUTE')
    AND (nspname, proname) <> ('tenantry', 'current_tenant') ORDER BY 1";

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    let words: Vec<String> = ground.canaries.iter().flat_map(|word| both(word.expose())).collect();
    let victims = ground.victim.token();
    for (table, missing) in &ground.tables {
        let select = ground.on(table, SHOWN);
        let outcome = match missing {
            Some(missing) => Outcome::Unattacked(missing.clone()),
            None => {
                match tried_with(&client, Some(&victims), &[], &select, params![words => TEXT_ARRAY]).await {
                    found @ Ok(_) => in_clear(counted(found)),
                    found @ Err(_) => counted(found),
                }
            }
        };
        tally.note("SELECT", ground.place(table), "the victim's words in clear, with its token", outcome);
    }
    others(ground, &client, &words, tally).await
}

/// Everything else that can be read or called.
async fn others(
    ground: &Ground<'_>,
    client: &Client,
    words: &[String],
    tally: &mut Tally,
) -> Result<(), SetupError> {
    let tables: Vec<&str> = ground.tables.keys().copied().collect();
    let schema = ground.attacker.schema.as_str();
    let own = ground.attacker.token();
    // The platform knows of every tenant, by its id.
    let mut known = words.to_vec();
    known.extend([ground.victim.hex.clone(), ground.victim.tenant.to_string()]);
    let (mut shown, mut listed) = (Vec::new(), Vec::new());
    for row in client.query_typed(READABLE, params![schema => TEXT, tables => TEXT_ARRAY]).await? {
        listed.push((row.try_get::<_, String>(0)?, row.try_get::<_, bool>(1)?));
    }
    for row in client.query_typed(CALLABLE, &[]).await? {
        listed.push((row.try_get::<_, String>(0)?, false));
    }
    for (name, platform) in listed {
        let sought = if platform { words } else { known.as_slice() };
        let select = SHOWN.replace("{t}", &name);
        let found = tried_with(client, Some(&own), &[], &select, params![sought => TEXT_ARRAY]).await;
        if platform {
            tally.note("SELECT", name, "the victim's words in clear", in_clear(counted(found)));
        } else if matches!(counted(found), Outcome::Leak(_)) {
            shown.push(name);
        }
    }
    let outcome = if shown.is_empty() { Outcome::Held } else { leak(shown.join(", ")) };
    tally.note("SELECT", "every view, table and function that was added", "rows of the victim's", outcome);
    Ok(())
}

/// A word as text, and as bytes are written.
fn both(word: &str) -> [String; 2] {
    [word.to_owned(), hex::encode(word)]
}

fn in_clear(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Leak(_) => leak("a word that the victim stored, in clear"),
        outcome => outcome,
    }
}
