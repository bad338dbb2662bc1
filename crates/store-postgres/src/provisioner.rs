//! Makes and removes the homes of tenants that have their own, with rights that no server has. What is asked for
//! stands in a queue in the platform's database; each row is served by steps that can be taken again from the first
//! one, so that whoever comes after a crash finishes what was begun.

mod copying;
mod moving;
mod side;
mod steps;

use crate::Tls;
use crate::error::Fault;
use crate::home::params;
use crate::init::SetupError;
use crate::link::Link;
use crate::naming::Naming;
use crate::schema;
use env::Env;
use ids::{Id as _, TenantId};
use kms::Kms;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::Isolation;
use tokio::sync::Notify;
use tokio_postgres::Client;

/// How often it is looked whether something is to be done.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// After how many such looks it is also looked what nobody has asked for.
const SWEEP_EVERY: u32 = 25;
/// How soon the database is tried again that could not be reached.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often something is tried before it has failed. Each time waits twice as long, from a second on.
const TRIES: i64 = 8;
/// After how long a home goes whose tenant never came to be, since its server ended in between; and after how long what
/// has failed is tried again.
const LONG_AFTER: &str = "1 hour";

/// Serves the queue.
pub struct Provisioner {
    admin: Link,
    /// How the server reaches the platform's database, and a tenant's role its own.
    server: Link,
    naming: Naming,
    kms: Arc<dyn Kms>,
    env: Env,
    /// How many steps are taken before it stays where it is, and who is told.
    steps: AtomicUsize,
    stopped: Arc<Notify>,
}

/// What is to be done.
#[derive(Clone, Copy)]
struct Job {
    id: i64,
    tenant: TenantId,
    isolation: Isolation,
    what: What,
    tries: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Make,
    Remove,
    Move,
}

/// What serving a row came to.
enum Served {
    Done,
    /// It goes on after this time.
    Later(Duration),
}

/// What is served beside each other: a move takes as long as there is data, and who makes a tenant waits for its home.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Homes,
    Moves,
}

/// The next row that nobody else serves. A home is removed when nobody makes it or moves its tenant any more, and a
/// tenant is moved when nobody makes its home.
const NEXT: &str = "SELECT id, tenant, isolation, what, tries FROM tenantry.provisioning AS it
     WHERE state = 'waiting' AND due_at <= clock_timestamp() AND (what = 'move') = $1 AND NOT EXISTS(
        SELECT 1 FROM tenantry.provisioning AS other
        WHERE other.tenant = it.tenant AND other.state = 'waiting'
        AND (other.what = 'make' AND it.what <> 'make' OR other.what = 'move' AND it.what = 'remove'))
     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";

impl Provisioner {
    /// For the database that `url` names, as the server has it, with the administrator's address of the same server.
    pub fn new(
        admin_url: &str,
        url: &str,
        tls: &Tls,
        kms: Arc<dyn Kms>,
        env: Env,
    ) -> Result<Self, SetupError> {
        let (admin, server) = (Link::parse(admin_url, tls)?, Link::parse(url, tls)?);
        let naming = Naming::of(&server)?;
        Ok(Self {
            admin,
            server,
            naming,
            kms,
            env,
            steps: AtomicUsize::new(usize::MAX),
            stopped: Arc::default(),
        })
    }

    /// The same, but it stays where it is after so many steps, and says so: for tests of what comes after a crash.
    #[must_use]
    pub fn stopping_after(self, steps: usize, stopped: Arc<Notify>) -> Self {
        Self { steps: AtomicUsize::new(steps), stopped, ..self }
    }

