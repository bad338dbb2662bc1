//! What the server tells a tenant: that something was written to its audit log, and that what configures it has changed.
//!
//! It is read from the log by whoever listens, and goes through no bus: so nothing of it is lost, whatever becomes of a
//! server or of NATS, it is heard at every server, and a tenant to which nobody listens costs nothing.

use crate::App;
use crate::notice::{Notice, PATIENCE, Ready};
use bus::{Family, Pattern, Place, Subject};
use context::{Permission, Read, Tenant, TenantStanding, door, on};
use errors::Problem;
use ids::{MessageId, Slug};
use metering::plan::Limits;
use serde_json::{Value, json};
use std::time::Duration;
use store::{Endpoints, Happened, Happenings, StoreError};
use tokio::sync::mpsc;

/// How often the log is looked at, where this process alone writes to it and where others do.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY_SHARED: Duration = Duration::from_millis(500);
/// How many parts of the log are told at once, before the reader has them.
const AT_ONCE: usize = 5;
/// How many events a reader may be behind. One that is further is told to look again.
const TOO_FAR: u64 = 10_000;
const CHANGED: &str = "config.changed";

/// Tells what happens until the reader is gone or too slow, or the tenant takes part no more.
pub(crate) async fn tell(
    app: &App,
    tenant: &Tenant<'_>,
    (pattern, after): (Pattern, Option<Place>),
    ready: Ready,
) {
    let mut listener = match Listener::begin(app, tenant, pattern, after).await {
        Ok(listener) => listener,
        Err(problem) => return ready.refuse(problem),
    };
    let Some(sender) = ready.go() else { return };
    let every = if app.store.shared() { LOOK_EVERY_SHARED } else { LOOK_EVERY };
    loop {
        match listener.look(app, tenant).await {
            Ok(Some(notices)) => {
                if !sent(&sender, notices).await {
                    return;
                }
            }
            Ok(None) => return,
            // The place in the log is known, so that nothing is lost with a look that failed.
            Err(problem) => {
                tracing::debug!(tenant.id = %tenant.id(), %problem, "what happened cannot be looked at");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = sender.closed() => return,
        }
    }
}

async fn sent(sender: &mpsc::Sender<Notice>, notices: Vec<Notice>) -> bool {
    for notice in notices {
        if !matches!(tokio::time::timeout(PATIENCE, sender.send(notice)).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

fn missed() -> Notice {
    Notice { id: None, name: "missed".into(), data: json!({}) }
}

/// What configures a tenant and stands in no log of its own.
#[derive(Clone, PartialEq)]
struct Surroundings {
    plan: (Slug, Limits),
    models: Endpoints,
}

impl Surroundings {
    async fn now(app: &App, standing: &TenantStanding) -> Result<Self, Problem> {
        let models = app.platform.endpoints().await?;
        Ok(Self { plan: (standing.plan.clone(), *standing.limits), models })
    }

    /// What differs. All of it where nothing is known of before.
    fn changed(&self, before: Option<&Self>) -> Vec<&'static str> {
        let plan = before.is_none_or(|before| before.plan != self.plan).then_some("plan");
        let models = before.is_none_or(|before| before.models != self.models).then_some("models");
        plan.into_iter().chain(models).collect()
    }
}

/// One who listens to what the server tells.
struct Listener {
    pattern: Pattern,
    epoch: u64,
    /// The index of the next event that it has not looked at.
    next: u64,
    missed: bool,
    surroundings: Option<Surroundings>,
}

impl Listener {
    async fn begin(
        app: &App,
        tenant: &Tenant<'_>,
        pattern: Pattern,
        after: Option<Place>,
    ) -> Result<Self, Problem> {
        // Seen before the end of the log is: what changes in between is told, if twice.
        let standing = app.authenticator.standing_of(tenant).await?.ok_or_else(Problem::not_found)?;
        let surroundings = Surroundings::now(app, &standing).await?;
        let end = read(app, tenant, pattern.family(), None).await?;
        let mut listener = Self {
            pattern,
            epoch: end.epoch,
            next: end.next,
            missed: false,
            surroundings: Some(surroundings),
        };
        if let Some(place) = after {
            listener.missed = place.order != end.epoch || place.number > end.next;
            if !listener.missed {
                listener.next = place.number;
            }
            // What has no place in the log may have changed since.
            listener.surroundings = None;
        }
        Ok(listener)
    }

    /// What there is to tell since the last look. `None` where the tenant takes part no more.
    async fn look(&mut self, app: &App, tenant: &Tenant<'_>) -> Result<Option<Vec<Notice>>, Problem> {
        let Some(standing) = app.authenticator.standing_of(tenant).await? else { return Ok(None) };
        let mut notices = Vec::new();
        for _ in 0..AT_ONCE {
            let found = read(app, tenant, self.pattern.family(), Some(self.next)).await?;
            if found.epoch != self.epoch {
                // Another log has begun, and what the last one said at its end is lost.
                (self.epoch, self.next, self.missed) = (found.epoch, 0, true);
                continue;
            }
            if found.size - found.next > TOO_FAR {
                (self.next, self.missed) = (found.size, true);
                continue;
            }
            if std::mem::take(&mut self.missed) {
                notices.push(missed());
            }
            let told = found.events.iter().filter_map(|event| self.notice(tenant, event));
            notices.extend(told);
            self.next = found.next;
            if found.next == found.size {
                break;
            }
        }
        if self.pattern.family() == Family::Config && self.matches(CHANGED) {
            let now = Surroundings::now(app, &standing).await?;
            let changed = now.changed(self.surroundings.as_ref());
            notices.extend(changed.into_iter().map(|what| {
                let id: MessageId = app.env.id();
                shown(tenant, (id.to_string(), CHANGED, app.env.now()), json!({"changed": what}), None)
            }));
            self.surroundings = Some(now);
        }
        Ok(Some(notices))
    }

    fn matches(&self, subject: &str) -> bool {
        subject.parse::<Subject>().is_ok_and(|subject| self.pattern.matches(&subject))
    }

    /// What is told of an event, where it is listened to.
    fn notice(&self, tenant: &Tenant<'_>, event: &Happened) -> Option<Notice> {
        let Happened { index, action, resource, time, .. } = event;
        let place = Place { order: self.epoch, number: index + 1 };
        let (subject, data) = if self.pattern.family() == Family::Config {
            let mut data = json!({"changed": resource.kind, "action": action, "sequence": index});
            if let Some(data) = data.as_object_mut()
                && may_read(tenant, &resource.kind)
            {
                data.insert("id".into(), resource.id.clone().into());
            }
            (CHANGED.to_owned(), data)
        } else {
            let data = json!({"event": event.event, "action": action, "sequence": index});
            (format!("audit.{action}"), data)
        };
        let what = (event.event.to_string(), subject.as_str(), *time);
        self.matches(&subject).then(|| shown(tenant, what, data, Some(place)))
    }
}

fn shown(
    tenant: &Tenant<'_>,
    (id, subject, at): (String, &str, env::Timestamp),
    data: Value,
    place: Option<Place>,
) -> Notice {
    let subject = format!("tenant.{}.{subject}", tenant.id());
    let data = json!({"id": id, "subject": subject, "at": at, "publisher": "server", "data": data});
    Notice { id: place.map(|place| place.to_string()), name: "message".into(), data }
}

/// Whether the principal may read what is of this kind, all of it: only then it learns which one it is.
fn may_read(tenant: &Tenant<'_>, kind: &str) -> bool {
    fn all<P: Permission>(tenant: &Tenant<'_>) -> bool {
        tenant.authorize::<P>().is_ok_and(|access| access.only_of().is_none())
    }
    match kind {
        "agent" => all::<Read<on::Agent>>(tenant),
        "api_key" => all::<Read<on::ApiKey>>(tenant),
        "budget" => all::<Read<on::Budget>>(tenant),
        "collection" => all::<Read<on::Record>>(tenant),
        "credential" => all::<Read<on::Credential>>(tenant),
        "signing_key" => all::<Read<on::SigningKey>>(tenant),
        "tenant" => true,
        "workflow" => all::<Read<on::Workflow>>(tenant),
        _ => false,
    }
}

/// A part of what happened, read with the right to what it tells of.
async fn read(
    app: &App,
    tenant: &Tenant<'_>,
    family: Family,
    from: Option<u64>,
) -> Result<Happenings, Problem> {
    let found = match family {
        Family::Config => app.store.reconfigured(&tenant.authorize::<Read<on::Account>>()?, from).await?,
        Family::Audit | Family::App | Family::Sys => {
            app.store.happened(&tenant.authorize::<Read<on::Audit>>()?, from).await?
        }
    };
    Ok(door::answer(tenant, found).map_err(StoreError::from)?)
}
