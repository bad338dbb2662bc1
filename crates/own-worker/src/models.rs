//! [`AskedOfServer`]: models, which a server asks for the worker's steps.

use crate::server::{Server, problem, unanswered};
use app::gateway::{Completed, FailedCall, Models, Question};
use app::own_workers::{StepAnswer, StepQuestion};
use async_trait::async_trait;
use context::Admission;
use errors::{Code, Problem};
use http::Method;
use money::Usd;
use serde_json::Value;
use std::time::Duration;

/// How much longer the answer of a server is waited for than the model may take.
const MARGIN: Duration = Duration::from_secs(5);
/// Models, asked by a server.
pub struct AskedOfServer(pub Server);

#[async_trait]
impl Models for AskedOfServer {
    async fn ask(&self, admission: Admission, question: Question) -> Result<Completed, Box<FailedCall>> {
        let Question { request, part_of, time } = question;
        let lease = admission.enter(async |tenant| tenant.lease()).await;
        let (Value::Object(request), Some(run), Some(lease)) = (request, part_of.run, lease) else {
            let detail =
                "A tenant's own worker asks models for runs that it carries out, and for nothing else.";
            return Err(Problem::new(Code::Forbidden, detail).into());
        };
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let question = StepQuestion { run, worker: lease.worker, fence: lease.fence, time_ms, request };
        let asked = self.0.ask((Method::POST, "/v1/worker/questions"), Some(&question), time + MARGIN).await;
        let answer = asked.map_err(|error| unanswered(&error))?;
        if !answer.status.is_success() {
            return Err(Box::new(failed(problem(answer))));
        }
        let StepAnswer { body, cost_usd } = answer.read().map_err(|error| unanswered(&error))?;
        Ok(Completed { body: Value::Object(body), cost: cost_usd })
    }
}

/// A call that failed, with what it cost all the same.
fn failed(mut problem: Problem) -> FailedCall {
    let cost = problem.members.remove("cost_usd");
    let cost = cost.and_then(|cost| serde_json::from_value(cost).ok()).unwrap_or(Usd::ZERO);
    FailedCall { problem, cost }
}
