//! What a tenant's own objects reach: `http` nodes whose address leads inside the operator's network, in any
//! notation and by any way round, and credentials that go where they do not belong.

use super::{Attempt, Control, Job, judged};
use crate::bodies::HOOK_SERVICE;
use crate::outside::{Outside, Place};
use crate::pattern::Pattern;
use crate::side::Side;
use crate::world::World;
use client::Client;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Looks at a run, [`APART`] from each other.
const LOOKS: usize = 1_000;
const APART: Duration = Duration::from_millis(20);
pub(super) const GIVE: &str =
    "no `--url`: in a server that verify starts itself, `egress.allow` opens its stand-ins";

/// Ways to write an address inside, by the attack's name. `{}` is the inside host's port, `{open}` the host
/// and port that are open.
pub(super) const NOTATIONS: [(&str, &[&str]); 6] = [
    (
        "loopback in other notations",
        &[
            "http://2130706433:{}/",
            "http://0x7f000001:{}/",
            "http://017700000001:{}/",
            "http://127.1:{}/",
            "http://0x7f.0.0.1:{}/",
            "http://0177.0.0.1:{}/",
            "http://127.0.0.1.:{}/",
            "http://127.0.0.1:{}/",
            "http://①②⑦.0.0.1:{}/",
            "http://0:{}/",
            "http://0.0.0.0:{}/",
            "http://127.8.8.8:{}/",
        ],
    ),
    (
        "loopback within an address of IPv6",
        &[
            "http://[::1]:{}/",
            "http://[::]:{}/",
            "http://[::ffff:127.0.0.1]:{}/",
            "http://[::ffff:7f00:1]:{}/",
            "http://[0:0:0:0:0:ffff:7f00:1]:{}/",
            "http://[::127.0.0.1]:{}/",
            "http://[64:ff9b::7f00:1]:{}/",
            "http://[64:ff9b:1::7f00:1]:{}/",
            "http://[2002:7f00:1::1]:{}/",
            "http://[2001:0:7f00:1::]:{}/",
        ],
    ),
    (
        "names of this machine",
        &["http://localhost:{}/", "http://localhost.:{}/", "http://LOCALHOST:{}/", "http://ｌocalhost:{}/"],
    ),
    (
        "metadata and link-local addresses",
        &[
            "http://169.254.169.254/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://168.63.129.16/",
            "http://[fe80::1]/",
            "http://2852039166/",
        ],
    ),
    (
        "private and reserved addresses",
        &[
            "http://10.0.0.1/",
            "http://172.16.0.1/",
            "http://192.168.0.1/",
            "http://100.64.0.1/",
            "http://[fc00::1]/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ],
    ),
    (
        "a user before the host, and what readers disagree about",
        &[
            "http://{open}@127.0.0.1:{}/",
            "http://u:p@127.0.0.1:{}/",
            "http://127.0.0.1:{}\\@{open}/",
            "http://127.0.0.1:{}#@{open}/",
            "http://127.0.0.1:{}?@{open}/",
            "http://{open}\t@127.0.0.1:{}/",
            "http://127.0.0.1%00.{open}:{}/",
            "http:127.0.0.1:{}/",
            "http:///127.0.0.1:{}/",
            "gopher://127.0.0.1:{}/",
            "file:///etc/hostname",
        ],
    ),
];

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.name() != "POST /v1/workflows/{id}/runs" {
        return Vec::new();
    }
    let mut jobs = Vec::new();
    let url = |attack| Pattern::new(operation, "`http` node `url`", attack);
    for (attack, urls) in NOTATIONS {
        jobs.push(Job::new(url(attack), nodes(world, control, urls)));
    }
    jobs.push(Job::new(url("a redirect to inside"), redirected(world, control)));
    let credential = |attack| Pattern::new(operation, "`http` node `credential`", attack);
    let attack = "a credential at a host that it does not name";
    jobs.push(Job::new(credential(attack), misdirected(world, control, false)));
    let attack = "a credential that a redirect would take to another host";
    jobs.push(Job::new(credential(attack), misdirected(world, control, true)));
    let attack = "the victim's credential by its service's name";
    jobs.push(Job::new(credential(attack), borrowed(world, control)));
    jobs
}

