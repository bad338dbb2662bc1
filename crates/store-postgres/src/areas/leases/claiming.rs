//! Giving runs to workers: in one transaction it is counted how many runs of each tenant are held, and chosen whose turn
//! it is, over all processes ([`metering::turns`] says how).
//!
//! Runs of tenants with homes of their own compete by the same virtual times. They are given in those homes once they
//! are chosen, and a start is counted after.

use super::{AT_ONCE, in_time, millis};
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, params};
use crate::platform::{bytes_of, id_of};
use context::Lease;
use futures::{StreamExt as _, stream};
use ids::{Id as _, RunId, TenantId, WorkerId};
use metering::turns::{CREDIT, step};
use std::collections::HashMap;
use std::time::Duration;
use store::{Claim, StoreError, Wanted};
use tokio_postgres::Row;

/// Gives runs that nobody holds to a worker, as many as each tenant may have held at once and as there are places for,
/// those that start earliest in virtual time, and says which are left. Of tenants that are elsewhere it says which are
/// chosen.
const CLAIM: &str = "WITH asked AS (
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::int8[], $5::bool[], $6::bool[]) WITH ORDINALITY
            AS it(tenant_id, id, at_once, step, certain, elsewhere, place)
        -- What another pool carries out is nobody's here.
        WHERE coalesce((SELECT plan.pool FROM tenantry.tenant JOIN tenantry.plan ON plan.name = tenant.plan
            WHERE tenant.id = tenant_id), '') = $11
    ), free AS (
        SELECT work.tenant_id, work.id FROM tenantry.work AS work JOIN asked USING (tenant_id, id)
        WHERE NOT asked.elsewhere AND work.kind = 'run'
            AND (work.held_until IS NULL OR work.held_until <= clock_timestamp())
            AND NOT EXISTS(SELECT 1 FROM tenantry.work AS paused WHERE paused.tenant_id = work.tenant_id
                AND paused.kind = 'pause' AND paused.held_until > clock_timestamp())
        FOR UPDATE OF work SKIP LOCKED
    ), held AS (
        SELECT tenant_id, count(*) AS count FROM tenantry.work
        WHERE kind = 'run' AND tenant_id = ANY($1) AND held_until > clock_timestamp() GROUP BY tenant_id
    ), numbered AS (
        SELECT asked.*, coalesce(held.count, 0) + row_number() OVER (PARTITION BY tenant_id ORDER BY place) AS number
        FROM asked JOIN free USING (tenant_id, id) LEFT JOIN held USING (tenant_id)
        UNION ALL SELECT asked.*, 0 FROM asked WHERE elsewhere
    ), foremost AS (
        SELECT coalesce(max(turn.starts), 0) - $8 AS behind FROM numbered JOIN tenantry.turn ON turn.tenant = tenant_id
        WHERE number <= at_once
    ), timed AS (
        SELECT numbered.*, greatest(turn.starts, foremost.behind, 0)
            + step * (row_number() OVER (PARTITION BY tenant_id ORDER BY place) - 1) AS starts
        FROM numbered CROSS JOIN foremost LEFT JOIN tenantry.turn ON turn.tenant = tenant_id WHERE number <= at_once
    ), ranked AS (
        SELECT timed.*, certain OR row_number() OVER (PARTITION BY certain ORDER BY starts, place) <= $7 AS chosen
        FROM timed
    ), given AS (
        UPDATE tenantry.work AS work SET holder = $9, fence = fence + 1, revoked = false,
            held_until = clock_timestamp() + $10 * interval '1 millisecond'
        FROM ranked WHERE work.tenant_id = ranked.tenant_id AND work.kind = 'run' AND work.id = ranked.id
            AND ranked.chosen AND NOT ranked.elsewhere
        RETURNING work.tenant_id, work.id, work.fence
    ), counted AS (
        INSERT INTO tenantry.turn AS turn(tenant, starts)
        SELECT tenant_id, max(starts + step) FROM ranked JOIN tenantry.tenant ON tenant.id = tenant_id
        WHERE chosen AND NOT elsewhere GROUP BY tenant_id
        ON CONFLICT (tenant) DO UPDATE SET starts = excluded.starts
    )
    SELECT numbered.tenant_id, numbered.id, given.fence, ranked.chosen, ranked.starts
    FROM numbered LEFT JOIN ranked USING (tenant_id, id) LEFT JOIN given USING (tenant_id, id)";

