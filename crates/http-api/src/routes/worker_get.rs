//! `GET /v1/worker`: where the tenant stands whose own worker asks.

use crate::call::WorkerCall;
use crate::respond::{Answer, answer};
use crate::{Audited, Operation};
use app::own_workers::WorkerStanding;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/worker", handle)
        .about("workers", "Say where the tenant stands whose own worker asks")
        .for_workers()
        .audited(Audited::Silent("it is asked five times a second, and shows the tenant's plan and limits"))
        .answers::<WorkerStanding>(200)
}

async fn handle(WorkerCall(worker): WorkerCall) -> Answer {
    answer(&WorkerStanding::of(&worker))
}
