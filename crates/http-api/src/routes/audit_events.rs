//! `GET /v1/audit/events`: the tenant's audit log, newest first.

use crate::call::TenantCall;
use crate::operation::Form;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::audit_log;
use audit::event::{Action, View};
use axum::extract::State;
use context::{Read, on};
use env::Timestamp;
use errors::Problem;
use http::Method;
use serde::Deserialize;
use store::{AuditQuery, Page, PageRequest};

const READ: Action = Action::new("audit.read");

/// Which events are wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    action: Option<String>,
    actor: Option<String>,
    resource: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    #[serde(flatten)]
    paging: Paging,
}

impl Wanted {
    /// The query, and the page of it.
    pub(super) fn read(self) -> Result<(AuditQuery, PageRequest), Problem> {
        let page = self.paging.page()?;
        let Self { action, actor, resource, from, to, .. } = self;
        Ok((AuditQuery { action, actor, resource, from, to }, page))
    }
}

/// The parameters by which events are asked for.
pub(super) trait AboutEvents {
    /// Takes them.
    fn takes_events(self) -> Self;
}

impl AboutEvents for Operation {
    fn takes_events(self) -> Self {
        self.takes("action", "only this action, or all that begin with it and a dot")
            .takes("actor", "only this actor's id")
            .takes("resource", "only this resource's id")
            .takes_as(Form::Moment, "from", "from this moment on, RFC 3339")
            .takes_as(Form::Moment, "to", "up to this moment, RFC 3339")
            .paged()
    }
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/audit/events", handle)
        .about("audit", "The tenant's audit log, newest first")
        .for_tenants::<Read<on::Audit>>()
        .audited(Audited::Aggregated("audit.read"))
        .takes_events()
        .answers::<Page<View>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(wanted): Query<Wanted>) -> Answer {
    let (query, page) = wanted.read()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let events = audit_log::events(&api.app, &tenant, &query, &page).await?;
        note_read(&api, &noted, &tenant, READ, "audit", "events");
        Ok(events.map(|page| page.map(|event| event.view)))
    })
    .await
}
