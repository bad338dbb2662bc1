//! `GET /v1/usage`: what the tenant's calls used and cost.

use crate::call::TenantCall;
use crate::operation::Form;
use crate::query::Query;
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::usage::{self, UsageInput, UsageView};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use env::Timestamp;
use http::Method;
use serde::Deserialize;

const READ: Action = Action::new("usage.read");

#[derive(Deserialize)]
struct Wanted {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    group_by: Option<String>,
}

/// Kinds of groups, separated by commas.
const GROUPS: &str =
    "^(hour|day|model|key|agent|tool|workflow)(,(hour|day|model|key|agent|tool|workflow)){0,6}$";

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/usage", handle)
        .about("account", "What the tenant's calls used and cost")
        .for_tenants::<Read<on::Usage>>()
        .audited(Audited::Aggregated("usage.read"))
        .takes_as(
            Form::Moment,
            "from",
            "from this moment on, RFC 3339; the beginning of the month of `to` where absent",
        )
        .takes_as(Form::Moment, "to", "up to this moment, RFC 3339; now where absent")
        .takes_as(
            Form::Pattern(GROUPS),
            "group_by",
            "model, key, agent, tool, workflow, hour, day, separated by commas; model where absent",
        )
        .answers::<UsageView>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(wanted): Query<Wanted>) -> Answer {
    let Wanted { from, to, group_by } = wanted;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let usage = usage::usage(&api.app, &tenant, UsageInput { from, to, group_by }).await?;
        note_read(&api, &noted, &tenant, READ, "usage", "usage");
        Ok(usage)
    })
    .await
}
