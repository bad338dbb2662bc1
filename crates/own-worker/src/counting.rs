//! [`CountedByServer`]: limits on calls to outside services, which the servers count for all who call for the tenant.

use crate::server::{Server, problem};
use app::own_workers::CallCount;
use async_trait::async_trait;
use client::Answer;
use context::{Operator, Tenant};
use errors::{Code, Problem};
use http::Method;
use ids::{CallId, TenantId};
use limiter::{
    Admitted, Kind, LimitError, LimitStanding, Limiter, LimiterUnavailable, Parallel, PlannedCall,
};
use metering::budget::{BudgetScope, BudgetStanding, Closed};
use metering::window::{Refusal, Standing, Window};
use money::Usd;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a server may take to count.
const PATIENCE: Duration = Duration::from_secs(5);

/// Limits that a server keeps.
pub struct CountedByServer {
    tenant: TenantId,
    server: Server,
    abandoned: mpsc::UnboundedSender<CallId>,
}

/// Gives back what calls hold whose callers are gone.
pub struct GivingBack {
    server: Server,
    abandoned: mpsc::UnboundedReceiver<CallId>,
}

impl CountedByServer {
    /// The limits of this tenant, and what is to be carried on for abandoned calls to be given back.
    pub fn new(tenant: TenantId, server: Server) -> (Self, GivingBack) {
        let (told, abandoned) = mpsc::unbounded_channel();
        (Self { tenant, server: server.clone(), abandoned: told }, GivingBack { server, abandoned })
    }

    async fn tell(&self, tenant: &Tenant<'_>, count: CallCount) -> Result<(), Problem> {
        if tenant.id() != self.tenant {
            return Err(Problem::not_found());
        }
        tell(&self.server, count).await
    }

    async fn close(
        &self,
        tenant: &Tenant<'_>,
        count: CallCount,
    ) -> Result<Option<Closed>, LimiterUnavailable> {
        self.tell(tenant, count).await.map(|()| None).map_err(|_| LimiterUnavailable::ForNow)
    }
}

impl GivingBack {
    /// Gives back, as long as this is carried on.
    pub async fn carry_on(mut self) {
        while let Some(call) = self.abandoned.recv().await {
            if let Err(problem) = tell(&self.server, CallCount::Release { call }).await {
                tracing::warn!(%call, %problem, "a call is held until its time is over");
            }
        }
    }
}

async fn tell(server: &Server, count: CallCount) -> Result<(), Problem> {
    let told = server.ask((Method::POST, "/v1/worker/calls"), Some(&count), PATIENCE).await;
    let answer: Answer = told.map_err(|error| crate::server::unanswered(&error))?;
    if answer.status.is_success() { Ok(()) } else { Err(problem(answer)) }
}

/// Why the call is not admitted, as far as a step has to know.
fn refusal(problem: &Problem) -> LimitError {
    let number = |name: &str| problem.members.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    match problem.code {
        Code::RateLimited => {
            let retry_after_seconds = problem.retry_after.unwrap_or(1);
            let (limit, remaining) = (number("limit"), number("remaining"));
            LimitError::Window(Kind::Api, Refusal { limit, remaining, retry_after_seconds })
        }
        Code::ConcurrencyLimited => LimitError::Parallel(Kind::Api, number("limit")),
        _ => LimiterUnavailable::ForNow.into(),
    }
}

/// The servers know where the limits stand, and no step asks.
const UNTOLD: LimitStanding = LimitStanding {
    kind: Kind::Api,
    window: Window::hourly(None),
    standing: Standing { limit: None, remaining: None, reset_seconds: 0 },
    parallel: Parallel { limit: None, under_way: 0 },
};

#[async_trait]
impl Limiter for CountedByServer {
    async fn request(&self, _: &Tenant<'_>) -> Result<Standing, LimitError> {
        // Nobody requests anything of a worker.
        Err(LimiterUnavailable::ForNow.into())
    }

    async fn requests(&self, _: &Tenant<'_>) -> Result<Standing, LimiterUnavailable> {
        Err(LimiterUnavailable::ForNow)
    }

    async fn begin(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError> {
        if call.kind != Kind::Api || call.worst_case != Some(Usd::ZERO) {
            // Models are asked by a server, which counts that itself.
            return Err(LimiterUnavailable::ForNow.into());
        }
        let (mut key, mut agent, mut workflow) = (None, None, None);
        for scope in &call.scopes {
            match scope {
                BudgetScope::Tenant => {}
                BudgetScope::Key(id) => key = Some(*id),
                BudgetScope::Agent(id) => agent = Some(*id),
                BudgetScope::Workflow(id) => workflow = Some(*id),
            }
        }
        let time_ms = u64::try_from(call.lease_until.since(call.at).as_millis()).unwrap_or(u64::MAX);
        let begins = CallCount::Begin { call: call.id, key, agent, workflow, time_ms };
        self.tell(tenant, begins).await.map_err(|problem| refusal(&problem))?;
        Ok(Admitted { standing: UNTOLD })
    }

    async fn settle(
        &self,
        tenant: &Tenant<'_>,
        call: CallId,
        _: Usd,
    ) -> Result<Option<Closed>, LimiterUnavailable> {
        self.close(tenant, CallCount::Settle { call }).await
    }

    async fn release(&self, tenant: &Tenant<'_>, call: CallId) -> Result<Option<Closed>, LimiterUnavailable> {
        self.close(tenant, CallCount::Release { call }).await
    }

    fn abandon(&self, _: &Tenant<'_>, call: CallId) {
        // Where nobody gives back any more, the process ends, and the call's time with it.
        let _ = self.abandoned.send(call);
    }

    async fn standing(&self, _: &Tenant<'_>, _: Kind) -> Result<LimitStanding, LimiterUnavailable> {
        Err(LimiterUnavailable::ForNow)
    }

    async fn budgets(&self, _: &Tenant<'_>) -> Result<Vec<BudgetStanding>, LimiterUnavailable> {
        Err(LimiterUnavailable::ForNow)
    }

    async fn refresh_budgets(&self, _: &Tenant<'_>) -> Result<(), LimiterUnavailable> {
        Err(LimiterUnavailable::ForNow)
    }

    async fn reopen(&self, _: &Tenant<'_>, _: &PlannedCall) -> Result<(), LimiterUnavailable> {
        Err(LimiterUnavailable::ForNow)
    }

    async fn forget(&self, _: &Operator, _: TenantId) {}

    async fn sweep(&self) {}
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use errors::{Code, Problem};
    use limiter::{Kind, LimitError, LimiterUnavailable};
    use metering::window::Refusal;

    #[test]
    fn a_refusal_is_the_same_to_a_step_wherever_it_was_counted() {
        let window = Refusal { limit: 3, remaining: 0, retry_after_seconds: 40 };
        for counted in [
            LimitError::Window(Kind::Api, window),
            LimitError::Parallel(Kind::Api, 7),
            LimitError::Unavailable(LimiterUnavailable::ForNow),
        ] {
            assert_eq!(refusal(&Problem::from(counted.clone())), counted);
        }
        assert_eq!(refusal(&Problem::new(Code::NotFound, "")), LimiterUnavailable::ForNow.into());
    }
}