/// The hosts outside, or that there are none.
macro_rules! outside {
    ($world:expr) => {
        match $world.outside {
            Some(outside) => outside,
            None => return Ok(Some($crate::pattern::Verdict::NotOffered($crate::attacks::reach::GIVE))),
        }
    };
}

pub(super) use outside;

pub(super) fn url(outside: &Outside, written: &str) -> String {
    let (inside, open) = (outside.at(Place::Inside), outside.at(Place::Open));
    written.replace("{}", &inside.port().to_string()).replace("{open}", &open.to_string())
}

/// A text that stands in no other request.
pub(super) fn nonce(world: &World<'_>) -> String {
    format!("n{}", hex::encode(world.env.random::<10>()))
}

/// How a run with one `http` node ended, or how its workflow was refused.
pub(super) async fn run(
    world: &World<'_>,
    side: &Side,
    url: &str,
    credential: Option<&str>,
) -> Result<(String, String), String> {
    let mut node = json!({
        "id": "call", "type": "http", "after": ["entry"], "method": "GET", "url": url,
        "retry": {"max_attempts": 1},
    });
    if let Some(service) = credential {
        node["credential"] = json!(service);
    }
    let Some(run) = carried_out(world, side, &node).await? else {
        return Ok(("refused".to_owned(), String::new()));
    };
    let told = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
    Ok((told("status"), told("last_error")))
}

/// A run with this node, once it has ended; none where the workflow was refused.
pub(super) async fn carried_out(
    world: &World<'_>,
    side: &Side,
    node: &Value,
) -> Result<Option<Value>, String> {
    world.made.go_on()?;
    let client = world.client.with_key(side.key.clone());
    let source = json!({
        "id": "entry", "type": "source", "kind": "webhook",
        "webhook": {"scheme": "standard", "secret": HOOK_SERVICE},
    });
    let definition = json!({"name": "Reach", "nodes": [source, node]});
    let name = format!("{} reaches {}", side.canary, world.number());
    let workflow = json!({"name": name, "definition": definition, "config": {}});
    let made = post(&client, "/v1/workflows", &workflow).await?;
    let Ok(made) = made else { return Ok(None) };
    let id = made["id"].as_str().unwrap_or_default();
    side.learn(id);
    let begun = post(&client, &format!("/v1/workflows/{id}/runs"), &json!({"input": {}})).await?;
    let begun = begun.map_err(|status| format!("the owner's run was answered {status}"))?;
    let run = begun["id"].as_str().unwrap_or_default().to_owned();
    side.learn(&run);
    for _ in 0..LOOKS {
        let found = client.get(&format!("/v1/runs/{run}")).await.map_err(|error| error.to_string())?;
        side.learn(&found.to_string());
        if !["queued", "running"].contains(&found["status"].as_str().unwrap_or_default()) {
            return Ok(Some(found));
        }
        tokio::time::sleep(APART).await;
    }
    Err("the owner's run comes to no end".to_owned())
}

/// What was made, or the status that refused it.
async fn post(client: &Client, path: &str, body: &Value) -> Result<Result<Value, u16>, String> {
    let call = client.call(Method::POST, path).json(body).map_err(|error| error.to_string())?;
    let answer = call.send().await.map_err(|error| error.to_string())?;
    Ok(if answer.status.is_success() { Ok(answer.json()) } else { Err(answer.status.as_u16()) })
}

/// The control of every attack here: what is open is reached.
async fn open_is_reached(world: &World<'_>, outside: &Outside) -> Result<(), String> {
    let nonce = nonce(world);
    let url = format!("http://{}/{nonce}", outside.at(Place::Open));
    let (status, error) = run(world, &world.attacker, &url, None).await?;
    let seen = outside.seen(&nonce).iter().any(|seen| seen.place == Place::Open);
    if seen && status == "succeeded" {
        return Ok(());
    }
    Err(format!("a host that the operator opened was not reached: {status} {error}"))
}

/// Whether a run was refused before anything was tried.
fn is_refused(status: &str, error: &str) -> bool {
    const REFUSALS: [&str; 3] = ["may not be reached from here", "URL cannot be used", "`url`, line"];
    status == "refused" || (status == "failed" && REFUSALS.iter().any(|text| error.contains(text)))
}

