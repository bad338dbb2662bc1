//! Moving a tenant to another kind of home. Reads and writes go on while the rows are copied and compared; the writes
//! wait only for what has changed since. Each phase is noted before the next begins and can be taken again, so that
//! whoever comes after a crash goes on from there. Until the switch the tenant is where it was, and a move that fails
//! takes away what it has made; after it the tenant is at the new place, and what is left is to clear the old one.

use super::copying::{Check, Copied, Copying};
use super::side::Side;
use super::{Job, Provisioner, Served, TRIES, bytes};
use crate::error::Fault;
use crate::home::{OWN, params};
use crate::init::SetupError;
use crate::schema;
use std::time::Duration;
use store::{Isolation, MovePhase};
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

/// How many rows may be left for the writes to wait for, and how often it is tried to have as few.
const FEW: i64 = 200;
const ROUNDS: usize = 8;
/// How long writes wait at most. A move that takes longer lets them go on, and tries again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After how long the old place is cleared: a server may still read there that has begun before the switch.
const CLEARED_AFTER: Duration = Duration::from_secs(2);

/// A move that has not ended.
struct Moving {
    job: Job,
    source: Isolation,
    target: Isolation,
    phase: MovePhase,
    /// Later changes are not copied yet.
    since: u64,
}

impl Provisioner {
    /// Goes on with a move until it has ended, fails, or waits.
    pub(super) async fn serve_move(&self, job: Job) -> Result<Served, SetupError> {
        let client = self.platform().await?;
        let Some(mut moving) = take_up(&client, job).await? else { return Ok(Served::Done) };
        loop {
            let before_switch = matches!(
                moving.phase,
                MovePhase::Waiting
                    | MovePhase::Making
                    | MovePhase::Copying
                    | MovePhase::Comparing
                    | MovePhase::Switching
            );
            if before_switch && isolation(&client, job).await? != Some(moving.source) {
                let gone =
                    SetupError::Unusable("the tenant was erased, or is no longer where it was".to_owned());
                self.give_up(&client, &mut moving, &gone).await?;
                continue;
            }
            match self.go_on(&client, &mut moving).await {
                Ok(None) => {}
                Ok(Some(served)) => return Ok(served),
                Err(error) if before_switch && is_final(&error, job) => {
                    tracing::error!(tenant.id = %job.tenant, %error, "a move is given up");
                    self.give_up(&client, &mut moving, &error).await?;
                }
                Err(error) => {
                    let note = "UPDATE tenantry.move SET error = $2 WHERE tenant = $1";
                    let values = params![bytes(job.tenant) => BYTEA, error.to_string() => TEXT];
                    client.execute_typed(note, values).await?;
                    return Err(error);
                }
            }
        }
    }

    /// One phase. What is served then, where the move waits or has ended.
    async fn go_on(&self, client: &Client, moving: &mut Moving) -> Result<Option<Served>, SetupError> {
        match moving.phase {
            MovePhase::Waiting | MovePhase::Making => {
                self.make_target(client, moving).await?;
                self.enter_phase(client, moving, MovePhase::Copying).await?;
            }
            MovePhase::Copying => {
                let (source, target) = self.sides(moving).await?;
                let copied = Copying { source: &source, target: &target }.all().await?;
                self.step().await;
                note_copied(client, moving, &copied).await?;
                self.enter_phase(client, moving, MovePhase::Comparing).await?;
            }
            MovePhase::Comparing => {
                let (source, target) = self.sides(moving).await?;
                let copying = Copying { source: &source, target: &target };
                let copied = copying.round(moving.since, Check::Everything).await?;
                self.step().await;
                note_copied(client, moving, &copied).await?;
                self.enter_phase(client, moving, MovePhase::Switching).await?;
            }
            MovePhase::Switching => {
                self.switch(client, moving).await?;
                moving.phase = MovePhase::Removing;
                self.step().await;
                return Ok(Some(Served::Later(CLEARED_AFTER)));
            }
            MovePhase::Removing => {
                self.take_down(moving.job.tenant, moving.source, moving.target != Isolation::Pooled).await?;
                end(client, moving, "done").await?;
                self.step().await;
                return Ok(Some(Served::Done));
            }
            MovePhase::Undoing => {
                self.take_down(moving.job.tenant, moving.target, moving.source != Isolation::Pooled).await?;
                end(client, moving, "failed").await?;
                self.step().await;
                return Ok(Some(Served::Done));
            }
            MovePhase::Done | MovePhase::Failed => return Ok(Some(Served::Done)),
        }
        Ok(None)
    }

