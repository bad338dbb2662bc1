//! What lies in a backup: nothing that tenants wrote, and none of their secrets, for whoever has no keys but the file.

use super::tenants::{exported, operator, throwaway};
use super::{Attempt, Control, Job, judged};
use crate::pattern::{Pattern, Verdict};
use crate::traces::{Needles, Search};
use crate::world::World;
use client::{Answer, CallError};
use http::Method;
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// How the line begins that says what a backup of everything is.
const LINE: &[u8] = br#"{"backup":{"#;
const OF_ALL: &str = "/v1/operator/backup";
const GIVE: &str = "`--data DIR`: only where the server's data is at hand is a backup of everything taken";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let pattern = |attack| Pattern::new(operation, "answer", attack);
    match operation.name().as_str() {
        "POST /v1/tenants/{id}/backup" => {
            vec![Job::new(pattern("a tenant's backup, searched for what it wrote"), of_one(world, control))]
        }
        "POST /v1/tenants/{id}/export" => {
            let attack = "a tenant's export, searched for what it wrote";
            vec![Job::new(pattern(attack), of_one_that_leaves(world, control))]
        }
        "POST /v1/operator/backup" => {
            let attack = "the backup of everything, searched for what both tenants wrote";
            vec![Job::new(pattern(attack), of_all(world, control))]
        }
        _ => Vec::new(),
    }
}

/// The control is that the same file brings the tenant back.
async fn of_one(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let (client, told) = (operator(world), |error: CallError| error.to_string());
    let side = throwaway(world, &format!("{} put away", world.victim.canary)).await?;
    let owner = world.client.with_key(side.key.clone());
    owner.post("/v1/records/contacts", &json!({"note": side.canary})).await.map_err(told)?;
    let path = format!("/v1/tenants/{}", side.tenant);
    let sent = client.call(Method::POST, &format!("{path}/backup")).send().await;
    let backup = sent.and_then(Answer::accepted).map_err(told)?.body;
    let call = client.call(Method::POST, &format!("{path}/restore"));
    let restored = call.body("application/octet-stream", backup.clone()).send().await.map_err(told)?;
    if !restored.status.is_success() {
        return Err(format!("the tenant's own backup is answered {}", restored.status.as_u16()));
    }
    let needles = Needles::new(&[&side], 0);
    let mut search = needles.search();
    search.take(&backup);
    judged(search.found.map(|found| format!("the backup shows {found}")))
}

/// The control is that it is as long as what it holds.
async fn of_one_that_leaves(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let side = throwaway(world, &format!("{} sent away", world.victim.canary)).await?;
    let export = exported(world, &side).await?.body;
    if export.len() < 1000 {
        return Err("the export holds next to nothing".to_owned());
    }
    let needles = Needles::new(&[&side], 0);
    let mut search = needles.search();
    search.take(&export);
    judged(search.found.map(|found| format!("the export shows {found}")))
}

/// The control is that it came to its end and says that it has both tenants.
async fn of_all(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    if !world.is_at_hand {
        return Ok(Some(Verdict::NotOffered(GIVE)));
    }
    world.made.go_on()?;
    let needles = Needles::new(&[&world.victim, &world.attacker], 0);
    let mut taking = Taking(needles.search());
    let taken = operator(world).call(Method::POST, OF_ALL).send_into(&mut taking).await;
    taken.map_err(|error| error.to_string())?;
    // The line stands right behind the last piece, which is none.
    let end = taking.0.end();
    let line = end.windows(LINE.len()).rposition(|part| part == LINE).map_or(&[][..], |at| &end[at..]);
    let told: Value = serde_json::from_slice(line).unwrap_or(Value::Null);
    if told["backup"]["tenants"].as_u64().is_none_or(|tenants| tenants < 2) {
        return Err("the backup of everything does not say that it has both tenants".to_owned());
    }
    judged(taking.0.found.map(|found| format!("the backup shows {found}")))
}

/// Takes a backup of any size in, and keeps none of it.
struct Taking<'n>(Search<'n>);

impl AsyncWrite for Taking<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        self.0.take(piece);
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