/// The same in a tenant's own home, for runs that are chosen: there it is counted how many are held.
const CLAIM_OWN: &str = "WITH asked AS (
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int8[]) WITH ORDINALITY AS it(tenant_id, id, at_once, place)
    ), free AS (
        SELECT work.tenant_id, work.id, asked.at_once, asked.place FROM work JOIN asked USING (tenant_id, id)
        WHERE work.kind = 'run' AND (work.held_until IS NULL OR work.held_until <= clock_timestamp())
            AND NOT EXISTS(SELECT 1 FROM work AS paused WHERE paused.tenant_id = work.tenant_id
                AND paused.kind = 'pause' AND paused.held_until > clock_timestamp())
        FOR UPDATE OF work SKIP LOCKED
    ), held AS (
        SELECT tenant_id, count(*) AS count FROM work
        WHERE kind = 'run' AND tenant_id = ANY($1) AND held_until > clock_timestamp() GROUP BY tenant_id
    ), numbered AS (
        SELECT free.*, coalesce(held.count, 0) + row_number() OVER (PARTITION BY tenant_id ORDER BY place) AS number
        FROM free LEFT JOIN held USING (tenant_id)
    ), given AS (
        UPDATE work SET holder = $4, fence = fence + 1, revoked = false,
            held_until = clock_timestamp() + $5 * interval '1 millisecond'
        FROM numbered WHERE work.tenant_id = numbered.tenant_id AND work.kind = 'run' AND work.id = numbered.id
            AND numbered.number <= numbered.at_once
        RETURNING work.tenant_id, work.id, work.fence
    )
    SELECT free.tenant_id, free.id, given.fence FROM free LEFT JOIN given USING (tenant_id, id)";

/// Counts starts of tenants that were chosen to start no earlier than this.
const COUNT: &str = "INSERT INTO tenantry.turn AS turn(tenant, starts)
    SELECT it.tenant, it.starts + it.by FROM unnest($1::bytea[], $2::int8[], $3::int8[]) AS it(tenant, starts, by)
    JOIN tenantry.tenant ON tenant.id = it.tenant
    ON CONFLICT (tenant) DO UPDATE SET starts = greatest(turn.starts, excluded.starts)";

type Claims = HashMap<(TenantId, RunId), Claim>;

/// What is wanted, as columns: tenants, runs, how many at once, how far a start puts the next one off.
struct Columns {
    tenants: Vec<Vec<u8>>,
    runs: Vec<Vec<u8>>,
    most: Vec<i64>,
    steps: Vec<i64>,
    certain: Vec<bool>,
}

impl Columns {
    fn of(wanted: &[Wanted]) -> Self {
        Self {
            tenants: wanted.iter().map(|it| it.tenant.to_bytes().to_vec()).collect(),
            runs: wanted.iter().map(|it| it.run.to_bytes().to_vec()).collect(),
            most: wanted.iter().map(|it| i64::try_from(it.at_once).unwrap_or(i64::MAX)).collect(),
            steps: wanted.iter().map(|it| step(it.weight).cast_signed()).collect(),
            certain: wanted.iter().map(|it| it.certain).collect(),
        }
    }
}

/// What was chosen among all that is wanted.
#[derive(Default)]
struct Chosen {
    claims: Claims,
    /// Runs of tenants that are elsewhere, and when each starts in virtual time.
    elsewhere: HashMap<(TenantId, RunId), i64>,
}