    async fn enter_phase(&self, client: &Client, moving: &mut Moving, phase: MovePhase) -> Result<(), Fault> {
        let note = "UPDATE tenantry.move SET phase = $2, error = NULL WHERE tenant = $1";
        client
            .execute_typed(note, params![bytes(moving.job.tenant) => BYTEA, phase.as_str() => TEXT])
            .await?;
        moving.phase = phase;
        self.step().await;
        Ok(())
    }

    /// From here on what was made for the move is taken away.
    async fn give_up(
        &self,
        client: &Client,
        moving: &mut Moving,
        error: &SetupError,
    ) -> Result<(), SetupError> {
        let note = "UPDATE tenantry.move SET phase = 'undoing', error = $2 WHERE tenant = $1";
        let values = params![bytes(moving.job.tenant) => BYTEA, error.to_string() => TEXT];
        client.execute_typed(note, values).await?;
        moving.phase = MovePhase::Undoing;
        self.step().await;
        Ok(())
    }

    async fn sides(&self, moving: &Moving) -> Result<(Side, Side), SetupError> {
        let tenant = moving.job.tenant;
        Ok((self.side(tenant, moving.source).await?, self.side(tenant, moving.target).await?))
    }

    /// Makes the home that the tenant is to have, where nobody reaches it yet.
    async fn make_target(&self, client: &Client, moving: &Moving) -> Result<(), SetupError> {
        let id = bytes(moving.job.tenant);
        if moving.source == Isolation::Pooled {
            // Left over from a move to another kind of home that was given up.
            let other = "DELETE FROM tenantry.home WHERE tenant = $1 AND isolation <> $2";
            client.execute_typed(other, params![id => BYTEA, moving.target.as_str() => TEXT]).await?;
        } else {
            let version = "SELECT version FROM tenantry.home WHERE tenant = $1";
            let row = client.query_typed_opt(version, params![id => BYTEA]).await?.ok_or(Fault::NoHome)?;
            if row.try_get::<_, i64>(0)? != schema::VERSION {
                return Err(Fault::Outdated.into());
            }
        }
        if moving.target != Isolation::Pooled {
            self.make(moving.job).await?;
        }
        let target = self.side(moving.job.tenant, moving.target).await?;
        target.begin("").await?;
        target.close().await?;
        Ok(target.commit().await?)
    }

    /// Has the tenant's writes wait, copies what has changed since, and puts the tenant to its new place. Afterwards
    /// nothing opens at the old one for any server.
    async fn switch(&self, client: &Client, moving: &mut Moving) -> Result<(), SetupError> {
        let (source, target) = self.sides(moving).await?;
        let paused = if source.is_left().await? {
            None
        } else {
            for _ in 0..ROUNDS {
                let copying = Copying { source: &source, target: &target };
                let copied = copying.round(moving.since, Check::Copied).await?;
                note_copied(client, moving, &copied).await?;
                if copied.copied < FEW {
                    break;
                }
            }
            self.step().await;
            let begun = Instant::now();
            let (work, rows) = timeout(LONGEST_PAUSE, self.last_changes(&source, &target, moving.since))
                .await
                .map_err(|_| SetupError::Unusable("its writes would have waited too long".to_owned()))??;
            self.step().await;
            source.client.execute_typed(&format!("DELETE FROM log_head WHERE {OWN}"), &[]).await?;
            source.close().await?;
            if source.is_in_platform() {
                let paused = begun.elapsed();
                put_there(&source.client, moving, &target, (&work, Some(rows), Some(paused))).await?;
                source.commit().await?;
                return Ok(());
            }
            source.commit().await?;
            self.step().await;
            Some((begun.elapsed(), rows))
        };
        // The old place is a database of its own, and closed. The platform's may say so only after it.
        source.begin("").await?;
        let work = source.held_work().await?;
        source.commit().await?;
        target.begin("").await?;
        let (paused, rows) = paused.unzip();
        put_there(&target.client, moving, &target, (&work, rows, paused)).await?;
        Ok(target.commit().await?)
    }

