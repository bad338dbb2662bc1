//! `PUT /v1/plans/{name}`: writes a plan.

use crate::body::Json;
use crate::call::{OperatorCall, slug};
use crate::query::Path;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::plans::{self, PlanInput, PlanView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::PUT, "/v1/plans/{name}", handle)
        .about("plans", "Write a plan; it holds from the next request on")
        .for_operators()
        .audited(Audited::Event("plan.put"))
        .body::<PlanInput>()
        .answers::<PlanView>(200)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(name): Path<String>,
    body: Json<PlanInput>,
) -> Answer {
    let name = slug(&name)?;
    write_as_operator(&api, call, body.hash, async |operator, _| {
        Written::json(StatusCode::OK, &plans::put(&api.app, operator, name, body.value).await?)
    })
    .await
}
