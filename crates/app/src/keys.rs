//! API keys: issuing, listing and revoking them.

use crate::{App, fail, note};
use async_trait::async_trait;
use audit::event::{Action, Draft, Outcome};
use authz::{Rights, Role, Scopes};
use context::{Create, CredentialKind, Delete, IndexedSubject, Private, Read, Tenant, issue_api_key, on};
use env::Timestamp;
use errors::{Code, Problem};
use ids::{AgentId, EventId, KeyId};
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use store::{Agent, ApiKeyRecord, Commit, IdempotencyClaim, Objects, Page, PageRequest, StoreError};

const CREATE: Action = Action::new("api_key.create");
const REVOKE: Action = Action::new("api_key.revoke");

/// What is asked of a new key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What people call it, 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// The role that it gives; `member` where absent. Nobody gives more than they have.
    #[serde(default)]
    pub role: Option<Role>,
    /// What it is narrowed to; all that the role allows where absent.
    #[serde(default)]
    pub scopes: Option<Scopes>,
    /// The agent that holds it.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made.
pub struct Issued {
    /// What is kept of it.
    pub record: ApiKeyRecord,
    /// The key, shown this once.
    pub secret: SecretText,
}

/// Issues a key.
pub async fn create<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    input: NewKey,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, Issued>, Problem> {
    let access = tenant.authorize::<Create<on::ApiKey>>()?;
    let role = input.role.unwrap_or(Role::Member);
    let scopes = input.scopes.unwrap_or_else(Scopes::everything);
    must_hold(tenant, role, &scopes)?;
    let now = app.env.now();
    if input.name.is_empty() || input.name.chars().count() > 100 {
        return Err(Problem::invalid("`name` must have 1 to 100 characters."));
    }
    if input.expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("`expires_at` is in the past."));
    }
    if let Some(agent) = input.agent {
        let agents = tenant.authorize::<Read<on::Agent>>()?;
        app.store.get::<Agent>(&agents, &agent.to_string()).await?;
    }
    let key = issue_api_key(tenant.id(), app.env.id(), &app.env);
    let record = ApiKeyRecord {
        id: key.id,
        name: input.name,
        role,
        scopes: scopes.clone(),
        agent: input.agent,
        created_by: tenant.principal().id.clone(),
        created_at: now,
        expires_at: input.expires_at,
        revoked_at: None,
    };
    let details = [("role", json!(role)), ("scopes", json!(scopes))];
    let event = note(tenant, CREATE, "api_key", key.id.to_string(), details);
    let claim = claim.map(|claim| claim.answered(&record));
    app.store.create(&access, &record, Commit::event(event).claiming(claim)).await?;
    let hash = app.authenticator.hash(CredentialKind::ApiKey, key.text.expose());
    let subject = IndexedSubject::ApiKey { id: key.id, role, scopes, agent: record.agent };
    app.platform.index_credential(tenant, hash, subject, record.expires_at).await?;
    Ok(Private::sent(tenant, Issued { record, secret: key.text }))
}

/// Nobody hands out a role or a scope that they do not hold themselves.
pub(crate) fn must_hold(tenant: &Tenant<'_>, role: Role, scopes: &Scopes) -> Result<(), Problem> {
    match tenant.rights() {
        Rights::Granted { role: own, scopes: held } if own.may_grant(role) && held.contain(scopes) => Ok(()),
        _ => {
            let detail = "A key cannot be given a role or scopes beyond those of the key that makes it.";
            Err(Problem::new(Code::Forbidden, detail).with("needs", role.as_str()))
        }
    }
}

/// A key, as whoever may see it sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ApiKeyView {
    /// What is kept of it.
    #[serde(flatten)]
    pub record: ApiKeyRecord,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// The keys within reach.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    page: &PageRequest,
) -> Result<Private<'t, Page<ApiKeyView>>, Problem> {
    let access = tenant.authorize::<Read<on::ApiKey>>()?;
    let found = app.store.list::<ApiKeyRecord>(&access, page).await?;
    let uses = app.platform.last_uses(tenant).await?;
    Ok(found.map(|page| page.map(|(record, _)| viewed(record, &uses))))
}

fn viewed(record: ApiKeyRecord, uses: &HashMap<KeyId, Timestamp>) -> ApiKeyView {
    let last_used = uses.get(&record.id).copied();
    ApiKeyView { record, last_used }
}

/// One key.
pub async fn get<'t>(app: &App, tenant: &Tenant<'t>, id: KeyId) -> Result<Private<'t, ApiKeyView>, Problem> {
    let access = tenant.authorize::<Read<on::ApiKey>>()?;
    let found = app.store.get::<ApiKeyRecord>(&access, &id.to_string()).await?;
    let uses = app.platform.last_uses(tenant).await?;
    Ok(found.map(|(record, _)| viewed(record, &uses)))
}