    /// Holds the tenant's writes, and copies what has changed, which the target then has; its work, and how many rows.
    async fn last_changes(
        &self,
        source: &Side,
        target: &Side,
        since: u64,
    ) -> Result<(String, i64), SetupError> {
        source.begin("").await?;
        // Where this process is gone the database notices late that it is, and the writes would wait for that.
        let bounds = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '5s';
            SET LOCAL idle_in_transaction_session_timeout = '5s'";
        source.client.batch_execute(bounds).await?;
        let head = "SELECT 1 FROM log_head FOR UPDATE";
        source.client.query_typed_opt(head, &[]).await?.ok_or(Fault::KeyGone)?;
        if source.is_in_platform() {
            let row = "SELECT 1 FROM tenantry.tenant WHERE id = $1 FOR NO KEY UPDATE";
            source.client.query_typed(row, params![bytes(source.tenant) => BYTEA]).await?;
        }
        let work = source.held_work().await?;
        target.begin("").await?;
        let copied = Copying { source, target }.catch_up(since, Check::Copied).await?;
        if target.isolation != Isolation::Pooled {
            target.put_work(&target.client, &work).await?;
        }
        if target.isolation == Isolation::Dedicated {
            target.take_runs_away().await?;
        }
        if !target.is_in_platform() {
            target.open(&target.client).await?;
        }
        target.commit().await?;
        Ok((work, copied.rows))
    }
}

/// Whether trying again would not help, or it was tried often enough.
fn is_final(error: &SetupError, job: Job) -> bool {
    matches!(error, SetupError::Differs(_)) || job.tries + 1 >= TRIES
}

/// How the tenant is kept.
async fn isolation(client: &Client, job: Job) -> Result<Option<Isolation>, Fault> {
    let select = "SELECT isolation FROM tenantry.tenant WHERE id = $1";
    let row = client.query_typed_opt(select, params![bytes(job.tenant) => BYTEA]).await?;
    let name: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(name.as_deref().and_then(Isolation::parse))
}

/// A move as it was left, or one that begins. Nothing where there is none to make any more.
async fn take_up(client: &Client, job: Job) -> Result<Option<Moving>, Fault> {
    let id = bytes(job.tenant);
    if let Some(source) = isolation(client, job).await?.filter(|source| *source != job.isolation) {
        let begin = "INSERT INTO tenantry.move AS it(tenant, job, source, target) VALUES($1, $2, $3, $4)
            ON CONFLICT (tenant) DO UPDATE SET job = $2, source = $3, target = $4, phase = 'making', since = NULL,
                rows = NULL, paused_millis = NULL, error = NULL, began_at = clock_timestamp(), switched_at = NULL,
                ended_at = NULL
            WHERE it.job <> $2";
        let values =
            params![id => BYTEA, job.id => INT8, source.as_str() => TEXT, job.isolation.as_str() => TEXT];
        client.execute_typed(begin, values).await?;
    }
    let select = "SELECT source, target, phase, since FROM tenantry.move WHERE tenant = $1 AND job = $2";
    let row = client.query_typed_opt(select, params![id => BYTEA, job.id => INT8]).await?;
    let Some(row) = row else { return Ok(None) };
    let damaged = || Fault::Damaged("the row of a move");
    let phase = MovePhase::parse(row.try_get(2)?).ok_or_else(damaged)?;
    let since: Option<&str> = row.try_get(3)?;
    Ok(Some(Moving {
        job,
        source: Isolation::parse(row.try_get(0)?).ok_or_else(damaged)?,
        target: Isolation::parse(row.try_get(1)?).ok_or_else(damaged)?,
        phase,
        since: since.map_or(Ok(0), str::parse).map_err(|_| damaged())?,
    }))
}

