//! Grants to run the attack suite: on every operation that is not for them, on tenants that they did not make,
//! after their end, and what a throwaway tenant's own key does with them.

use super::tenants::operator;
use super::{Attempt, Control, Job, given_away, judged};
use crate::compare::difference;
use crate::description::Caller;
use crate::pattern::Pattern;
use crate::world::{Request, World};
use client::{Answer, MadeTenant};
use env::Timestamp;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/v1/verify-grants";
const MAKES: &str = "POST /v1/tenants";
const DELETES: &str = "DELETE /v1/tenants/{id}";
/// How long a grant lives that is to expire.
const LIFE: Duration = Duration::from_secs(3);

/// A grant that the suite made.
pub(crate) struct Grant {
    id: String,
    secret: SecretText,
    ends: Timestamp,
}

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if !world.description.has(&Method::POST, PATH) || operation.caller == Caller::Anyone {
        // Without grants there is nothing to attack; whoever runs the suite on the strength of one makes none.
        return Vec::new();
    }
    let pattern = |place: &str, attack| Pattern::new(operation, place, attack);
    let mut jobs = Vec::new();
    match operation.name().as_str() {
        MAKES | DELETES => {
            let ended = "a grant that was revoked, and the key of its tenant";
            jobs.push(Job::new(pattern("credential", ended), after_its_end(world, control, End::Revoked)));
            let ended = "a grant that has expired, and the key of its tenant";
            jobs.push(Job::new(pattern("credential", ended), after_its_end(world, control, End::Expired)));
            let own = "the key of a grant's own tenant";
            jobs.push(Job::new(pattern("credential", own), own_key(world, control)));
        }
        _ if operation.for_grants => {
            let unknown = async { Err("nothing says how a grant is kept to its own here".to_owned()) };
            jobs.push(Job::new(pattern("credential", "a grant on what is not its own"), unknown));
        }
        _ => jobs.push(Job::new(pattern("credential", "a grant"), refused(world, control))),
    }
    if operation.name() == DELETES {
        for (attack, whose) in [
            ("a grant on a tenant that it did not make", Whose::Operators),
            ("a grant on the tenant of another grant", Whose::AnotherGrants),
            ("a grant on a tenant whose external id names the grant", Whose::NamesTheGrant),
        ] {
            jobs.push(Job::new(pattern("path /v1/tenants/{id}", attack), not_its_own(world, control, whose)));
        }
    }
    if operation.path.starts_with(PATH) {
        let own = "the key of a grant's own tenant";
        jobs.push(Job::new(pattern("credential", own), own_key(world, control)));
    }
    if operation.path == PATH && operation.is_safe() {
        jobs.push(Job::new(pattern("answer", "the secret of a grant in the list"), listed(world, control)));
    }
    jobs
}

/// Makes a grant with which something was made already, so that what it is refused is not refused for itself.
async fn grant(world: &World<'_>, ends: Option<Timestamp>) -> Result<Grant, String> {
    world.made.go_on()?;
    let mut body = json!({"name": format!("verify {}", world.number()), "tenants": 4});
    body["expires_at"] = json!(ends);
    let made = operator(world).post(PATH, &body).await.map_err(|error| error.to_string())?;
    let (Some(id), Some(secret)) = (made["id"].as_str(), made["grant"].as_str()) else {
        return Err("a grant was made without its id or without itself".to_owned());
    };
    world.made.note_path(format!("{PATH}/{id}"));
    let ends = serde_json::from_value(made["expires_at"].clone());
    let ends = ends.map_err(|_| "a grant does not say when it ends".to_owned())?;
    Ok(Grant { id: id.to_owned(), secret: SecretText::new(secret.to_owned()), ends })
}

/// The grant that attacks share which do not end it.
async fn shared<'w>(world: &'w World<'_>) -> Result<&'w Grant, String> {
    let make = async || {
        let made = grant(world, None).await?;
        tenant_of(world, &made).await?;
        Ok::<_, String>(made)
    };
    world.grant.get_or_try_init(make).await
}

/// A tenant that the grant makes.
async fn tenant_of(world: &World<'_>, grant: &Grant) -> Result<MadeTenant, String> {
    tenant(world, &grant.secret, None).await
}

async fn tenant(
    world: &World<'_>,
    maker: &SecretText,
    external_id: Option<String>,
) -> Result<MadeTenant, String> {
    world.made.go_on()?;
    let mut body = json!({"name": format!("{} and grants", world.victim.canary)});
    if let Some(id) = external_id {
        body["external_id"] = json!(id);
    }
    let made = world.client.with_key(maker.clone()).make_tenant_as(&body).await;
    let made = made.map_err(|error| error.to_string())?;
    world.made.note(&made.id);
    Ok(made)
}

/// Asks for the deletion of a tenant.
async fn delete(world: &World<'_>, key: &SecretText, tenant: &str) -> Result<Answer, String> {
    world.made.go_on()?;
    let client = world.client.with_key(key.clone());
    let sent = client.call(Method::DELETE, &format!("/v1/tenants/{tenant}")).send().await;
    sent.map_err(|error| error.to_string())
}

/// What a tenant's own key is answered.
async fn alive(world: &World<'_>, side: &MadeTenant) -> Result<bool, String> {
    let client = world.client.with_key(side.key.clone());
    let answer = client.call(Method::GET, "/v1/me").send().await.map_err(|error| error.to_string())?;
    Ok(answer.status.is_success())
}

