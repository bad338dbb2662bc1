//! [`RedisLimiter`]: the adapter. It asks the script, and has a tenant's state restored where there is none.

use crate::answers::{parallel, read, refusal, standing, window};
use crate::flights::{Asked, End, Flights};
use crate::link::{Link, Live, Reply, gone};
use crate::local::has_shares;
use crate::outage::Outage;
use crate::{Address, Memory, Settings, pack, restore};
use async_trait::async_trait;
use context::{Operator, Tenant};
use env::{Env, Timestamp};
use ids::{CallId, EventId, TenantId};
use limiter::{Admitted, Kind, LimitError, LimitStanding, Limiter, LimiterUnavailable, PlannedCall};
use limiter_local::Requests;
use metering::budget::{BudgetStanding, Closed};
use metering::window::{Refusal, Standing};
use money::Usd;
use std::sync::Arc;
use std::time::Duration;
use store::{ObjectStore, UsageStore};

/// How long a lock on a tenant's state is held at most. Whoever takes longer begins again.
const LOCK: Duration = Duration::from_secs(5);
/// How often those look again who wait for a state.
const LOOK: Duration = Duration::from_millis(20);
/// Tenants whose rates are kept while there is no Redis.
const RATES: usize = 100_000;
/// The highest rate and the largest window that the script's numbers hold exactly; higher ones count as these.
const MOST: u64 = 9_000_000_000_000;

/// Keeps limits in Redis.
pub struct RedisLimiter<S: ?Sized> {
    pub(crate) source: Arc<S>,
    pub(crate) env: Env,
    pub(crate) settings: Settings,
    pub(crate) link: Arc<Link>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) outage: Arc<Outage>,
    /// What a server's share of the rates is taken from while there is no Redis.
    rates: Requests,
}

impl<S: UsageStore + ObjectStore + ?Sized> RedisLimiter<S> {
    /// A limiter that restores from these stores. It connects when it is first asked.
    pub fn new(
        source: Arc<S>,
        env: Env,
        address: &Address,
        settings: Settings,
    ) -> Result<Self, LimiterUnavailable> {
        let outage = Arc::new(Outage::new(settings.grace, settings.proof));
        let link = Link::new(address, env.clone(), settings, outage.clone());
        let rates = Requests::new(RATES).shared_by(settings.servers);
        Ok(Self { source, env, settings, link: Arc::new(link), flights: Arc::default(), outage, rates })
    }

    /// What Redis does when its memory is full.
    pub async fn memory(&self) -> Result<Memory, LimiterUnavailable> {
        let live = self.link.live(&self.flights).await?;
        let about = self.link.about(&live, "memory").await.map_err(gone)?;
        Memory::read(&about).ok_or(LimiterUnavailable::ForNow)
    }

    /// Asks once, and tells of what is owed on the way.
    async fn ask(
        &self,
        tenant: TenantId,
        operation: &str,
        arguments: Vec<String>,
    ) -> Result<(Live, Reply), LimiterUnavailable> {
        let live = self.link.live(&self.flights).await?;
        let owed = self.flights.owed(tenant);
        let mut all = vec![owed.len().to_string()];
        for (call, cost) in &owed {
            all.extend([call.to_string(), cost.map_or("-".into(), |cost| cost.to_string())]);
        }
        all.extend(arguments);
        let reply = self.send(&live, tenant, operation, &all).await?;
        if reply.status != "absent" {
            self.flights.told(tenant, &owed, live.number);
        }
        Ok((live, reply))
    }

    async fn send(
        &self,
        live: &Live,
        tenant: TenantId,
        operation: &str,
        arguments: &[String],
    ) -> Result<Reply, LimiterUnavailable> {
        match self.link.ask(live, tenant, operation, arguments).await {
            Ok(reply) => Ok(reply),
            Err(error) => {
                self.link.leave(live).await;
                Err(gone(error))
            }
        }
    }