async fn note_copied(client: &Client, moving: &mut Moving, copied: &Copied) -> Result<(), Fault> {
    let note = "UPDATE tenantry.move SET since = $2, rows = $3 WHERE tenant = $1";
    let since = copied.since.to_string();
    let values = params![bytes(moving.job.tenant) => BYTEA, since => TEXT, copied.rows => INT8];
    client.execute_typed(note, values).await?;
    moving.since = copied.since;
    Ok(())
}

async fn end(client: &Client, moving: &Moving, how: &str) -> Result<(), Fault> {
    let note = "UPDATE tenantry.move SET phase = $2, ended_at = clock_timestamp(),
        error = CASE WHEN $2 = 'failed' THEN error END WHERE tenant = $1";
    client.execute_typed(note, params![bytes(moving.job.tenant) => BYTEA, how => TEXT]).await?;
    Ok(())
}

/// Says that the tenant is at its new place, in a transaction of the platform's database that goes on, with the work
/// that stands there.
async fn put_there(
    on: &Client,
    moving: &Moving,
    target: &Side,
    (work, rows, paused): (&str, Option<i64>, Option<Duration>),
) -> Result<(), SetupError> {
    let (id, kind) = (bytes(moving.job.tenant), moving.target.as_str());
    if moving.target == Isolation::Pooled {
        target.put_work(on, work).await?;
    } else {
        let gone = "DELETE FROM tenantry.work WHERE tenant_id = $1";
        on.execute_typed(gone, params![id => BYTEA]).await?;
    }
    if target.is_in_platform() {
        target.open(on).await?;
    }
    let own = [
        "UPDATE tenantry.home SET isolation = $2 WHERE tenant = $1",
        "INSERT INTO tenantry.provisioning(tenant, what, isolation, state) VALUES($1, 'make', $2, 'done')
         ON CONFLICT (tenant, what) DO UPDATE SET isolation = $2",
        "INSERT INTO tenantry.work_elsewhere(tenant, until)
         SELECT $1, clock_timestamp() + interval '10 minutes' WHERE $2 <> ''
         ON CONFLICT (tenant) DO UPDATE SET until = excluded.until",
    ];
    let pooled = [
        "DELETE FROM tenantry.provisioning WHERE tenant = $1 AND what = 'make' AND $2 <> ''",
        "DELETE FROM tenantry.work_elsewhere WHERE tenant = $1 AND $2 <> ''",
    ];
    let told = if moving.target == Isolation::Pooled { pooled.as_slice() } else { own.as_slice() };
    for statement in told {
        on.execute_typed(statement, params![id => BYTEA, kind => TEXT]).await?;
    }
    let note = "UPDATE tenantry.move SET phase = 'removing', switched_at = clock_timestamp(),
        rows = coalesce($2, rows), paused_millis = $3 WHERE tenant = $1";
    let paused = paused.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
    on.execute_typed(note, params![id => BYTEA, rows => INT8, paused => INT8]).await?;
    // Last, since whoever changes a tenant's row waits for everybody else who does.
    let there =
        "UPDATE tenantry.tenant SET isolation = $2, version = version + 1 WHERE id = $1 AND isolation = $3";
    let values = params![id => BYTEA, kind => TEXT, moving.source.as_str() => TEXT];
    match on.execute_typed(there, values).await? {
        1 => Ok(()),
        _ => Err(SetupError::Unusable("the tenant is gone".to_owned())),
    }
}