/// Where a grant has no business it is refused, and what there is does not tell.
async fn refused(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let grant = shared(world).await?;
    let fill = world.objects(control.operation, &world.victim).await?;
    let request = world.request(control.operation, &world.victim, fill).by(&grant.secret);
    let answer = world.send(&request).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    let places = control.operation.places();
    // A short value, such as a version, stands in the rest of an answer as well.
    let last = places.last().and_then(|place| Some((place, request.fill.get(place)?.clone())));
    let last = last.filter(|(_, value)| value.len() > 8);
    let told = match last {
        None => None,
        Some((place, value)) => {
            let (nothing, mut lost) = (world.missing(&value), request.clone());
            lost.fill.insert(place.clone(), nothing.clone());
            let missing = world.send(&lost).await?;
            difference((&answer, value.as_str()), (&missing, nothing.as_str()))
        }
    };
    judged(given_away(world, &request, &answer).or(told))
}

/// Whose tenant a grant asks for that did not make it.
#[derive(Clone, Copy)]
enum Whose {
    Operators,
    AnotherGrants,
    NamesTheGrant,
}

async fn not_its_own(world: &World<'_>, control: &Control<'_>, whose: Whose) -> Attempt {
    control.held()?;
    let own = grant(world, None).await?;
    let side = match whose {
        Whose::Operators => tenant(world, &world.operator, None).await?,
        Whose::AnotherGrants => tenant_of(world, &grant(world, None).await?).await?,
        Whose::NamesTheGrant => {
            let ulid = own.id.split('_').nth(1).unwrap_or_default();
            let external_id = format!("verify-grant/{ulid}/{}/0", own.ends.millis());
            tenant(world, &world.operator, Some(external_id)).await?
        }
    };
    let mine = tenant_of(world, &own).await?;
    let missing = world.missing(&side.id);
    let (foreign, nothing) =
        (delete(world, &own.secret, &side.id).await?, delete(world, &own.secret, &missing).await?);
    if foreign.status.is_success() || !alive(world, &side).await? {
        return judged(Some("a tenant was erased by a grant that did not make it".to_owned()));
    }
    let told = difference((&foreign, side.id.as_str()), (&nothing, missing.as_str()));
    let deleted = delete(world, &own.secret, &mine.id).await?;
    if !deleted.status.is_success() {
        return Err(format!("the grant's own tenant is answered {}", deleted.status.as_u16()));
    }
    judged(told)
}

/// How a grant comes to its end.
#[derive(Clone, Copy)]
enum End {
    Revoked,
    Expired,
}

/// A grant makes and deletes, and its tenant's key opens, until its end, and not after.
async fn after_its_end(world: &World<'_>, control: &Control<'_>, end: End) -> Attempt {
    control.held()?;
    // By the server's clock, which need not be this one's: a grant holds 24 hours where nothing is said.
    let first = grant(world, None).await?;
    let now = first.ends.millis() - 24 * 3_600_000;
    let ending = match end {
        End::Revoked => first,
        End::Expired => grant(world, Some(Timestamp::from_millis(now).plus(LIFE))).await?,
    };
    let (mine, spare) = (tenant_of(world, &ending).await?, tenant_of(world, &ending).await?);
    let deleted = delete(world, &ending.secret, &spare.id).await?;
    if !deleted.status.is_success() || !alive(world, &mine).await? {
        return Err("before its end a grant does not delete, or its tenant's key is refused".to_owned());
    }
    match end {
        End::Revoked => {
            let path = format!("{PATH}/{}", ending.id);
            operator(world).delete(&path).await.map_err(|error| error.to_string())?;
        }
        End::Expired => tokio::time::sleep(LIFE).await,
    }
    if alive(world, &mine).await? {
        return judged(Some("the key of a grant's tenant was let in after the grant's end".to_owned()));
    }
    let answer = match control.operation.name().as_str() {
        MAKES => {
            let client = world.client.with_key(ending.secret.clone());
            let call = client.call(Method::POST, "/v1/tenants").json(&json!({"name": "after the end"}));
            let sent = call.map_err(|error| error.to_string())?.send().await;
            let answer = sent.map_err(|error| error.to_string())?;
            if let Some(id) = answer.json()["id"].as_str() {
                world.made.note(id);
            }
            answer
        }
        _ => delete(world, &ending.secret, &mine.id).await?,
    };
    judged((answer.status.as_u16() != 401).then(|| {
        let status = answer.status.as_u16();
        format!("after its end a grant is answered {status}")
    }))
}

/// The owner's key of a throwaway tenant is a tenant's key like any other.
async fn own_key(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let side = tenant_of(world, &grant(world, None).await?).await?;
    if !alive(world, &side).await? {
        return Err("the key of a grant's tenant is refused".to_owned());
    }
    let fill = world.objects(control.operation, &world.victim).await?;
    let request = world.request(control.operation, &world.victim, fill);
    let request = Request { key: Some(side.key.clone()), ..request };
    let answer = world.send(&request).await?;
    if answer.status.is_success() {
        return judged(Some(format!("it was let in ({})", answer.status.as_u16())));
    }
    judged(given_away(world, &request, &answer))
}

async fn listed(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let own = grant(world, None).await?;
    let client = operator(world);
    let (mut path, mut found) = (format!("{PATH}?limit=500"), false);
    loop {
        let page = client.get(&path).await.map_err(|error| error.to_string())?;
        found |= page["data"].as_array().into_iter().flatten().any(|it| it["id"] == own.id.as_str());
        if page.to_string().contains("vg_") {
            return judged(Some("the list shows a grant itself".to_owned()));
        }
        match &page["next_cursor"] {
            Value::String(cursor) => path = format!("{PATH}?limit=500&cursor={cursor}"),
            _ => break,
        }
    }
    if found { judged(None) } else { Err("the list does not have a grant that was made".to_owned()) }
}
