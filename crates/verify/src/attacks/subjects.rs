//! Messages: what one tenant tells reaches nobody of another, whatever names a subject is given.

use super::{Attempt, Control, Job, judged};
use crate::pattern::Pattern;
use crate::side::Side;
use crate::world::{Request, World};
use client::Answer;
use http::Method;
use secret::SecretText;
use serde_json::json;
use std::time::Duration;

const PLACE: &str = "/v1/subjects/{subject}";
/// How long somebody listens before the other tells.
const EAR: Duration = Duration::from_millis(60);

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    if control.operation.path != PLACE {
        return Vec::new();
    }
    let pattern = |attack| Pattern::new(control.operation, "path `subject`", attack);
    if control.operation.method == Method::POST {
        return vec![
            Job::new(pattern("a message under the victim's whole subject"), told_there(world, control)),
            Job::new(pattern("a message in the server's own name"), told_as_the_server(world, control)),
        ];
    }
    vec![
        Job::new(pattern("the victim's subjects by their whole name"), heard_there(world, control)),
        Job::new(pattern("everything, while the victim tells"), heard_here(world, control)),
        Job::new(pattern("on from a place that the victim heard"), heard_from_there(world, control)),
        Job::new(pattern("what the server tells the victim"), heard_of_the_server(world, control)),
    ]
}

/// A request under this subject.
fn under<'o>(request: &Request<'o>, subject: &str, key: &SecretText) -> Request<'o> {
    let mut request = request.by(key);
    request.fill.insert(PLACE.to_owned(), subject.to_owned());
    request
}

/// The victim tells a canary while `listens` is answered.
async fn while_told(
    world: &World<'_>,
    subject: &str,
    listens: Request<'_>,
) -> Result<(Answer, Answer), String> {
    let client = world.client.with_key(world.victim.key.clone());
    let tells = async {
        tokio::time::sleep(EAR).await;
        let body = json!({"word": world.victim.canary});
        let told = client.call(Method::POST, &format!("/v1/subjects/{subject}")).json(&body);
        let told =
            told.map_err(|error| error.to_string())?.send().await.map_err(|error| error.to_string())?;
        if told.status.is_success() {
            Ok(())
        } else {
            Err("the owner cannot tell its own message".to_owned())
        }
    };
    let own = under(&listens, subject, &world.victim.key);
    let (heard, answer, told) = futures::future::join3(world.send(&own), world.send(&listens), tells).await;
    told?;
    Ok((heard?, answer?))
}

/// A subject that nobody else uses meanwhile.
fn fresh(world: &World<'_>) -> String {
    format!("app.{}-{}", world.victim.mark, world.number())
}

fn hears(answer: &Answer, side: &Side) -> bool {
    answer.text().contains(&side.canary)
}

fn owner_hears(world: &World<'_>, heard: &Answer) -> Result<(), String> {
    let found = hears(heard, &world.victim);
    if found { Ok(()) } else { Err("the owner does not hear what it told itself".to_owned()) }
}

async fn heard_there(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let subject = fresh(world);
    let whole = format!("tenant.{}.{subject}", world.victim.tenant);
    let (heard, answer) = while_told(world, &subject, under(request, &whole, &world.attacker.key)).await?;
    owner_hears(world, &heard)?;
    let nowhere = world.missing(&world.victim.tenant.to_string());
    let missing = under(request, &format!("tenant.{nowhere}.{subject}"), &world.attacker.key);
    let missing = world.send(&missing).await?;
    judged(if hears(&answer, &world.victim) {
        Some("what the victim told was heard by another tenant".to_owned())
    } else if answer.status != missing.status || answer.json()["detail"] != missing.json()["detail"] {
        Some(format!("a subject of another tenant answers {}, one of none {}", answer.status, missing.status))
    } else {
        None
    })
}

async fn heard_here(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let subject = fresh(world);
    let listens = under(request, "app.%3E", &world.attacker.key);
    let (heard, answer) = while_told(world, &subject, listens).await?;
    owner_hears(world, &heard)?;
    let found = hears(&answer, &world.victim);
    judged(found.then(|| "what the victim told was heard by another tenant".to_owned()))
}

