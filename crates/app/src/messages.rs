//! Messages under subjects: what a tenant's own programs tell each other, and where what the server tells is heard.
//!
//! What a principal sends is sealed under the tenant's key for its id and subject before any bus sees it, so what
//! opens proves whose it is.

use crate::notice::{Notice, PATIENCE, follower};
use crate::{App, hints};
use bus::{Body, Family, Heard, Message, Pattern, Place, Subject};
use context::{Admission, Create, Private, Read, Tenant, door, on};
use errors::{Code, Problem};
use ids::{Id, MessageId, TenantId};
use kms::aead::Cipher;
use kms::framed;
use schemars::JsonSchema;
use secret::SecretBytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::{KeyPurpose, StoreError};
use tokio::sync::mpsc;

const DOMAIN: &str = "tenantry message v1";
/// The most that a message holds, as JSON.
pub const MAX_BYTES: usize = 64 << 10;

/// A message that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Told {
    /// Its id.
    #[schemars(with = "String")]
    pub id: MessageId,
    /// What it is about, as listeners see it: `tenant.<id>.app.…`.
    pub subject: String,
}

/// What is sealed of a message.
#[derive(Serialize, Deserialize)]
struct Contents {
    publisher: String,
    data: Map<String, Value>,
}

/// Tells a message to whoever listens in the tenant. At most once: it is kept for a short while and nowhere else.
pub async fn publish<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    subject: &str,
    data: Map<String, Value>,
) -> Result<Private<'t, Told>, Problem> {
    tenant.authorize::<Create<on::Message>>()?;
    let subject = Subject::named_in(tenant.id(), subject)?;
    if subject.family() != Family::App {
        let detail = "`audit.`, `config.` and `sys.` are the server's. Publish under `app.`.";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let contents = Contents { publisher: tenant.principal().id.clone(), data };
    let contents = serde_json::to_vec(&contents).map_err(|_| Problem::internal())?;
    if contents.len() > MAX_BYTES {
        let detail = format!("A message holds at most {} KiB of JSON.", MAX_BYTES >> 10);
        return Err(Problem::new(Code::PayloadTooLarge, detail));
    }
    let id = app.env.id();
    let key = app.store.key(tenant, KeyPurpose::Message).await?;
    let sealed = Cipher::new(&key).seal(&app.env, &place(tenant.id(), id, &subject), &contents);
    let body = Body::Sealed(sealed.map_err(|_| Problem::internal())?);
    let told = Told { id, subject: subject.whole(tenant.id()) };
    app.bus.publish(tenant, Message { id, subject, at: app.env.now(), body }).await?;
    Ok(Private::sent(tenant, told))
}

fn place(tenant: TenantId, id: MessageId, subject: &Subject) -> Vec<u8> {
    framed(DOMAIN, &[&tenant.to_bytes(), &id.to_bytes(), subject.as_str().as_bytes()])
}

/// Whether the visit's principal may listen: the right is that of the data which the subjects tell of.
pub fn may_listen(tenant: &Tenant<'_>, pattern: &str) -> Result<Pattern, Problem> {
    let pattern = Pattern::named_in(tenant.id(), pattern)?;
    match pattern.family() {
        Family::App => tenant.authorize::<Read<on::Message>>().map(drop)?,
        Family::Audit => tenant.authorize::<Read<on::Audit>>().map(drop)?,
        Family::Config => tenant.authorize::<Read<on::Account>>().map(drop)?,
        Family::Sys => return Err(Problem::new(Code::Forbidden, "`sys.` is the server's own.")),
    }
    Ok(pattern)
}

/// Listens from now on, or from after what was heard before: to what the tenant's programs tell over the bus, and to
/// what the server tells in the log that it tells of. The receiver ends when its reader is too slow, when the tenant is
/// erased, or after an hour.
pub async fn listen(
    app: &Arc<App>,
    admission: Admission,
    pattern: String,
    after: Option<Place>,
) -> Result<mpsc::Receiver<Notice>, Problem> {
    let app = Arc::clone(app);
    follower(admission, move |tenant, ready| {
        Box::pin(async move {
            let pattern = match may_listen(&tenant, &pattern) {
                Ok(pattern) if pattern.family() == Family::App => pattern,
                Ok(pattern) => return hints::tell(&app, &tenant, (pattern, after), ready).await,
                Err(problem) => return ready.refuse(problem),
            };
            let begun = async {
                let key = app.store.key(&tenant, KeyPurpose::Message).await?;
                Ok::<_, Problem>((app.bus.subscribe(&tenant, pattern, after).await?, key))
            };
            let (mut subscription, key) = match begun.await {
                Ok(begun) => begun,
                Err(problem) => return ready.refuse(problem),
            };
            let Some(sender) = ready.go() else { return };
            loop {
                let heard = tokio::select! {
                    heard = subscription.next(&tenant) => heard,
                    () = sender.closed() => return,
                };
                let Some(notice) = heard.and_then(|heard| notice(&tenant, heard, &key)) else { return };
                match tokio::time::timeout(PATIENCE, sender.send(notice)).await {
                    Ok(Ok(())) => {}
                    // Too slow, or gone.
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        })
    })
    .await
}

/// What the listener is told. `None` where it is not this tenant's, and nothing more is to be heard.
fn notice<'t>(tenant: &Tenant<'t>, heard: Private<'t, Heard>, key: &SecretBytes<32>) -> Option<Notice> {
    let heard = door::answer(tenant, heard).map_err(StoreError::from).ok()?;
    let Heard::Message(at, message) = heard else {
        return Some(Notice { id: None, name: "missed".into(), data: json!({}) });
    };
    let contents = match message.body {
        // What the server tells stands in the log, and comes over no bus.
        Body::Hint(_) => {
            tracing::error!(tenant.id = %tenant.id(), message = %message.id, "a message is of no principal");
            return None;
        }
        Body::Sealed(sealed) => opened(tenant, &message.id, &message.subject, &sealed, key)?,
    };
    let mut data = json!({
        "id": message.id, "subject": message.subject.whole(tenant.id()), "at": message.at,
    });
    if let (Some(data), Value::Object(contents)) = (data.as_object_mut(), contents) {
        data.extend(contents);
    }
    Some(Notice { id: Some(at.to_string()), name: "message".into(), data })
}

fn opened(
    tenant: &Tenant<'_>,
    id: &MessageId,
    subject: &Subject,
    sealed: &[u8],
    key: &SecretBytes<32>,
) -> Option<Value> {
    let opened = Cipher::new(key).open(&place(tenant.id(), *id, subject), sealed);
    let Ok(opened) = opened else {
        tracing::error!(tenant.id = %tenant.id(), message = %id, "a message does not open under the tenant's key");
        return None;
    };
    serde_json::from_slice(&opened).ok()
}
