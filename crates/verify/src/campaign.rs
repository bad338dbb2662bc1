//! A run of the suite: two sides, controls, attacks, what is left behind, and cleaning up.

use crate::attacks;
use crate::bodies::{template, unlimited};
use crate::description::Description;
use crate::report::Report;
use crate::side::Side;
use crate::world::{Made, World};
use client::{CallError, Client, webhook_secret};
use env::Env;
use http::Method;
use secret::SecretText;
use serde_json::json;
use tokio::time::Instant;

/// What a run of the suite works with.
pub struct Options<'p> {
    /// The server, without a key.
    pub client: Client,
    /// An operator's key with the role `admin`.
    pub operator_key: SecretText,
    /// Clock and randomness.
    pub env: Env,
    /// Whether a template may be published, which nothing takes away again. Without one, upgrades of
    /// instances cannot be attacked.
    pub may_publish: bool,
    /// Is told, now and then, how many patterns of how many are done.
    pub progress: &'p (dyn Fn(usize, usize) + Sync),
}

/// Why the suite could not run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The server's description cannot be had.
    #[error("the server's description `/openapi.json` cannot be read: {0}")]
    Description(CallError),
    /// The throwaway tenants cannot be made.
    #[error("the throwaway tenants cannot be made: {0}")]
    Tenants(CallError),
    /// The template cannot be published.
    #[error("the template for upgrades cannot be published: {0}")]
    Template(CallError),
    /// The suite was told to stop.
    #[error("interrupted; the throwaway tenants were deleted")]
    Interrupted,
    /// Something of it is left on the server.
    #[error("throwaway tenants are left behind: {0}")]
    LeftBehind(String),
}

/// Attacks a server and cleans up, also on Ctrl-C.
pub async fn run(options: Options<'_>) -> Result<Report, VerifyError> {
    let operator = options.client.with_key(options.operator_key.clone());
    let made = Made::default();
    let outcome = tokio::select! {
        outcome = attack(&options, &operator, &made) => outcome,
        _ = tokio::signal::ctrl_c() => Err(VerifyError::Interrupted),
    };
    let mut left = Vec::new();
    for tenant in made.take() {
        let deleted = operator.delete_tenant(&tenant).await;
        if let Err(error) = deleted
            && error.code() != Some("not_found")
        {
            left.push(format!("{tenant} ({error})"));
        }
    }
    let report = outcome?;
    if left.is_empty() { Ok(report) } else { Err(VerifyError::LeftBehind(left.join(", "))) }
}

async fn attack(options: &Options<'_>, operator: &Client, made: &Made) -> Result<Report, VerifyError> {
    let start = Instant::now();
    let document =
        options.client.without_key().get("/openapi.json").await.map_err(VerifyError::Description)?;
    let description = Description::read(&document);
    if options.may_publish && description.has(&Method::POST, "/v1/templates") {
        for version in [1, 2] {
            operator.post("/v1/templates", &template(version)).await.map_err(VerifyError::Template)?;
        }
    }
    let sides = [
        side(options, operator, &description, made).await?,
        side(options, operator, &description, made).await?,
    ];
    let world = World::new(
        options.client.without_key(),
        options.operator_key.clone(),
        description,
        sides,
        options.env.clone(),
        made,
    );
    let outcomes = attacks::all(&world, options.progress).await;
    Ok(Report::new(outcomes, u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)))
}

/// A throwaway tenant without limits.
async fn side(
    options: &Options<'_>,
    operator: &Client,
    description: &Description,
    made: &Made,
) -> Result<Side, VerifyError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 12] = options.env.random();
    let mark: String = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let tenant =
        operator.make_tenant(&format!("canary-{mark}"), "starter").await.map_err(VerifyError::Tenants)?;
    made.note(&tenant.id);
    if description.has(&Method::PATCH, "/v1/tenants/{id}") {
        let path = format!("/v1/tenants/{}", tenant.id);
        let call = operator.call(Method::PATCH, &path).json(&json!({"limits": unlimited()}));
        let answer = call.map_err(VerifyError::Tenants)?.send().await.and_then(client::Answer::accepted);
        answer.map_err(VerifyError::Tenants)?;
    }
    let hook_secret = webhook_secret(options.env.random());
    Ok(Side::new(tenant, mark, hook_secret))
}