/// The place at which the victim heard its own message, given by another tenant as the last that it heard.
async fn heard_from_there(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let subject = fresh(world);
    let (heard, _) = while_told(world, &subject, under(request, &subject, &world.victim.key)).await?;
    owner_hears(world, &heard)?;
    let text = heard.text().into_owned();
    let place = text.lines().find_map(|line| line.strip_prefix("id: ")).ok_or("a message has no place")?;
    let (order, _) = place.split_once('.').ok_or("a place has another form")?;
    let before = format!("{order}.0");
    let own = under(request, &subject, &world.victim.key).with_header("Last-Event-ID", &before);
    owner_hears(world, &world.send(&own).await?)?;
    let theirs = under(request, "app.%3E", &world.attacker.key).with_header("Last-Event-ID", &before);
    let found = hears(&world.send(&theirs).await?, &world.victim);
    judged(found.then(|| "what the victim told before was heard by another tenant".to_owned()))
}

async fn told_there(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let listens = world.description.find(&Method::GET, PLACE).ok_or("nobody can listen")?;
    let subject = fresh(world);
    let ear = Request { operation: listens, body: None, ..under(request, &subject, &world.victim.key) };
    let whole = format!("tenant.{}.{subject}", world.victim.tenant);
    let body = Some(json!({"word": world.attacker.canary}));
    let tells = async {
        tokio::time::sleep(EAR).await;
        let theirs = Request { body: body.clone(), ..under(request, &whole, &world.attacker.key) };
        let own = Request {
            body: Some(json!({"word": world.victim.canary})),
            ..under(request, &whole, &world.victim.key)
        };
        let answer = world.send(&theirs).await?;
        world.ask(&own, &world.victim).await?;
        Ok::<_, String>(answer)
    };
    let (heard, answer) = futures::future::join(world.send(&ear), tells).await;
    let (heard, answer) = (heard?, answer?);
    owner_hears(world, &heard)?;
    judged(if hears(&heard, &world.attacker) {
        Some("another tenant's message was heard by the victim".to_owned())
    } else {
        answer.status.is_success().then(|| "a message under another tenant's subject was taken".to_owned())
    })
}

/// What the server tells, of the audit log and of the configuration: all of it, and what each tenant was told.
const SERVERS: [(&str, &str); 2] = [("audit.%3E", "audit.tenant.create"), ("config.%3E", "config.changed")];

/// What the server tells the victim, from the beginning of the victim's log, under the victim's whole subjects and under
/// the attacker's own.
async fn heard_of_the_server(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    for (family, told) in SERVERS {
        // Where the log begins is the same in every tenant.
        let from = |subject: &str, side: &Side| {
            under(request, subject, &side.key).with_header("Last-Event-ID", "0000000000000001.0")
        };
        let names = |answer: &Answer, side: &Side| answer.text().contains(&side.tenant.to_string());
        let heard = world.send(&from(told, &world.victim)).await?;
        if !names(&heard, &world.victim) {
            return Err(format!("the owner is told nothing under {family}"));
        }
        let own = world.send(&from(family, &world.attacker)).await?;
        let theirs = format!("tenant.{}.{family}", world.victim.tenant);
        let theirs = world.send(&from(&theirs, &world.attacker)).await?;
        let nowhere = world.missing(&world.victim.tenant.to_string());
        let missing = world.send(&from(&format!("tenant.{nowhere}.{family}"), &world.attacker)).await?;
        if names(&own, &world.victim) || names(&theirs, &world.victim) {
            return judged(Some(format!(
                "what the server tells the victim under {family} was heard by another"
            )));
        }
        if theirs.status != missing.status || theirs.json()["detail"] != missing.json()["detail"] {
            let (theirs, missing) = (theirs.status, missing.status);
            return judged(Some(format!("{family} of another tenant answers {theirs}, of none {missing}")));
        }
    }
    judged(None)
}

async fn told_as_the_server(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    for subject in ["audit.record.create", "config.changed", "sys.stop"] {
        for named in [subject.to_owned(), format!("tenant.{}.{subject}", world.victim.tenant)] {
            let answer = world.send(&under(request, &named, &world.attacker.key)).await?;
            if answer.status.is_success() {
                return judged(Some(format!("a message under {subject} was taken, which is the server's")));
            }
        }
    }
    judged(None)
}
