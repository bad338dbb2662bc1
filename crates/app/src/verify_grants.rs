//! Grants to run the attack suite: an operator hands one to a customer, who attacks the server with throwaway
//! tenants of its own. It ends by itself, has few tenants at a time, makes few in an hour, and reaches no other.

use crate::App;
use crate::operator_log::record;
use crate::tenants::{self, Made, NewTenantInput};
use audit::event::Action;
use context::{CredentialKind, Grant, Operator, Throwaway, issue_verify_grant};
use env::Timestamp;
use errors::{Code, Problem};
use ids::{Id as _, KeyId, TenantId};
use metering::plan::Overrides;
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::{ErasureReceipt, Isolation, StoreError, TenantRow, VerifyGrantRow};

const CREATE: Action = Action::new("verify_grant.create");
const REVOKE: Action = Action::new("verify_grant.revoke");

const HOUR: Duration = Duration::from_secs(3600);
const MAX_HOURS: u32 = 168;
const MAX_TENANTS: u32 = 16;
/// Throwaway tenants that a grant makes in an hour.
const MADE_IN_AN_HOUR: usize = 30;
/// Requests that a throwaway tenant has in a second: the suite needs several hundred.
const REQUESTS_PER_SECOND: u64 = 2_000;
const STORAGE_BYTES: u64 = 64 << 20;
const CONCURRENT_RUNS: u64 = 32;

/// What is asked of a new grant.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVerifyGrant {
    /// What operators call it, 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// How many hours it holds, 1 to 168; 24 where absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 168))]
    pub hours: Option<u32>,
    /// When it ends, at most 168 hours from now; in place of `hours`.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// How many throwaway tenants it may have at the same time, 2 to 16; 4 where absent.
    #[serde(default)]
    #[schemars(range(min = 2, max = 16))]
    pub tenants: Option<u32>,
}

/// A grant that was just made.
pub struct IssuedVerifyGrant {
    /// What is kept of it.
    pub row: VerifyGrantRow,
    /// The grant itself, shown this once.
    pub secret: SecretText,
}

/// A grant, and how much of it is used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VerifyGrantView {
    /// The grant.
    #[serde(flatten)]
    pub row: VerifyGrantRow,
    /// How many throwaway tenants it has now.
    pub tenants_now: usize,
}

/// What all grants share.
#[derive(Default)]
pub struct GrantPace {
    /// When each made tenants in the last hour. Of grants that have ended, nothing stays.
    made: Mutex<HashMap<KeyId, Vec<Timestamp>>>,
    /// Held by whoever takes away what has ended.
    clearing: tokio::sync::Mutex<()>,
}

impl GrantPace {
    fn admit(&self, grant: &Grant, now: Timestamp) -> Result<(), Problem> {
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, times| {
            times.retain(|time| now < time.plus(HOUR));
            !times.is_empty()
        });
        let times = all.entry(grant.id()).or_default();
        match times.first().filter(|_| times.len() >= MADE_IN_AN_HOUR) {
            None => {
                times.push(now);
                Ok(())
            }
            Some(first) => {
                let detail = format!("A grant makes at most {MADE_IN_AN_HOUR} tenants in an hour.");
                let wait = first.plus(HOUR).since(now).as_secs().saturating_add(1);
                Err(Problem::new(Code::RateLimited, detail).retry_after(wait))
            }
        }
    }
}

/// Issues a grant. Those that have ended go, with their tenants.
pub async fn create(
    app: &App,
    operator: &Operator,
    input: NewVerifyGrant,
) -> Result<IssuedVerifyGrant, Problem> {
    operator.must_change()?;
    let printable = input.name.chars().all(|character| !character.is_control());
    if !printable || !(1..=100).contains(&input.name.chars().count()) {
        return Err(Problem::invalid("`name` must have 1 to 100 printable characters."));
    }
    let expires_at = end(&input, app.env.now())?;
    let tenants = within("tenants", input.tenants.unwrap_or(4), 2, MAX_TENANTS)?;
    clear_ended(app, operator).await?;
    let key = issue_verify_grant(app.env.id(), &app.env);
    let row = VerifyGrantRow { id: key.id, name: input.name, tenants, expires_at };
    let hash = app.authenticator.hash(CredentialKind::VerifyGrant, key.text.expose());
    let work = async { Ok(app.platform.add_verify_grant(operator, hash, row.clone()).await?) };
    record(app, operator, CREATE, ("verify_grant", &key.id.to_string()), work).await?;
    Ok(IssuedVerifyGrant { row, secret: key.text })
}

/// Takes away what has ended. One at a time, since two would erase the same tenants; what cannot be erased now, because
/// its own grant is about it, goes with the next.
async fn clear_ended(app: &App, operator: &Operator) -> Result<(), Problem> {
    let _alone = app.grant_pace.clearing.lock().await;
    for ended in app.platform.verify_grants(operator).await? {
        if ended.expires_at <= app.env.now()
            && let Err(problem) = revoke(app, operator, ended.id).await
        {
            tracing::warn!(grant = %ended.id, %problem, "a grant that has ended could not be taken away yet");
        }
    }
    Ok(())
}

fn end(input: &NewVerifyGrant, now: Timestamp) -> Result<Timestamp, Problem> {
    match (input.hours, input.expires_at) {
        (hours, None) => {
            Ok(now.plus(HOUR.saturating_mul(within("hours", hours.unwrap_or(24), 1, MAX_HOURS)?)))
        }
        (None, Some(end)) if now < end && end <= now.plus(HOUR.saturating_mul(MAX_HOURS)) => Ok(end),
        (None, Some(_)) => {
            Err(Problem::invalid(format!("`expires_at` must lie in the next {MAX_HOURS} hours.")))
        }
        (Some(_), Some(_)) => Err(Problem::invalid("Give one of `hours` and `expires_at`.")),
    }
}