async fn nodes(world: &World<'_>, control: &Control<'_>, urls: &[&str]) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    world.once("open", open_is_reached(world, outside)).await?;
    for written in urls {
        let nonce = nonce(world);
        let url = format!("{}{nonce}", url(outside, written));
        let (status, error) = run(world, &world.attacker, &url, None).await?;
        if outside.seen(&nonce).iter().any(|seen| seen.place == Place::Inside) {
            return judged(Some(format!("`{written}` reached a host inside")));
        }
        if !is_refused(&status, &error) {
            return judged(Some(format!("`{written}` was tried: {status} {error}")));
        }
    }
    judged(None)
}

async fn redirected(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    let inside = outside.at(Place::Inside);
    for to in
        [format!("http://{inside}/"), format!("//{inside}/"), url(outside, "http://[::ffff:127.0.0.1]:{}/")]
    {
        let nonce = nonce(world);
        let way = Outside::redirect(&format!("{to}{nonce}"));
        let url = format!("http://{}{way}", outside.at(Place::Open));
        run(world, &world.attacker, &url, None).await?;
        if !outside.seen(&way).iter().any(|seen| seen.place == Place::Open) {
            return Err("a host that the operator opened was not reached".to_owned());
        }
        if outside.seen(&nonce).iter().any(|seen| seen.place == Place::Inside) {
            return judged(Some(format!("a redirect to `{to}` was followed inside")));
        }
    }
    judged(None)
}

/// Stores a credential of a side under a service.
pub(super) async fn store(
    world: &World<'_>,
    side: &Side,
    service: &str,
    body: &Value,
) -> Result<u16, String> {
    world.made.go_on()?;
    let client = world.client.with_key(side.key.clone());
    let call = client.call(Method::PUT, &format!("/v1/credentials/{service}"));
    let answer = call.json(body).map_err(|error| error.to_string())?.send().await;
    Ok(answer.map_err(|error| error.to_string())?.status.as_u16())
}

/// Whether a secret has reached a place.
pub(super) fn has(outside: &Outside, place: Place, target: &str, secret: &str) -> bool {
    let seen = outside.seen(target);
    seen.iter()
        .any(|seen| seen.place == place && seen.credential.as_deref().is_some_and(|it| it.contains(secret)))
}

async fn misdirected(world: &World<'_>, control: &Control<'_>, by_redirect: bool) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    let (open, other) = (outside.at(Place::Open), outside.at(Place::Other));
    let (service, secret) = (format!("reach-{}", world.number()), nonce(world));
    let body = json!({"kind": "api_key", "key": secret, "hosts": [open.to_string()]});
    let stored = store(world, &world.attacker, &service, &body).await?;
    let (mine, theirs) = (nonce(world), nonce(world));
    let url = format!("http://{open}/{mine}");
    run(world, &world.attacker, &url, Some(&service)).await?;
    if !has(outside, Place::Open, &mine, &secret) {
        return Err(format!("a credential ({stored}) does not reach the host that it names"));
    }
    let url = match by_redirect {
        true => format!("http://{open}{}", Outside::redirect(&format!("http://{other}/{theirs}"))),
        false => format!("http://{other}/{theirs}"),
    };
    run(world, &world.attacker, &url, Some(&service)).await?;
    let shown = has(outside, Place::Other, &theirs, &secret);
    judged(shown.then(|| "the credential reached a host that it does not name".to_owned()))
}

async fn borrowed(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let outside = outside!(world);
    let open = outside.at(Place::Open);
    let (service, secret) = (format!("reach-{}", world.number()), nonce(world));
    let body = json!({"kind": "api_key", "key": secret, "hosts": [open.to_string()]});
    store(world, &world.victim, &service, &body).await?;
    let (theirs, own) = (nonce(world), nonce(world));
    run(world, &world.victim, &format!("http://{open}/{theirs}"), Some(&service)).await?;
    if !has(outside, Place::Open, &theirs, &secret) {
        return Err("the owner's credential does not reach the host that it names".to_owned());
    }
    run(world, &world.attacker, &format!("http://{open}/{own}"), Some(&service)).await?;
    let shown = has(outside, Place::Open, &own, &secret);
    judged(shown.then(|| "the victim's credential went out with the attacker's call".to_owned()))
}
