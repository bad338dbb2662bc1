//! What is left over in a connection: after the victim's transaction has ended in one way or another, the next one on
//! the same connection must not be inside it; and a connection must not begin inside anybody.

use super::Outcome;
use super::ground::{BEGIN, Ground, bind};
use super::reads::ANY;
use super::tally::{Tally, code, counted, leak};
use crate::home::params;
use crate::init::SetupError;
use std::time::Duration;
use tokio_postgres::{Client, Error};

/// How many connections are looked at that nobody has used here. A pooler gives ones that others have used.
const FRESH: usize = 6;
/// How long a pooler may take to give one.
const GIVEN: Duration = Duration::from_secs(1);
/// How long a statement runs before it is cancelled.
const RUNS: Duration = Duration::from_millis(50);

/// How the victim's transaction ends.
#[derive(Clone, Copy)]
enum Ends {
    Committed,
    RolledBack,
    Failed,
    Cancelled,
    ToASavepoint,
}

const ENDS: [(Ends, &str); 5] = [
    (Ends::Committed, "after the victim's transaction was committed"),
    (Ends::RolledBack, "after the victim's transaction was rolled back"),
    (Ends::Failed, "after the victim's transaction failed"),
    (Ends::Cancelled, "after the victim's transaction was cancelled"),
    (Ends::ToASavepoint, "after a savepoint before the victim's token"),
];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    for (ends, attack) in ENDS {
        // What went wrong may have closed the one before.
        let (client, other) = (ground.attacker.link.connect().await?, ground.attacker.link.connect().await?);
        let ended = end((&client, &other), ground, ends).await;
        for (table, missing) in &ground.tables {
            let outcome = match (missing, &ended) {
                (Some(missing), _) => Outcome::Unattacked(missing.clone()),
                (None, Err(error)) => {
                    Outcome::Unattacked(format!("the victim's transaction: {}", code(error)))
                }
                (None, Ok(())) => counted(client.query_typed(&ground.on(table, ANY), &[]).await),
            };
            tally.note("SELECT", ground.place(table), attack, outcome);
        }
        if let Ends::ToASavepoint = ends {
            client.batch_execute("ROLLBACK").await?;
        }
    }
    fresh(ground, tally).await
}

/// A transaction of the victim's that reads all tables, and ends.
async fn end((client, other): (&Client, &Client), ground: &Ground<'_>, ends: Ends) -> Result<(), Error> {
    let token = ground.victim.token();
    client.batch_execute(BEGIN).await?;
    if let Ends::ToASavepoint = ends {
        client.batch_execute("SAVEPOINT before").await?;
    }
    bind(client, &token).await?;
    for table in ground.tables.keys() {
        client.query_typed(&ground.on(table, ANY), &[]).await?;
    }
    match ends {
        Ends::Committed => client.batch_execute("COMMIT").await,
        Ends::RolledBack => client.batch_execute("ROLLBACK").await,
        Ends::Failed => {
            let _: Result<(), Error> = client.batch_execute("SELECT 1 / 0").await;
            client.batch_execute("ROLLBACK").await
        }
        Ends::Cancelled => cancel(client, other).await,
        Ends::ToASavepoint => client.batch_execute("ROLLBACK TO SAVEPOINT before").await,
    }
}

/// Cancels a statement that runs, from another connection. By a statement, since a pooler may not get over a request to
/// cancel whose connection is closed at once.
async fn cancel(client: &Client, other: &Client) -> Result<(), Error> {
    let pid: i32 = client.query_typed_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
    let asked = async {
        tokio::time::sleep(RUNS).await;
        other.execute_typed("SELECT pg_cancel_backend($1)", params![pid => INT4]).await
    };
    let (slept, asked) = tokio::join!(client.batch_execute("SELECT pg_sleep(5)"), asked);
    asked?;
    // The database tells its process twice, and the second time may be late.
    tokio::time::sleep(RUNS).await;
    if client.batch_execute("ROLLBACK").await.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    match slept {
        Err(error) if code(&error) == "57014" => Ok(()),
        Err(error) => Err(error),
        // One that came to its end shows nothing.
        Ok(()) => client.batch_execute("SELECT 1 / 0").await,
    }
}

/// What connections have in them that were just made, or that a pooler gives.
async fn fresh(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let mut clients = Vec::new();
    for _ in 0..FRESH {
        let client = ground.attacker.link.connect().await?;
        // Held, so that a pooler gives the next another one, as long as it has one.
        match tokio::time::timeout(GIVEN, client.batch_execute(BEGIN)).await {
            Ok(begun) => begun?,
            Err(_) => break,
        }
        clients.push(client);
    }
    for (what, attack, select) in LEFT {
        let mut outcome = Outcome::Held;
        for client in &clients {
            match client.query_typed(select, &[]).await {
                Ok(rows) if rows.first().is_some_and(|row| row.try_get(0).is_ok_and(|nothing| nothing)) => {}
                Ok(_) => outcome = leak("there is something of somebody else's in it"),
                Err(error) => outcome = counted(Err(error)),
            }
        }
        tally.note("SELECT", what, attack, outcome);
    }
    for (table, missing) in &ground.tables {
        let mut outcome = missing.clone().map_or(Outcome::Held, Outcome::Unattacked);
        for client in clients.iter().filter(|_| missing.is_none()) {
            let found = counted(client.query_typed(&ground.on(table, ANY), &[]).await);
            if found != Outcome::Held {
                outcome = found;
            }
        }
        tally.note("SELECT", ground.place(table), "a connection that was just made", outcome);
    }
    for client in clients {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(())
}

/// What a connection may begin with: each says whether it is nothing.
const LEFT: [(&str, &str, &str); 3] = [
    (
        "the setting `tenantry.tenant`",
        "a connection that was just made",
        "SELECT coalesce(current_setting('tenantry.tenant', true), '') = ''",
    ),
    (
        "pg_prepared_statements",
        "a connection that was just made",
        "SELECT NOT EXISTS(SELECT 1 FROM pg_prepared_statements WHERE from_sql)",
    ),
    (
        "pg_cursors",
        "a connection that was just made",
        "SELECT NOT EXISTS(SELECT 1 FROM pg_cursors WHERE is_holdable)",
    ),
];