    /// Asks until the tenant's state is there, and says over which connection it answered.
    async fn over(
        &self,
        tenant: &Tenant<'_>,
        operation: &str,
        arguments: Vec<String>,
    ) -> Result<(Live, Reply), LimiterUnavailable> {
        let asking = async {
            loop {
                let (live, reply) = self.ask(tenant.id(), operation, arguments.clone()).await?;
                if reply.status != "absent" {
                    self.outage.counted(live.number);
                    return Ok((live, reply));
                }
                self.restore(&live, tenant).await?;
            }
        };
        tokio::time::timeout(self.settings.patience, asking).await.unwrap_or(Err(LimiterUnavailable::ForNow))
    }

    async fn with(
        &self,
        tenant: &Tenant<'_>,
        operation: &str,
        arguments: Vec<String>,
    ) -> Result<Reply, LimiterUnavailable> {
        Ok(self.over(tenant, operation, arguments).await?.1)
    }

    /// Restores the tenant's state, or waits a little while another does or may not yet.
    async fn restore(&self, live: &Live, tenant: &Tenant<'_>) -> Result<(), LimiterUnavailable> {
        if !self.link.open(live).await? {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        }
        let Some(token) = self.lock(live, tenant.id(), true).await? else {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        };
        let restored = async {
            self.link.give(live, tenant.id(), &self.flights).await.map_err(gone)?;
            let (source, now): (&S, _) = (&self.source, self.env.now());
            let budgets = limiter_local::budgets(source, tenant).await?;
            let rows = limiter_local::state(source, tenant, now).await?;
            let arguments = restore::state(&token, &rows, &budgets, now);
            self.send(live, tenant.id(), "restore", &arguments).await.map(drop)
        };
        let restored = restored.await;
        if restored.is_err() {
            self.unlock(live, tenant.id(), token).await;
        }
        restored
    }

    async fn lock(
        &self,
        live: &Live,
        tenant: TenantId,
        absent: bool,
    ) -> Result<Option<String>, LimiterUnavailable> {
        let token = self.env.id::<EventId>().to_string();
        let absent = if absent { "1" } else { "0" }.to_owned();
        let arguments = [token.clone(), LOCK.as_millis().to_string(), absent];
        let reply = self.send(live, tenant, "lock", &arguments).await?;
        Ok((reply.status == "ok").then_some(token))
    }

    async fn unlock(&self, live: &Live, tenant: TenantId, token: String) {
        // Where Redis cannot be told, the lock ends by itself.
        let _ = self.send(live, tenant, "unlock", &[token]).await;
    }

    /// Reads the budgets, and what was charged where one of them is new. `false` where another does now.
    async fn refresh(&self, tenant: &Tenant<'_>) -> Result<bool, LimiterUnavailable> {
        // The state is there from here on, so that the lock is not in the way of its restoring.
        self.with(tenant, "tell", Vec::new()).await?;
        let live = self.link.live(&self.flights).await?;
        let Some(token) = self.lock(&live, tenant.id(), false).await? else { return Ok(false) };
        let refreshed = async {
            let (source, now): (&S, _) = (&self.source, self.env.now());
            let budgets = limiter_local::budgets(source, tenant).await?;
            let mut arguments = vec![token.clone()];
            arguments.extend(restore::budgets(&budgets, now));
            let (_, reply) = self.ask(tenant.id(), "refresh", arguments.clone()).await?;
            if reply.status != "ok" || reply.number(0) != Some(1) {
                return Ok(reply.status == "ok");
            }
            let rows = limiter_local::state(source, tenant, now).await?;
            arguments.extend(restore::charges(&rows, &budgets));
            let (_, reply) = self.ask(tenant.id(), "charge", arguments).await?;
            Ok(reply.status == "ok")
        };
        let refreshed = refreshed.await;
        if refreshed.is_err() {
            self.unlock(&live, tenant.id(), token).await;
        }
        refreshed
    }