impl PostgresStore {
    /// As [`store::Leases::claim`] says.
    pub(super) async fn give(
        &self,
        (worker, term): (WorkerId, Duration),
        (wanted, places): (&[Wanted], usize),
    ) -> Result<Vec<Claim>, StoreError> {
        let mut homes = self.by_home(wanted, |it| it.tenant).await.homes;
        homes.retain(|(_, home, _)| self.inner().carries_those_of(home));
        let own: Vec<_> =
            homes.iter().filter(|(own, ..)| own.is_some()).flat_map(|it| it.2.clone()).collect();
        let shared: Vec<_> =
            homes.iter().filter(|(own, ..)| own.is_none()).flat_map(|it| it.2.clone()).collect();
        let Chosen { mut claims, elsewhere } = match self.inner().own() {
            Some(_) => alone(&own, places),
            None => self.choose((worker, term), (&shared, &own), (wanted, places)).await,
        };
        let mut asked = Vec::new();
        for (own, home, mut its) in homes {
            its.retain(|it| elsewhere.contains_key(&(it.tenant, it.run)));
            if own.is_some() && !its.is_empty() {
                asked.push((own, home, its));
            }
        }
        let asked = stream::iter(asked)
            .map(async |(own, home, its)| in_time(home.claim_own(own, (worker, term), &its)).await);
        let mut asked = asked.buffer_unordered(AT_ONCE);
        let mut given = Claims::new();
        while let Some(its) = asked.next().await {
            match its {
                Ok(its) => given.extend(its),
                Err(fault) => tracing::warn!(%fault, "runs could not be claimed"),
            }
        }
        drop(asked);
        self.count(&own, &elsewhere, &given).await;
        claims.extend(given);
        // What did not come back was held, locked by somebody who asked too, or over; or its tenant is elsewhere.
        let left = wanted.iter().filter(|it| !claims.contains_key(&(it.tenant, it.run)));
        self.find_anew(left.map(|it| it.tenant)).await?;
        let claim = |it: &Wanted| claims.remove(&(it.tenant, it.run)).unwrap_or(Claim::Taken);
        Ok(wanted.iter().map(claim).collect())
    }

    /// Gives those of the shared tables, and chooses among the others.
    async fn choose(
        &self,
        (worker, term): (WorkerId, Duration),
        (shared, own): (&[Wanted], &[Wanted]),
        (wanted, places): (&[Wanted], usize),
    ) -> Chosen {
        let position: HashMap<_, _> =
            wanted.iter().enumerate().map(|(number, it)| ((it.tenant, it.run), number)).collect();
        let mut all = [shared, own].concat();
        all.sort_by_key(|it| position.get(&(it.tenant, it.run)));
        if all.is_empty() {
            return Chosen::default();
        }
        let elsewhere: Vec<bool> = all.iter().map(|it| own.contains(it)).collect();
        let Columns { tenants, runs, most, steps, certain } = Columns::of(&all);
        let (holder, term) = (worker.to_bytes(), millis(term));
        let (places, credit) = (i64::try_from(places).unwrap_or(i64::MAX), CREDIT.cast_signed());
        let values = params![tenants => BYTEA_ARRAY, runs => BYTEA_ARRAY, most => INT8_ARRAY, steps => INT8_ARRAY,
            certain => BOOL_ARRAY, elsewhere => BOOL_ARRAY, places => INT8, credit => INT8,
            holder.as_slice() => BYTEA, term => FLOAT8, self.inner().pool_name() => TEXT];
        let turn = params![tenants => BYTEA_ARRAY];
        let home = self.inner().homes.shared();
        let chosen = async {
            let rows = home.about_runs(None, Some((super::turn(None), turn)), (CLAIM, values)).await?;
            rows.iter().try_fold(Chosen::default(), |chosen, row| chosen.and(row, worker))
        };
        in_time(chosen).await.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "runs could not be claimed");
            Chosen::default()
        })
    }

    /// Counts the starts of tenants that are elsewhere. A process that ends before has given one that nobody counted.
    async fn count(&self, own: &[Wanted], elsewhere: &HashMap<(TenantId, RunId), i64>, given: &Claims) {
        let mut starts: HashMap<TenantId, (i64, i64)> = HashMap::new();
        for it in own {
            let place = (it.tenant, it.run);
            if let (Some(Claim::Held(_)), Some(first)) = (given.get(&place), elsewhere.get(&place)) {
                let (from, by) = starts.entry(it.tenant).or_insert((*first, 0));
                (*from, *by) = ((*from).min(*first), *by + step(it.weight).cast_signed());
            }
        }
        if starts.is_empty() || self.inner().own().is_some() {
            return;
        }
        let tenants: Vec<Vec<u8>> = starts.keys().map(|tenant| tenant.to_bytes().to_vec()).collect();
        let (from, by): (Vec<i64>, Vec<i64>) = starts.values().copied().unzip();
        let turn = params![tenants => BYTEA_ARRAY];
        let values = params![tenants => BYTEA_ARRAY, from => INT8_ARRAY, by => INT8_ARRAY];
        let home = self.inner().homes.shared();
        if let Err(fault) =
            in_time(home.about_runs(None, Some((super::turn(None), turn)), (COUNT, values))).await
        {
            tracing::warn!(%fault, "starts of runs could not be counted");
        }
    }
}