/// Revokes a key. It is refused from the next request on.
pub async fn revoke(
    app: &App,
    tenant: &Tenant<'_>,
    id: KeyId,
    claim: Option<IdempotencyClaim>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Delete<on::ApiKey>>()?;
    let reading = tenant.authorize::<Read<on::ApiKey>>()?;
    // Whether the key is within reach is asked first: revoking by id alone would revoke any.
    app.store.get::<ApiKeyRecord>(&reading, &id.to_string()).await?;
    let event = note(tenant, REVOKE, "api_key", id.to_string(), []);
    let event = revoke_in_index(app, tenant, &id.to_string(), event).await?;
    Ok(app
        .store
        .remove::<ApiKeyRecord>(&access, &id.to_string(), None, Commit::event(event).claiming(claim))
        .await?)
}

/// Takes a credential out of the index, and gets back the event that tells how it went, to be committed with
/// what is still to be removed. Wherever a crash falls after the index was changed, the credential is refused.
pub(crate) async fn revoke_in_index(
    app: &App,
    tenant: &Tenant<'_>,
    subject: &str,
    event: Draft,
) -> Result<Draft, Problem> {
    told_before(&InIndex { app, tenant, subject }, event).await
}

/// A change that the tenant's log must know of before it is made.
#[async_trait]
trait Change: Send + Sync {
    /// Tells the log.
    async fn tell(&self, event: Draft) -> Result<Option<EventId>, StoreError>;

    /// Makes the change.
    async fn make(&self) -> Result<(), StoreError>;
}

/// That a credential is in the index no more.
struct InIndex<'a, 't> {
    app: &'a App,
    tenant: &'a Tenant<'t>,
    subject: &'a str,
}

#[async_trait]
impl Change for InIndex<'_, '_> {
    async fn tell(&self, event: Draft) -> Result<Option<EventId>, StoreError> {
        Ok(self.app.store.append_events(self.tenant, vec![event]).await?.first().copied())
    }

    async fn make(&self) -> Result<(), StoreError> {
        self.app.platform.revoke_credential(self.tenant, self.subject).await
    }
}

/// Makes a change that the log knows of before. Gives back the event that tells of its end.
async fn told_before(change: &dyn Change, event: Draft) -> Result<Draft, Problem> {
    let intent = change.tell(Draft { result: Outcome::Intent, ..event.clone() }).await?;
    let event = Draft { intent, ..event };
    match change.make().await {
        Ok(()) => Ok(event),
        Err(error) => {
            let problem = Problem::from(error);
            change.tell(fail(event, &problem)).await?;
            Err(problem)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, REVOKE, told_before};
    use async_trait::async_trait;
    use audit::event::{Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
    use env::{Env, Timestamp};
    use errors::Code;
    use ids::EventId;
    use std::sync::Mutex;
    use store::StoreError;

    /// A log and an index that fail as told, and what they were asked, in order.
    struct Failing {
        log: Result<(), StoreError>,
        index: Result<(), StoreError>,
        intent: EventId,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Change for Failing {
        async fn tell(&self, event: Draft) -> Result<Option<EventId>, StoreError> {
            assert!(event.result == Outcome::Intent || event.intent == Some(self.intent));
            self.asked.lock().unwrap().push(format!("log {:?}", event.result));
            self.log.clone().map(|()| Some(self.intent))
        }

        async fn make(&self) -> Result<(), StoreError> {
            self.asked.lock().unwrap().push("index".to_owned());
            self.index.clone()
        }
    }

    async fn asked(
        log: Result<(), StoreError>,
        index: Result<(), StoreError>,
    ) -> (Vec<String>, Result<Outcome, Code>) {
        let intent = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1).0.id();
        let failing = Failing { log, index, intent, asked: Mutex::default() };
        let (id, auth) = ("key_1".to_owned(), AuthMethod::ApiKey);
        let actor = Actor { kind: ActorKind::ServiceKey, id: id.clone(), on_behalf_of: Vec::new(), auth };
        let event = Draft::new(actor, REVOKE, Resource { kind: "api_key".into(), id }, Outcome::Success);
        let outcome = told_before(&failing, event).await;
        (
            failing.asked.into_inner().unwrap(),
            outcome.map(|event| event.result).map_err(|problem| problem.code),
        )
    }

    #[tokio::test]
    async fn nothing_is_revoked_that_the_log_does_not_know_of() {
        let (asked, outcome) = asked(Err(StoreError::Unavailable), Ok(())).await;
        assert_eq!((asked, outcome), (vec!["log Intent".to_owned()], Err(Code::Unavailable)));
    }

    #[tokio::test]
    async fn the_log_tells_how_it_went() {
        let (calls, outcome) = asked(Ok(()), Ok(())).await;
        assert_eq!((calls, outcome), (vec!["log Intent".into(), "index".into()], Ok(Outcome::Success)));
        let (calls, outcome) = asked(Ok(()), Err(StoreError::Unavailable)).await;
        let expected: Vec<String> = vec!["log Intent".into(), "index".into(), "log Failure".into()];
        assert_eq!((calls, outcome), (expected, Err(Code::Unavailable)));
    }
}
