//! `POST /v1/subjects/{subject}`: tells a message to whoever listens in the tenant.

use crate::body::Json;
use crate::call::TenantCall;
use crate::query::Path;
use crate::respond::{Answer, Written, note_read, write};
use crate::{Api, Audited, Operation};
use app::messages::{self, Told};
use audit::event::Action;
use axum::extract::State;
use context::{Create, on};
use errors::Problem;
use http::{Method, StatusCode};
use serde_json::{Map, Value};

const PUBLISH: Action = Action::new("message.publish");

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/subjects/{subject}", handle)
        .about("messages", "Tell a message to whoever listens in the tenant")
        .for_tenants::<Create<on::Message>>()
        .audited(Audited::Aggregated("message.publish"))
        .never_repeated()
        .body::<Map<String, Value>>()
        .answers::<Told>(202)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(subject): Path<String>,
    body: Json<Map<String, Value>>,
) -> Answer {
    if call.conditions.idempotency.is_some() {
        let detail = "A message is told anew each time. Leave `Idempotency-Key` out, and put an id of your own into \
                      the message where listeners must know it again.";
        return Err(Problem::invalid(detail).into());
    }
    let noted = call.admission.clone();
    write(&api, call, body.hash, async |tenant, _, _| {
        let told = messages::publish(&api.app, &tenant, &subject, body.value).await?;
        note_read(&api, &noted, &tenant, PUBLISH, "message", "subjects");
        told.try_map(|told| Written::json(StatusCode::ACCEPTED, &told))
    })
    .await
}