    /// Serves what comes until `stop` is over. What is under way then is left to whoever comes next.
    pub async fn serve(&self, stop: impl Future<Output = ()>) {
        let serving = async |queue| {
            loop {
                if let Err(error) = self.serve_connected(queue).await {
                    tracing::error!(%error, "the queue of homes cannot be served");
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
        };
        tokio::select! {
            () = stop => {}
            () = serving(Queue::Homes) => {}
            () = serving(Queue::Moves) => {}
        }
    }

    async fn serve_connected(&self, queue: Queue) -> Result<(), SetupError> {
        let client = self.platform().await?;
        for look in (0..SWEEP_EVERY).cycle() {
            if look == 0 && queue == Queue::Homes {
                self.sweep(&client).await?;
            }
            while self.serve_next(&client, queue).await? {}
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Serves one row, where there is one that is due.
    pub async fn run_once(&self) -> Result<bool, SetupError> {
        let client = self.platform().await?;
        self.sweep(&client).await?;
        Ok(self.serve_next(&client, Queue::Homes).await? || self.serve_next(&client, Queue::Moves).await?)
    }

    async fn platform(&self) -> Result<Client, SetupError> {
        self.admin.within(&self.naming.database).connect().await
    }

    /// Asks for what nobody has asked for: that homes be brought to the newest version, that what has failed be tried
    /// again, and that those homes go whose tenants never came to be.
    async fn sweep(&self, client: &Client) -> Result<(), SetupError> {
        let older =
            "UPDATE tenantry.provisioning AS it SET state = 'waiting', tries = 0, due_at = clock_timestamp()
            FROM tenantry.home WHERE home.tenant = it.tenant AND home.version < $1
            AND it.what = 'make' AND it.state = 'done' AND NOT EXISTS(SELECT 1 FROM tenantry.provisioning AS other
                WHERE other.tenant = it.tenant AND other.what = 'move')";
        client.execute_typed(older, params![schema::VERSION => INT8]).await?;
        let failed = format!(
            "UPDATE tenantry.provisioning AS it SET state = 'waiting', tries = 0, due_at = clock_timestamp()
             WHERE state = 'failed' AND ended_at < clock_timestamp() - interval '{LONG_AFTER}'
             AND (what = 'move' OR (what = 'make') = EXISTS(SELECT 1 FROM tenantry.tenant WHERE tenant.id = it.tenant))"
        );
        client.execute_typed(&failed, &[]).await?;
        // One that never came to be, or has gone to another deployment, may come again under its id.
        let gone = "DELETE FROM tenantry.provisioning AS it USING tenantry.provisioning AS removed
            WHERE removed.tenant = it.tenant AND removed.what = 'remove' AND removed.state = 'done'
            AND removed.ended_at < clock_timestamp() - interval '3 seconds'
            AND NOT EXISTS(SELECT 1 FROM tenantry.tenant WHERE tenant.id = it.tenant)
            AND NOT EXISTS(SELECT 1 FROM tenantry.deleted_tenant WHERE deleted_tenant.id = it.tenant)";
        client.execute_typed(gone, &[]).await?;
        let orphans = format!(
            "INSERT INTO tenantry.provisioning(tenant, what, isolation)
             SELECT tenant, 'remove', isolation FROM tenantry.provisioning AS it
             WHERE what = 'make' AND state <> 'waiting' AND asked_at < clock_timestamp() - interval '{LONG_AFTER}'
             AND NOT EXISTS(SELECT 1 FROM tenantry.tenant WHERE tenant.id = it.tenant)
             ON CONFLICT (tenant, what) DO NOTHING"
        );
        client.execute_typed(&orphans, &[]).await?;
        Ok(())
    }

    /// Takes the next row and holds it locked while it is served; with the connection the lock goes.
    async fn serve_next(&self, client: &Client, queue: Queue) -> Result<bool, SetupError> {
        client.batch_execute("BEGIN").await?;
        let moves = queue == Queue::Moves;
        let Some(row) = client.query_typed_opt(NEXT, params![moves => BOOL]).await? else {
            client.batch_execute("ROLLBACK").await?;
            return Ok(false);
        };
        let isolation = Isolation::parse(row.try_get(2)?).ok_or(Fault::Damaged("the queue of homes"))?;
        let tenant = crate::platform::id_of(&row, 1)?;
        let what = match row.try_get(3)? {
            "make" => What::Make,
            "move" => What::Move,
            _ => What::Remove,
        };
        let job = Job { id: row.try_get(0)?, tenant, isolation, what, tries: row.try_get(4)? };
        let outcome = match what {
            What::Make => self.make(job).await.map(|()| Served::Done),
            What::Remove => self.remove(job).await.map(|()| Served::Done),
            What::Move => self.serve_move(job).await,
        };
        if let Err(error) = &outcome {
            let what = match what {
                What::Make => "a tenant's home could not be made",
                What::Remove => "a tenant's home could not be removed",
                What::Move => "a tenant could not be moved",
            };
            tracing::error!(tenant.id = %tenant, %error, "{what}");
        }
        note(client, job, outcome).await?;
        client.batch_execute("COMMIT").await?;
        Ok(true)
    }

    /// One more step is done.
    async fn step(&self) {
        if self.steps.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.stopped.notify_one();
            std::future::pending().await
        }
    }
}

/// Writes down what came of it. The row of a move goes with its end, so that the tenant may be moved again.
async fn note(client: &Client, job: Job, outcome: Result<Served, SetupError>) -> Result<(), SetupError> {
    let error = match outcome {
        Ok(Served::Done) if job.what == What::Move => {
            let gone = "DELETE FROM tenantry.provisioning WHERE id = $1";
            client.execute_typed(gone, params![job.id => INT8]).await?;
            return Ok(());
        }
        Ok(Served::Later(after)) => {
            let later = "UPDATE tenantry.provisioning SET tries = 0, error = NULL,
                due_at = clock_timestamp() + $2 * interval '1 second' WHERE id = $1";
            let values = params![job.id => INT8, after.as_secs_f64() => FLOAT8];
            client.execute_typed(later, values).await?;
            return Ok(());
        }
        Ok(Served::Done) => None,
        Err(error) => Some(error),
    };
    let note = "UPDATE tenantry.provisioning SET state = $2, error = $3, tries = $4,
            due_at = clock_timestamp() + interval '1 second' * 2 ^ $4::int8,
            ended_at = CASE WHEN $2 <> 'waiting' THEN clock_timestamp() END
        WHERE id = $1";
    let tries = job.tries + i64::from(error.is_some());
    let state = match &error {
        None => "done",
        Some(_) if tries < TRIES => "waiting",
        Some(_) => "failed",
    };
    let error = error.map(|error| error.to_string());
    client.execute_typed(note, params![job.id => INT8, state => TEXT, error => TEXT, tries => INT8]).await?;
    Ok(())
}

/// A tenant's id as a parameter.
fn bytes(tenant: TenantId) -> Vec<u8> {
    tenant.to_bytes().to_vec()
}