/// Chooses where one tenant is alone: its own, in their order.
fn alone(own: &[Wanted], places: usize) -> Chosen {
    let mut chosen = Chosen::default();
    let mut left = places;
    for it in own {
        let place = (it.tenant, it.run);
        if it.certain || left > 0 {
            left -= usize::from(!it.certain);
            chosen.elsewhere.insert(place, 0);
        } else {
            chosen.claims.insert(place, Claim::OthersTurn);
        }
    }
    chosen
}

impl Chosen {
    fn and(mut self, row: &Row, worker: WorkerId) -> Result<Self, Fault> {
        let (tenant, run) = (id_of(row, 0)?, RunId::from_bytes(bytes_of(row, 1)?));
        let (chosen, starts): (Option<bool>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
        match (row.try_get::<_, Option<i64>>(2)?, chosen, starts) {
            (Some(fence), ..) => {
                let lease = Lease { run, worker, fence: fence.cast_unsigned() };
                self.claims.insert((tenant, run), Claim::Held(lease));
            }
            (None, Some(true), Some(starts)) => {
                self.elsewhere.insert((tenant, run), starts);
            }
            (None, Some(_), _) => {
                self.claims.insert((tenant, run), Claim::OthersTurn);
            }
            (None, None, _) => {
                self.claims.insert((tenant, run), Claim::Full);
            }
        }
        Ok(self)
    }
}

impl Home {
    async fn claim_own(
        &self,
        own: Option<TenantId>,
        (worker, term): (WorkerId, Duration),
        wanted: &[Wanted],
    ) -> Result<Claims, Fault> {
        let Columns { tenants, runs, most, .. } = Columns::of(wanted);
        let (holder, term) = (worker.to_bytes(), millis(term));
        let values = params![tenants => BYTEA_ARRAY, runs => BYTEA_ARRAY, most => INT8_ARRAY,
            holder.as_slice() => BYTEA, term => FLOAT8];
        let turn = params![tenants => BYTEA_ARRAY];
        let rows = self.about_runs(own, Some((super::turn(own), turn)), (CLAIM_OWN, values)).await?;
        let claim = |row: &Row| {
            let run = RunId::from_bytes(bytes_of(row, 1)?);
            let fence: Option<i64> = row.try_get(2)?;
            let lease = fence.map(|fence| Lease { run, worker, fence: fence.cast_unsigned() });
            Ok(((id_of(row, 0)?, run), lease.map_or(Claim::Full, Claim::Held)))
        };
        rows.iter().map(claim).collect()
    }
}
