//! The tenants of a simulation, as they are before any node starts.

use crate::dice::Dice;
use crate::node::authenticator;
use crate::watch::Expected;
use crate::world::World;
use admission_fixture::Fixture;
use authz::{Role, Scopes};
use context::{CredentialKind, IndexedSubject, TenantStatus, issue_api_key};
use env::Env;
use ids::TenantId;
use metering::plan::Overrides;
use money::Usd;
use secret::SecretText;
use std::sync::Arc;
use store::{ApiKeyRecord, Isolation, NewTenant, PlatformStore as _, TenantRow};
use store_memory::MemoryStore;

/// How many model calls of a tenant may be under way at once.
pub(crate) const MODEL_CALLS: u64 = 3;

/// A tenant, as its own people know it.
#[derive(Clone)]
pub(crate) struct Company {
    pub(crate) id: TenantId,
    pub(crate) key: SecretText,
    /// A word that is in all that is its, and in nothing else.
    pub(crate) canary: String,
    /// What it may spend.
    pub(crate) budget: Usd,
}

/// Makes so many tenants.
pub(crate) async fn found(
    world: &World,
    (truth, env): (&MemoryStore, &Env),
    dice: &Dice,
    count: u64,
) -> anyhow::Result<Vec<Company>> {
    let operator = Fixture::new(world.seed).operator().await;
    let authenticator = authenticator(Arc::new(truth.clone()), env.clone());
    let mut companies = Vec::new();
    for number in 0..count {
        let id: TenantId = env.id();
        let runs = dice.within(1..=3);
        let canary = format!("canary{number}x{}", hex::encode(env.random::<4>()));
        let budget = if dice.in_hundred(50) { "0.005" } else { "0.05" }.parse()?;
        let (row, key) = (row(id, number, runs, env)?, issue_api_key(id, env.id(), env));
        let (role, scopes) = (Role::Owner, Scopes::everything());
        let subject = IndexedSubject::ApiKey { id: key.id, role, scopes: scopes.clone(), agent: None };
        let key_record = ApiKeyRecord {
            id: key.id,
            name: "first".into(),
            role,
            scopes,
            agent: None,
            created_by: "operator".into(),
            created_at: env.now(),
            expires_at: None,
            revoked_at: None,
        };
        let key_hash = authenticator.hash(CredentialKind::ApiKey, key.text.expose());
        let tenant = NewTenant { row, key_hash, key: subject, key_record, events: Vec::new() };
        truth.create_tenant(&operator, tenant).await?;
        let (runs, model_calls) = (usize::try_from(runs)?, MODEL_CALLS);
        world.watch.expect(id, Expected { canary: canary.clone(), runs, model_calls, budget });
        companies.push(Company { id, key: key.text, canary, budget });
    }
    Ok(companies)
}

fn row(id: TenantId, number: u64, runs: u64, env: &Env) -> anyhow::Result<TenantRow> {
    let overrides = Overrides {
        requests_per_second: Some(None),
        concurrent_runs: Some(Some(runs)),
        storage_bytes: Some(None),
        ..Overrides::default()
    };
    Ok(TenantRow {
        id,
        name: format!("Company {number}"),
        external_id: None,
        region: "local".parse()?,
        plan: "enterprise".parse()?,
        overrides,
        throwaway: None,
        isolation: Isolation::Embedded,
        status: TenantStatus::Active,
        created_at: env.now(),
        generation: 0,
        version: 1,
    })
}
