//! A record's way back: the key is looked up, the tenant bound, and the row opened. Over loopback with one caller, so that
//! the socket and HTTP are in it; the baseline is a call without any tenant.

use super::{PLAN, Plan, put_plan, runtime};
use crate::figure::{Figure, Target};
use crate::load::Load;
use crate::process::Server;
use crate::wire::Request;
use serde_json::json;

pub(crate) fn read(plan: &Plan) -> anyhow::Result<Vec<Figure>> {
    plan.step_aside()?;
    let server = Server::start(plan, plan.cores, "")?;
    put_plan(&server)?;
    let (key, path) = runtime()?.block_on(async {
        let made = server.operator.make_tenant("Bench", PLAN).await?;
        let owner = server.operator.with_key(made.key.clone());
        let record = owner.post("/v1/records/notes", &json!({"text": "What was said.", "of": 7})).await?;
        let id = record["id"].as_str().unwrap_or_default().to_owned();
        anyhow::Ok((made.key.expose().to_owned(), format!("/v1/records/notes/{id}")))
    })?;
    let (record, nobody) = (Request::new("GET", &path, &key, ""), Request::new("GET", "/healthz", "", ""));
    let one =
        |request: &Request| Load::steady(server.address, 1, plan.span).run(|_, _| Some(request.clone()));
    one(&record)?;
    let (mut p50, mut p99, mut alone50, mut alone99) = (vec![], vec![], vec![], vec![]);
    for _ in 0..plan.rounds {
        let (measured, alone) = (one(&record)?, one(&nobody)?);
        p50.push(measured.whole(0.5));
        p99.push(measured.whole(0.99));
        alone50.push(alone.whole(0.5));
        alone99.push(alone.whole(0.99));
    }
    let must = if plan.database.is_some() { Target::AtMost(0.5) } else { Target::None };
    Ok(vec![
        Figure::new("read.p50", &p50, "ms", must, &alone50),
        Figure::new("read.p99", &p99, "ms", Target::None, &alone99),
    ])
}
