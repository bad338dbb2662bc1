//! `PUT /v1/endpoints/{name}`: writes an endpoint.

use crate::body::Json;
use crate::call::{OperatorCall, slug};
use crate::query::Path;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::endpoints::{self, EndpointInput, EndpointView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::PUT, "/v1/endpoints/{name}", handle)
        .about("endpoints", "Write an endpoint; it holds from the next request on")
        .for_operators()
        .audited(Audited::Event("endpoint.put"))
        .body::<EndpointInput>()
        .answers::<EndpointView>(200)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(name): Path<String>,
    body: Json<EndpointInput>,
) -> Answer {
    let name = slug(&name)?;
    write_as_operator(&api, call, body.hash, async |operator, _| {
        Written::json(StatusCode::OK, &endpoints::put(&api.app, operator, name, body.value).await?)
    })
    .await
}