fn within(name: &str, number: u32, least: u32, most: u32) -> Result<u32, Problem> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(Problem::invalid(format!("`{name}` must be from {least} to {most}.")))
}

/// The grants, also those that have ended.
pub async fn list(app: &App, operator: &Operator) -> Result<Vec<VerifyGrantView>, Problem> {
    let mut views = Vec::new();
    for row in app.platform.verify_grants(operator).await? {
        let tenants_now = app.platform.throwaways(operator, row.id).await?.len();
        views.push(VerifyGrantView { row, tenants_now });
    }
    Ok(views)
}

/// Revokes a grant: it is refused from the next request on, and its tenants are erased.
pub async fn revoke(app: &App, operator: &Operator, id: KeyId) -> Result<(), Problem> {
    operator.must_change()?;
    if !app.platform.verify_grants(operator).await?.iter().any(|grant| grant.id == id) {
        return Err(Problem::not_found());
    }
    let work = async {
        // The tenants go first: what has no grant any more is found by nobody. Then those that came meanwhile.
        erase_throwaways(app, operator, id).await?;
        app.platform.revoke_verify_grant(operator, id).await?;
        erase_throwaways(app, operator, id).await
    };
    record(app, operator, REVOKE, ("verify_grant", &id.to_string()), work).await
}

async fn erase_throwaways(app: &App, operator: &Operator, grant: KeyId) -> Result<(), Problem> {
    for (tenant, _) in app.platform.throwaways(operator, grant).await? {
        match tenants::delete(app, operator, tenant, None).await {
            // Whoever holds the grant may delete it at the same time.
            Err(problem) if problem.code == Code::NotFound => {}
            deleted => drop(deleted?),
        }
    }
    Ok(())
}

/// Makes a throwaway tenant, whose limits are the same whatever plan others have.
pub async fn make(app: &App, grant: &Grant, input: NewTenantInput) -> Result<Made, Problem> {
    let NewTenantInput { external_id, region, isolation, plan, .. } = &input;
    let plain = external_id.is_none() && region.is_none() && isolation.is_none();
    if !plain || plan.as_ref().is_some_and(|plan| plan.as_str() != tenants::DEFAULT_PLAN) {
        return Err(Problem::invalid("A grant names a throwaway tenant, and chooses nothing else of it."));
    }
    let maker = grant.as_maker();
    let used: Vec<u32> =
        app.platform.throwaways(maker, grant.id()).await?.into_iter().map(|(_, slot)| slot).collect();
    let Some(slot) = (0..grant.tenants()).find(|slot| !used.contains(slot)) else {
        let detail = format!("The grant has its {} throwaway tenants. Delete one first.", grant.tenants());
        return Err(Problem::new(Code::QuotaExceeded, detail));
    };
    app.grant_pace.admit(grant, app.env.now())?;
    let throwaway = Throwaway { grant: grant.id(), until: grant.until(), slot };
    // Two at once take one slot, and the store lets one of them.
    tenants::create_throwaway(app, maker, &input, throwaway, unlimited()).await
}

/// What a throwaway tenant has in place of a plan's limits.
fn unlimited() -> Overrides {
    Overrides {
        ai_calls_per_hour: Some(None),
        api_calls_per_hour: Some(None),
        requests_per_second: Some(Some(REQUESTS_PER_SECOND)),
        concurrent_runs: Some(Some(CONCURRENT_RUNS)),
        storage_bytes: Some(Some(STORAGE_BYTES)),
        retention_days: Some(None),
        without_shared_limits: None,
    }
}

/// Makes a throwaway tenant of a kind of isolation, which no grant chooses: for an operator who attacks the store itself.
/// It goes with the grant.
pub async fn make_isolated(
    app: &App,
    operator: &Operator,
    (grant, slot): (&VerifyGrantRow, u32),
    isolation: Isolation,
) -> Result<Made, Problem> {
    operator.must_change()?;
    let input = NewTenantInput {
        name: grant.name.clone(),
        external_id: None,
        region: None,
        plan: None,
        isolation: Some(isolation.to_string()),
    };
    let row = TenantRow {
        id: isolated_id(grant.id, slot),
        throwaway: Some(Throwaway { grant: grant.id, until: grant.expires_at, slot }),
        overrides: unlimited(),
        ..tenants::new_row(app, &input)?
    };
    tenants::create_row(app, operator, row).await
}

/// The id of such a tenant. It follows from the grant's, so that what was begun of it is found by whoever comes later.
pub fn isolated_id(grant: KeyId, slot: u32) -> TenantId {
    let mut bytes = grant.to_bytes();
    bytes.iter_mut().rev().zip(slot.to_le_bytes()).for_each(|(byte, slot)| *byte ^= slot);
    TenantId::from_bytes(bytes)
}

/// Deletes a tenant that the grant made. Any other is not found, whether or not it is there.
pub async fn delete(
    app: &App,
    grant: &Grant,
    id: TenantId,
    expected: Option<u64>,
) -> Result<ErasureReceipt, Problem> {
    let maker = grant.as_maker();
    let row = match app.platform.tenant(maker, id).await {
        Err(StoreError::NotFound) => return Err(Problem::not_found()),
        row => row?,
    };
    if row.throwaway.is_none_or(|it| it.grant != grant.id()) {
        return Err(Problem::not_found());
    }
    tenants::delete(app, maker, id, expected).await
}
