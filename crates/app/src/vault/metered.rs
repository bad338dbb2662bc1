//! A call to a token endpoint is a call to an outside service: it uses the tenant's window and is in its usage.

use super::oauth::CALL_TIME;
use super::refresh::Refresher;
use context::Tenant;
use egress::Destination;
use errors::Problem;
use limiter::Held;
use metering::tokens::Tokens;
use money::Usd;
use std::time::Duration;
use store::{Call, CallKind, CallOutcome, CallStatus, Commit, Payer};

/// How much longer a lease is than the call may take: for the new tokens to be kept.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

impl Refresher {
    /// The row of a call to this token endpoint that begins now.
    pub(super) fn call(&self, token_url: &str) -> Call {
        let now = self.env.now();
        Call {
            id: self.env.id(),
            kind: CallKind::Service,
            target: Destination::parse(token_url).map(|url| url.authority()).unwrap_or_default(),
            endpoint: None,
            // Whoever meets an old token renews it for all of the tenant.
            payer: Payer::default(),
            workflow: None,
            run: None,
            started_at: now,
            reserved: Usd::ZERO,
            lease_until: now.plus(CALL_TIME).plus(LEASE_MARGIN),
            intent: None,
        }
    }

    /// Writes down that the call begins. The event that says so is the refresh's own.
    pub(super) async fn write_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        held: Held<'_, '_>,
    ) -> Result<(), Problem> {
        let written = self.store.begin_call(tenant, call, Commit::default());
        held.written();
        written.await?;
        Ok(())
    }

    /// Writes down that the call ended.
    pub(super) async fn end_call(&self, tenant: &Tenant<'_>, call: &Call, sent: bool) {
        let outcome = CallOutcome {
            status: if sent { CallStatus::Settled } else { CallStatus::Released },
            finished_at: self.env.now(),
            tokens: Tokens::default(),
            cost: Usd::ZERO,
            unpriced: false,
            estimated: false,
            cached: false,
        };
        if let Err(error) = self.store.end_call(tenant, call, outcome, Commit::default()).await {
            // Its lease ends, and it is counted as one whose outcome is unknown.
            tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call's outcome was not written");
            return;
        }
        let closed = if sent {
            self.limiter.settle(tenant, call.id, Usd::ZERO).await
        } else {
            self.limiter.release(tenant, call.id).await
        };
        if let Err(error) = closed {
            tracing::error!(tenant.id = %tenant.id(), call = %call.id, %error, "a call was not settled");
        }
    }
}
