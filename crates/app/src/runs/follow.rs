//! Following a run: what was journaled so far, then what comes, until it is over.

use crate::App;
use crate::notice::{Notice, PATIENCE, follower};
use context::{Admission, Read, Tenant, door, on};
use env::Timestamp;
use errors::Problem;
use ids::RunId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::{RunEvent, StoreError};
use tokio::sync::mpsc;

/// How often it is looked for what happens to a run that another server carries out.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Events read at once.
const AT_ONCE: u32 = 200;

/// Follows a run from this number of its journal on. The receiver ends when the run is over, when its
/// reader is too slow, or after an hour.
pub async fn follow(
    app: &Arc<App>,
    admission: Admission,
    id: RunId,
    from: u64,
) -> Result<mpsc::Receiver<Notice>, Problem> {
    let app = Arc::clone(app);
    follower(admission, move |tenant, ready| {
        Box::pin(async move {
            if let Err(problem) = permitted(&app, &tenant, id).await {
                return ready.refuse(problem);
            }
            let Some(sender) = ready.go() else { return };
            if let Err(error) = tell(&app, &tenant, id, from, &sender).await {
                tracing::debug!(run = %id, %error, "a run is not followed any more");
            }
        })
    })
    .await
}

async fn permitted(app: &App, tenant: &Tenant<'_>, id: RunId) -> Result<(), Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    app.store.run(&access, id).await?;
    Ok(())
}

async fn tell(
    app: &App,
    tenant: &Tenant<'_>,
    id: RunId,
    mut from: u64,
    sender: &mpsc::Sender<Notice>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    // Taken before the first look, so that nothing falls between looking and listening.
    let mut bell = app.dispatch.bell(tenant, id);
    loop {
        bell.mark_unchanged();
        let over = app.store.run(&access, id).await?.is(|run| run.status.is_finished());
        loop {
            let events = app.store.run_events(&access, id, from, AT_ONCE).await?;
            let events = door::answer(tenant, events).map_err(StoreError::from)?;
            let count = events.len();
            for event in events {
                from = event.number + 1;
                match tokio::time::timeout(PATIENCE, sender.send(notice(event))).await {
                    Ok(Ok(())) => {}
                    // Too slow, or gone.
                    Ok(Err(_)) | Err(_) => return Ok(()),
                }
            }
            if count < AT_ONCE as usize {
                break;
            }
        }
        if over {
            return Ok(());
        }
        let elsewhere = async {
            if app.store.shared() {
                tokio::time::sleep(LOOK_EVERY).await;
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = elsewhere => {}
            changed = bell.changed() => if changed.is_err() { return Ok(()) },
            () = sender.closed() => return Ok(()),
        }
    }
}

fn notice(event: RunEvent) -> Notice {
    let RunEvent { number, at, event } = event;
    let name = event.get("event").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    Notice { id: Some(number.to_string()), data: data(&name, at, event), name }
}

/// The journal's event, with the status that the run has after it where that changes.
fn data(name: &str, at: Timestamp, event: Value) -> Value {
    let status = match name {
        "admitted" => json!("running"),
        "parked" => json!("waiting"),
        "reopened" => json!("queued"),
        "finished" => event.get("status").cloned().unwrap_or_default(),
        _ => Value::Null,
    };
    let mut data = event;
    if let Some(members) = data.as_object_mut() {
        members.insert("at".into(), json!(at));
        if name == "finished" || !status.is_null() {
            members.insert("run_status".into(), status);
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::notice;
    use env::Timestamp;
    use serde_json::json;
    use store::RunEvent;

    #[test]
    fn a_notice_says_what_the_run_is_now() {
        let at = Timestamp::from_millis(0);
        let told = notice(RunEvent { number: 4, at, event: json!({"event": "parked", "until": at}) });
        assert_eq!((told.id.as_deref(), told.name.as_str()), (Some("4"), "parked"));
        assert_eq!(told.data["run_status"], "waiting");
        let told = notice(RunEvent { number: 5, at, event: json!({"event": "attempted", "node": "a"}) });
        assert!(told.data.get("run_status").is_none());
    }
}
