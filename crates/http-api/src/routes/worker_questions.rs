//! `POST /v1/worker/questions`: asks a model for a step of a run that a tenant's own worker carries out. Providers' keys
//! stay here, and limits, budgets and prices hold as for any call. A question that fails says what it cost all the same,
//! as `cost_usd` of the problem.

use crate::body::JsonBytes;
use crate::call::WorkerCall;
use crate::json::parse_body;
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::gateway::{Completed, FailedCall};
use app::own_workers::{self, StepAnswer, StepQuestion};
use axum::extract::State;
use errors::Problem;
use http::Method;
use serde_json::{Map, Value, json};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/worker/questions", handle)
        .about("workers", "Ask a model for a step of a run that a tenant's own worker carries out")
        .for_workers()
        .ends_with_its_caller()
        .audited(Audited::Event("model.call"))
        .body::<StepQuestion>()
        .answers::<StepAnswer>(200)
}

async fn handle(State(api): State<Api>, WorkerCall(worker): WorkerCall, body: JsonBytes) -> Answer {
    let question: StepQuestion = parse_body(&body.0)?;
    match own_workers::ask(&api.app, &worker, question).await {
        Ok(Completed { body, cost }) => answer(&StepAnswer { body: members(body)?, cost_usd: cost }),
        Err(failed) => {
            let FailedCall { problem, cost } = *failed;
            Err(problem.with("cost_usd", json!(cost)).into())
        }
    }
}

fn members(body: Value) -> Result<Map<String, Value>, Problem> {
    match body {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::internal()),
    }
}