    async fn close(
        &self,
        tenant: &Tenant<'_>,
        (call, cost): End,
    ) -> Result<Option<Closed>, LimiterUnavailable> {
        if let Some(closed) = self.close_on_share(tenant, (call, cost)) {
            return Ok(Some(closed));
        }
        let (operation, mut arguments) = ("release", vec![call.to_string()]);
        let operation = if let Some(cost) = cost {
            arguments.push(cost.to_string());
            "settle"
        } else {
            operation
        };
        let answer = self.over(tenant, operation, arguments).await;
        self.flights.owe(tenant.id(), (call, cost));
        match answer {
            Ok((live, reply)) => {
                self.flights.told(tenant.id(), &[(call, cost)], live.number);
                let closed = || {
                    let reserved = reply.text(1)?.parse().ok()?;
                    let at = Timestamp::from_millis(reply.number(2)?);
                    Some(Closed { call, reserved, cost: cost.unwrap_or_default(), at })
                };
                Ok(closed())
            }
            Err(error) => Err(error),
        }
    }

    async fn rate(
        &self,
        tenant: &Tenant<'_>,
        operation: &str,
    ) -> Result<(bool, Standing), LimiterUnavailable> {
        let limit = tenant.standing().limits.requests_per_second;
        let live = self.link.live(&self.flights).await?;
        let rate = limit.map_or(String::new(), |limit| limit.min(MOST).to_string());
        let reply = self.send(&live, tenant.id(), operation, &[rate]).await?;
        let remaining = reply.text(1).and_then(|text| text.parse().ok()).ok_or(LimiterUnavailable::ForNow)?;
        let standing = Standing { limit, remaining: limit.map(|_| remaining), reset_seconds: 1 };
        Ok((reply.number(0) == Some(1), standing))
    }

    /// Admits a call as Redis says.
    async fn begin_in_redis(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError> {
        let packed = pack::call(call);
        let number = |limit: Option<u64>| limit.map_or(String::new(), |limit| limit.min(MOST).to_string());
        let arguments = vec![
            call.id.to_string(),
            packed.clone(),
            number(window(tenant, call.kind).limit),
            number(parallel(&self.settings, call.kind)),
            if call.worst_case.is_some() { "1" } else { "0" }.into(),
        ];
        // Whoever stops waiting leaves a call of which nobody knows whether it was admitted.
        let asked = Asked::of(&self.flights, tenant.id(), call.id);
        let (live, reply) = self.over(tenant, "begin", arguments).await?;
        if reply.status == "ok" {
            let standing = read(standing(&self.settings, tenant, call.kind, &reply))?;
            let admitted = crate::flights::Admitted { packed, epoch: live.epoch };
            if !self.flights.admit(tenant.id(), call.id, admitted, live.number) {
                return Err(LimiterUnavailable::ForNow.into());
            }
            asked.admitted();
            return Ok(Admitted { standing });
        }
        Err(read(refusal(&self.settings, tenant, call, &reply))?)
    }
}

#[async_trait]
impl<S: UsageStore + ObjectStore + ?Sized + 'static> Limiter for RedisLimiter<S> {
    async fn request(&self, tenant: &Tenant<'_>) -> Result<Standing, LimitError> {
        let told = match self.rate(tenant, "request").await {
            Err(_) if self.on_its_share(tenant) => {
                return self.rates.admit(tenant, self.env.now()).map_err(LimitError::Requests);
            }
            told => told?,
        };
        match (told, tenant.standing().limits.requests_per_second) {
            ((false, _), Some(limit)) => {
                Err(LimitError::Requests(Refusal { limit, remaining: 0, retry_after_seconds: 1 }))
            }
            ((_, standing), _) => Ok(standing),
        }
    }

    async fn requests(&self, tenant: &Tenant<'_>) -> Result<Standing, LimiterUnavailable> {
        match self.rate(tenant, "requests").await {
            Err(_) if self.on_its_share(tenant) => Ok(self.rates.standing(tenant, self.env.now())),
            told => Ok(told?.1),
        }
    }

