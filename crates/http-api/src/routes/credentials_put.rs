//! `PUT /v1/credentials/{service}`: stores a credential. Its values go in here and never come out.

use crate::body::Json;
use crate::call::{TenantCall, slug};
use crate::json::check_lists;
use crate::problem::Refused;
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::vault::{CredentialView, NewCredential};
use axum::extract::State;
use context::{Update, on};
use errors::{Code, Problem};
use http::{Method, StatusCode};
use serde_json::Value;

pub(super) fn operation() -> Operation {
    Operation::new(Method::PUT, "/v1/credentials/{service}", handle)
        .about("secrets", "Store the credential for a service, in the place of the one that it had")
        .for_tenants::<Update<on::Credential>>()
        .audited(Audited::Event("credential.put"))
        .conditional()
        .body::<NewCredential>()
        .answers::<CredentialView>(200)
        .answers::<CredentialView>(201)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(service): Path<String>,
    body: Result<Json<Value>, Refused>,
) -> Answer {
    let service = slug(&service)?;
    let (credential, hash) = read(body)?;
    write(&api, call, hash, async |tenant, claim, conditions| {
        let vault = &api.app.vault;
        let stored = vault.put(&tenant, service, credential, conditions.expected, claim).await?;
        stored.try_map(|stored| {
            let status = if stored.made { StatusCode::CREATED } else { StatusCode::OK };
            Ok(Written::json(status, &stored.view)?.tagged(stored.version))
        })
    })
    .await
}

/// Reads the body. Elsewhere an error quotes a little of what was misplaced; here that may be the secret.
fn read(body: Result<Json<Value>, Refused>) -> Result<(NewCredential, [u8; 32]), Problem> {
    let Json { value, hash, .. } = body.map_err(|Refused(problem)| match problem.code {
        Code::InvalidRequest => Problem::invalid(
            "The body is no JSON that this call takes: one object, no member twice, no number beyond 64 bits.",
        ),
        _ => problem,
    })?;
    check_lists::<NewCredential>(&value)?;
    let credential = serde_json::from_value(value)
        .map_err(|error| Problem::invalid(format!("The body is not what this call takes: {error}.")))?;
    Ok((credential, hash))
}
