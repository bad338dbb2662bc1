//! What the attacker's role sees of others' statements, of their settings, and of the statistics of their tables.

use super::Outcome;
use super::ground::{BEGIN, Ground, bind, tried_with};
use super::tally::{Tally, code, counted, leak};
use crate::home::params;
use crate::init::SetupError;
use crate::link::Link;
use tokio_postgres::{Client, Error};

/// How many statements of others have a word in them.
const ACTIVITY: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND position($1 in query) > 0";
/// The same of those that were, where the database keeps them. `{t}` is where.
const KEPT: &str = "SELECT count(*) FROM {t} WHERE position($1 in query) > 0 AND query NOT LIKE '%pg_stat_%'";
const KEEPS: &str = "SELECT format('%I.pg_stat_statements', nspname) FROM pg_extension
    JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_stat_statements'";
/// What to give where it does not.
const KEEPER: &str = "a database with the extension `pg_stat_statements`";

/// Statistics of tenants' tables, in whichever view.
const STATISTICS: [(&str, &str); 3] = [
    ("pg_stats", "SELECT count(*) FROM pg_stats WHERE schemaname = $1"),
    ("pg_stats_ext", "SELECT count(*) FROM pg_stats_ext WHERE schemaname = $1"),
    ("pg_statistic", "SELECT count(*) FROM pg_statistic WHERE $1 <> ''"),
];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    others(ground, &client, tally).await?;
    the_victims(ground, &client, tally).await?;
    statistics(ground, &client, tally).await
}

/// Statements of other roles: the administrator's where the victim has the attacker's role, and else the victim's.
async fn others(ground: &Ground<'_>, client: &Client, tally: &mut Tally) -> Result<(), SetupError> {
    let database = client.query_typed_one("SELECT current_database()::text", &[]).await?;
    let admin = ground.admin.within(database.try_get(0)?);
    let link: &Link = if ground.is_shared() { &admin } else { &ground.victim.link };
    let other = link.connect().await?;
    let word = format!("verify{}", hex::encode(ground.env.random::<8>()));
    // Held, so that a pooler gives the others another connection.
    other.batch_execute(BEGIN).await?;
    // Values are left out of what is kept, and so are most names.
    other.batch_execute(&format!("WITH {word} AS (SELECT 1) SELECT * FROM {word}")).await?;
    let own =
        "SELECT count(*) FROM pg_stat_activity WHERE position($1 in query) > 0 AND pid <> pg_backend_pid()";
    // Whoever said it sees it, from another connection.
    let control = link.connect().await?.query_typed_one(own, params![word => TEXT]).await;
    let control = control.and_then(|row| row.try_get::<_, i64>(0)).unwrap_or(0);
    let outcome = if control == 0 {
        Outcome::Unattacked("the database does not show statements".to_owned())
    } else {
        seen(client, ACTIVITY, &word).await
    };
    tally.note("SELECT", "pg_stat_activity", "statements of other roles", outcome);
    let outcome = match kept(client).await? {
        Some(kept) => seen(client, &kept, &word).await,
        None => Outcome::NotOffered(KEEPER),
    };
    tally.note("SELECT", "pg_stat_statements", "statements of other roles", outcome);
    other.batch_execute("ROLLBACK").await?;
    Ok(())
}

/// A statement of the victim's as the store makes them, in a transaction that is still open. Where both have the same
/// role it is seen, and has nothing in it that is the victim's.
async fn the_victims(ground: &Ground<'_>, client: &Client, tally: &mut Tally) -> Result<(), SetupError> {
    let victim = ground.victim.link.connect().await?;
    let token = ground.victim.token();
    victim.batch_execute(BEGIN).await?;
    bind(&victim, &token).await?;
    let mut words = vec![("the token", token.expose().to_owned()), ("the id", ground.victim.hex.clone())];
    words.extend(ground.canaries.iter().map(|word| ("a word", word.expose().to_owned())));
    for (_, word) in &words {
        let asked = format!("SELECT count(*) FROM {}.object WHERE id = $1", ground.victim.schema);
        victim.query_typed(&asked, params![word => TEXT]).await?;
    }
    let places =
        [("pg_stat_activity", Some(ACTIVITY.to_owned())), ("pg_stat_statements", kept(client).await?)];
    for (place, select) in places {
        let mut outcome = Outcome::Held;
        for (what, word) in &words {
            outcome = match &select {
                None => Outcome::NotOffered(KEEPER),
                Some(select) => match seen(client, select, word).await {
                    Outcome::Held => continue,
                    Outcome::Leak(_) => leak(format!("{what} of the victim's stands in a statement")),
                    other => other,
                },
            };
            break;
        }
        tally.note("SELECT", place, "the victim's token and content in its statements", outcome);
    }
    victim.batch_execute("ROLLBACK").await?;
    Ok(())
}

/// The question of what statements the database keeps, where it does.
async fn kept(client: &Client) -> Result<Option<String>, SetupError> {
    let Some(row) = client.query_typed_opt(KEEPS, &[]).await? else { return Ok(None) };
    Ok(Some(KEPT.replace("{t}", row.try_get(0)?)))
}

async fn seen(client: &Client, select: &str, word: &str) -> Outcome {
    match counted(client.query_typed(select, params![word => TEXT]).await) {
        Outcome::Leak(_) => leak("the text of another role's statement"),
        // The extension is there, and the server has not loaded it.
        Outcome::Unattacked(why) if why.ends_with("55000") => Outcome::NotOffered(KEEPER),
        outcome => outcome,
    }
}

/// The most common values and the bounds of the victim's columns.
async fn statistics(ground: &Ground<'_>, client: &Client, tally: &mut Tally) -> Result<(), SetupError> {
    let made = analysed(ground, client).await;
    for (place, select) in STATISTICS {
        let outcome = match &made {
            Ok(true) => {
                let schema = ground.victim.schema.as_str();
                let own = ground.attacker.token();
                match counted(tried_with(client, Some(&own), &[], select, params![schema => TEXT]).await) {
                    Outcome::Leak(_) => leak("values of columns that other tenants have rows in"),
                    outcome => outcome,
                }
            }
            Ok(false) => Outcome::Unattacked("the database has no statistics of these tables".to_owned()),
            Err(error) => Outcome::Unattacked(format!("the database has no statistics: {}", code(error))),
        };
        tally.note("SELECT", place, "values in statistics", outcome);
    }
    Ok(())
}

/// Makes statistics, as the owner of the victim's tables, and says whether there are any.
async fn analysed(ground: &Ground<'_>, attacker: &Client) -> Result<bool, Error> {
    let victims = match ground.victim.link.config.get_dbname() {
        Some(database) if !ground.is_shared() => database.to_owned(),
        _ => attacker.query_typed_one("SELECT current_database()::text", &[]).await?.try_get(0)?,
    };
    let Ok(admin) = ground.admin.within(&victims).connect().await else { return Ok(false) };
    let table = format!("{}.object", ground.victim.schema);
    let (begin, owner) = ("BEGIN", ground.naming.owner());
    admin.batch_execute(&format!("{begin}; SET LOCAL ROLE {owner}; ANALYZE {table}; COMMIT")).await?;
    let known = "SELECT reltuples > 0 FROM pg_class WHERE oid = $1::regclass";
    admin.query_typed_one(known, params![table => TEXT]).await?.try_get(0)
}