    async fn begin(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError> {
        match self.begin_in_redis(tenant, call).await {
            Err(LimitError::Unavailable(LimiterUnavailable::ForNow)) if has_shares(tenant) => {
                match self.begin_on_share(tenant, call).await {
                    Some(answer) => answer,
                    // It is back.
                    None => self.begin_in_redis(tenant, call).await,
                }
            }
            answer => answer,
        }
    }

    async fn settle(
        &self,
        tenant: &Tenant<'_>,
        call: CallId,
        cost: Usd,
    ) -> Result<Option<Closed>, LimiterUnavailable> {
        self.close(tenant, (call, Some(cost))).await
    }

    async fn release(&self, tenant: &Tenant<'_>, call: CallId) -> Result<Option<Closed>, LimiterUnavailable> {
        self.close(tenant, (call, None)).await
    }

    fn abandon(&self, tenant: &Tenant<'_>, call: CallId) {
        if self.close_on_share(tenant, (call, None)).is_none() {
            self.flights.owe(tenant.id(), (call, None));
        }
    }

    async fn standing(&self, tenant: &Tenant<'_>, kind: Kind) -> Result<LimitStanding, LimiterUnavailable> {
        let reply = match self.with(tenant, "standing", vec![pack::kind(kind).into()]).await {
            Err(unavailable) => return self.standing_on_share(tenant, kind).ok_or(unavailable),
            Ok(reply) => reply,
        };
        read(standing(&self.settings, tenant, kind, &reply))
    }

    async fn budgets(&self, tenant: &Tenant<'_>) -> Result<Vec<BudgetStanding>, LimiterUnavailable> {
        let now = self.env.now();
        let reply = match self.with(tenant, "budgets", restore::starts(now)).await {
            Err(unavailable) => return self.budgets_on_share(tenant, now).await.ok_or(unavailable),
            Ok(reply) => reply,
        };
        let mut standings = Vec::new();
        for part in reply.list(0).chunks_exact(4) {
            let [field, limit, reserved, spent] = part else { continue };
            let (scope, per) = read(pack::budget(field))?;
            let amount = |text: &String| read(text.parse::<Usd>().ok());
            let (limit, reserved, spent) = (amount(limit)?, amount(reserved)?, amount(spent)?);
            let (period_start, period_end) = (per.start(now), per.end(now));
            standings.push(BudgetStanding { scope, per, limit, reserved, spent, period_start, period_end });
        }
        standings.sort_by_key(|standing| (standing.scope, standing.per));
        Ok(standings)
    }

    async fn refresh_budgets(&self, tenant: &Tenant<'_>) -> Result<(), LimiterUnavailable> {
        // A share asks for the budgets at each call.
        if self.on_its_share(tenant) {
            return Ok(());
        }
        let refreshing = async {
            while !self.refresh(tenant).await? {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(self.settings.patience, refreshing)
            .await
            .unwrap_or(Err(LimiterUnavailable::ForNow))
    }

    async fn reopen(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<(), LimiterUnavailable> {
        if self.reopen_on_share(tenant, call) {
            return Ok(());
        }
        self.with(tenant, "reopen", vec![call.id.to_string(), pack::call(call)]).await.map(drop)
    }

    async fn forget(&self, _: &Operator, tenant: TenantId) {
        self.flights.forget(tenant);
        self.outage.forget(tenant);
        let Ok(live) = self.link.live(&self.flights).await else { return };
        if let Err(error) = self.link.remove(&live, tenant).await {
            tracing::warn!(tenant.id = %tenant, %error, "a tenant's limits could not be removed from Redis");
        }
    }

    async fn sweep(&self) {
        for tenant in self.flights.tenants() {
            if !self.flights.owed(tenant).is_empty() && self.ask(tenant, "tell", Vec::new()).await.is_err() {
                return;
            }
        }
    }
}
