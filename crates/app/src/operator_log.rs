//! The operators' own log, and what operators do to a tenant in the tenant's log beside it.

use crate::{App, fail};
use audit::event::{Action, Draft, Outcome};
use authz::SystemPrincipal;
use context::event::operator_draft;
use context::{Admission, Operator, Refusal, RequestFacts};
use errors::Problem;
use ids::{EventId, TenantId};
use std::future::Future;
use store::{AuditEvent, AuditQuery, Page, PageRequest};

/// A page of the operators' own log, newest first.
pub async fn events(
    app: &App,
    operator: &Operator,
    query: &AuditQuery,
    page: &PageRequest,
) -> Result<Page<AuditEvent>, Problem> {
    Ok(app.platform.operator_events(operator, query, page).await?)
}

/// What an operator does, as the logs name it.
#[derive(Clone)]
pub(crate) struct Deed {
    action: Action,
    details: Vec<(&'static str, String)>,
}

impl Deed {
    /// An action with what more the logs are to tell of it.
    pub(crate) fn new(action: Action, details: Vec<(&'static str, String)>) -> Self {
        Self { action, details }
    }

    fn tell(&self, mut draft: Draft) -> Draft {
        draft
            .details
            .extend(self.details.iter().map(|(name, value)| ((*name).into(), value.as_str().into())));
        draft
    }
}

impl From<Action> for Deed {
    fn from(action: Action) -> Self {
        Self::new(action, Vec::new())
    }
}

/// Carries out what an operator does. The operators' log says before that it will be tried, and after how
/// it went.
pub(crate) async fn record<T>(
    app: &App,
    operator: &Operator,
    deed: impl Into<Deed>,
    (kind, id): (&str, &str),
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let deed = deed.into();
    let draft = deed.tell(operator_draft(operator, deed.action.clone(), kind, id));
    let intent = Draft { result: Outcome::Intent, ..draft.clone() };
    let intent = app.platform.append_operator_events(operator, vec![intent]).await?.first().copied();
    let outcome = work.await;
    let ending = Draft { intent, ..judged(draft, &outcome) };
    app.platform.append_operator_events(operator, vec![ending]).await?;
    outcome
}

/// Where the outcome of what was done to a tenant is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In both logs.
    InBothLogs,
    /// In the operators' alone: there is no tenant any more.
    InOperatorsLog,
}

/// As [`record`], and in the tenant's own log, too.
pub(crate) async fn record_on<T>(
    app: &App,
    operator: &Operator,
    deed: impl Into<Deed>,
    id: TenantId,
    ending: Ending,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let deed = deed.into();
    let in_tenants_log = async {
        let admission = admission(app, operator, id).await?;
        let intent = match &admission {
            None => None,
            Some(admission) => {
                append(app, admission, &deed, |draft| Draft { result: Outcome::Intent, ..draft }).await?
            }
        };
        let outcome = work.await;
        if ending == Ending::InBothLogs {
            let admission = match admission {
                // A store that was out of service may have been mended by what was done.
                None if outcome.is_ok() => self::admission(app, operator, id).await?,
                admission => admission,
            };
            if let Some(admission) = admission {
                append(app, &admission, &deed, |draft| Draft { intent, ..judged(draft, &outcome) }).await?;
            }
        }
        outcome
    };
    record(app, operator, deed.clone(), ("tenant", &id.to_string()), in_tenants_log).await
}

/// Writes into the tenant's own log what an operator has done.
pub(crate) async fn note_on(
    app: &App,
    operator: &Operator,
    deed: &Deed,
    id: TenantId,
) -> Result<(), Problem> {
    if let Some(admission) = admission(app, operator, id).await? {
        append(app, &admission, deed, |draft| draft).await?;
    }
    Ok(())
}

fn judged<T>(draft: Draft, outcome: &Result<T, Problem>) -> Draft {
    match outcome {
        Ok(_) => draft,
        Err(problem) => fail(draft, problem),
    }
}

/// The way into the tenant's log. A store that is out of service takes no events and must be mended or
/// erased all the same; then the operators' log alone tells of it.
async fn admission(app: &App, operator: &Operator, id: TenantId) -> Result<Option<Admission>, Problem> {
    let facts = RequestFacts::internal(operator.request().id);
    let behind = Some(operator.key().to_string());
    match app.authenticator.admit_system(SystemPrincipal::OperatorAction, id, behind, facts).await {
        Ok(admission) => Ok(Some(admission)),
        Err(Refusal::Unavailable) => {
            tracing::error!(tenant.id = %id, "the tenant's log does not take what the operator does");
            Ok(None)
        }
        Err(Refusal::Unauthorized) => Err(Problem::not_found()),
        Err(Refusal::Suspended) => Err(crate::transfers::has_left()),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn append(
    app: &App,
    admission: &Admission,
    deed: &Deed,
    change: impl FnOnce(Draft) -> Draft,
) -> Result<Option<EventId>, Problem> {
    let appended = admission.clone().enter(async |tenant| {
        let draft = context::event::draft(&tenant, deed.action.clone(), "tenant", tenant.id().to_string());
        app.store.append_events(&tenant, vec![change(deed.tell(draft))]).await
    });
    Ok(appended.await?.first().copied())
}
