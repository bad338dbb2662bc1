//! What a model's provider keeps for one tenant, named by another in every place of a request that can name it;
//! and addresses that the provider would fetch.

use super::cache::{ASK, is_kept};
use super::reach::{GIVE, NOTATIONS, nonce, store, url};
use super::tenants::{operator, throwaway};
use super::{Attempt, Control, Job, judged};
use crate::outside::{Outside, Place, Seen};
use crate::pattern::{Pattern, Verdict};
use crate::side::Side;
use crate::world::{Request, World};
use client::Answer;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

/// The endpoint, its models, and the service under which tenants keep a key of their own for it.
const ENDPOINT: &str = "/v1/endpoints/verify";
pub(super) const MODEL: &str = "verify-provider";
const TUNED: &str = "ft:verify-provider:org-of-one::abc";
const SERVICE: &str = "verify-provider";
/// The operator's key, which all tenants share that have none of their own.
const SHARED: &str = "sk-verify-shared";

/// Where a request can name what the provider keeps, with the form of its ids.
const PLACES: [(&str, &str); 17] = [
    ("`file.file_id` of a message", "file-"),
    ("`input_audio.id` of a message", "audio_"),
    ("`audio.id` of an earlier answer", "audio_"),
    ("`image_file.file_id` of a message", "file-"),
    ("`attachments` of a message", "file-"),
    ("`model`, tuned for one", "ft:"),
    ("`previous_response_id`", "resp_"),
    ("`conversation`", "conv_"),
    ("`conversation.id`", "conv_"),
    ("`completion_id`", "chatcmpl-"),
    ("`assistant_id` and `thread_id`", "thread_"),
    ("`tools` with `vector_store_ids`", "vs_"),
    ("`tools` with `container.file_ids`", "file-"),
    ("`tool_resources`", "vs_"),
    ("`prompt.id`", "pmpt_"),
    ("`batch_id`", "batch_"),
    ("`prompt_cache_key` and `user`", "cache_"),
];

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if operation.path != "/v1/chat/completions" {
        return Vec::new();
    }
    let mut jobs = Vec::new();
    for (place, form) in PLACES {
        let pattern = Pattern::new(operation, format!("body {place}"), "the victim's id at the provider");
        jobs.push(Job::new(pattern, foreign(world, control, place, form)));
    }
    let pattern = |place: &str, attack| Pattern::new(operation, place, attack);
    let attack = "the victim's id at the provider, on a key of the attacker's own";
    jobs.push(Job::new(pattern("credential", attack), on_own_key(world, control)));
    let attack = "an answer that was kept on the shared key, asked for on a key of one's own";
    jobs.push(Job::new(pattern("credential", attack), kept_on_shared(world, control)));
    for (attack, urls) in NOTATIONS {
        jobs.push(Job::new(pattern("body `image_url`", attack), fetched(world, control, urls)));
    }
    jobs
}

/// A request by this side that says a text and names an id in a place.
fn naming<'o>(request: &Request<'o>, side: &Side, (place, id): (&str, &str), text: &str) -> Request<'o> {
    let said = json!({"role": "user", "content": text});
    let part = |part: Value| json!([{"role": "user", "content": [{"type": "text", "text": text}, part]}]);
    let mut body = json!({"model": MODEL, "messages": [said]});
    match place {
        "`file.file_id` of a message" => {
            body["messages"] = part(json!({"type": "file", "file": {"file_id": id}}));
        }
        "`input_audio.id` of a message" => {
            body["messages"] =
                part(json!({"type": "input_audio", "input_audio": {"id": id, "format": "wav"}}));
        }
        "`audio.id` of an earlier answer" => {
            body["messages"] = json!([said, {"role": "assistant", "audio": {"id": id}}, said]);
        }
        "`image_file.file_id` of a message" => {
            body["messages"] = part(json!({"type": "image_file", "image_file": {"file_id": id}}));
        }
        "`attachments` of a message" => {
            body["messages"][0]["attachments"] = json!([{"file_id": id, "tools": [{"type": "file_search"}]}]);
        }
        "`model`, tuned for one" => body["model"] = json!(id),
        "`previous_response_id`" => body["previous_response_id"] = json!(id),
        "`conversation`" => body["conversation"] = json!(id),
        "`conversation.id`" => body["conversation"] = json!({"id": id}),
        "`completion_id`" => body["completion_id"] = json!(id),
        "`assistant_id` and `thread_id`" => {
            body["assistant_id"] = json!(id);
            body["thread_id"] = json!(id);
        }
        "`tools` with `vector_store_ids`" => {
            body["tools"] = json!([{"type": "file_search", "vector_store_ids": [id]}]);
        }
        "`tools` with `container.file_ids`" => {
            let container = json!({"type": "auto", "file_ids": [id]});
            body["tools"] = json!([{"type": "code_interpreter", "container": container}]);
        }
        "`tool_resources`" => body["tool_resources"] = json!({"file_search": {"vector_store_ids": [id]}}),
        "`prompt.id`" => body["prompt"] = json!({"id": id}),
        "`batch_id`" => body["batch_id"] = json!(id),
        _ => {
            body["prompt_cache_key"] = json!(id);
            body["user"] = json!(id);
        }
    }
    Request { body: Some(body), ..request.by(&side.key) }
}

/// Lets all tenants call the provider on the operator's key, or on their own.
pub(super) async fn endpoint(world: &World<'_>, outside: &Outside) -> Result<(), String> {
    let price = json!({"input_per_million": "1000", "output_per_million": "1000"});
    let endpoint = json!({
        "url": format!("http://{}/v1", outside.at(Place::Open)), "dialect": "openai",
        "models": [MODEL, TUNED], "api_key": SHARED, "tenant_credential": SERVICE,
        "prices": {MODEL: price, TUNED: price}, "max_output_tokens": 1000,
    });
    let client = operator(world);
    let call = client.call(Method::PUT, ENDPOINT).json(&endpoint).map_err(|error| error.to_string())?;
    call.send().await.and_then(Answer::accepted).map(drop).map_err(|error| error.to_string())
}

/// Gives a side a key of its own for the provider.
async fn with_own_key(world: &World<'_>, outside: &Outside, side: &Side) -> Result<String, String> {
    let key = format!("sk-{}", hex::encode(&side.mark));
    let body = json!({"kind": "api_key", "key": key, "hosts": [outside.at(Place::Open).to_string()]});
    let mut kept = side.lesser.lock().await;
    if kept.contains_key(SERVICE) {
        return Ok(key);
    }
    match store(world, side, SERVICE, &body).await? {
        200..=299 => {
            kept.insert(SERVICE.to_owned(), SecretText::new(key.clone()));
            Ok(key)
        }
        status => Err(format!("the owner's key for the provider is answered {status}")),
    }
}

/// The request that reached the provider with this text.
fn received(outside: &Outside, text: &str) -> Option<Seen> {
    outside.seen(text).into_iter().find(|seen| seen.place == Place::Open)
}

/// The control: what an account keeps is shown to whoever calls on its key.
async fn owner_is_shown(world: &World<'_>, outside: &Outside, request: &Request<'_>) -> Result<(), String> {
    let key = with_own_key(world, outside, &world.victim).await?;
    let (id, text) = (format!("file-{}", nonce(world)), nonce(world));
    outside.provider.keep(&key, &id, &world.victim.canary);
    let asked = naming(request, &world.victim, (PLACES[0].0, &id), &text);
    let answer = world.send(&asked).await?;
    if answer.text().contains(&world.victim.canary) {
        return Ok(());
    }
    Err(format!("the owner's file at the provider is not shown ({}) to its owner", answer.status.as_u16()))
}

async fn foreign(world: &World<'_>, control: &Control<'_>, place: &str, form: &str) -> Attempt {
    let (request, _) = control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    world.once("endpoint", endpoint(world, outside)).await?;
    world.once("provider", owner_is_shown(world, outside, request)).await?;
    let canary = &world.victim.canary;
    let id = if form == "ft:" { TUNED.to_owned() } else { format!("{form}{}", nonce(world)) };
    // As if it had been made through the operator's account, and in one of the owner's own.
    let key = with_own_key(world, outside, &world.victim).await?;
    outside.provider.keep(SHARED, &id, canary);
    outside.provider.keep(&key, &id, canary);
    let text = nonce(world);
    let answer = world.send(&naming(request, &world.victim, (place, &id), &text)).await?;
    if answer.status.is_success() && !answer.text().contains(canary) {
        return Err("what the provider keeps is not shown to its owner".to_owned());
    }
    let text = nonce(world);
    let asked = naming(request, &world.attacker, (place, &id), &text);
    let answer = world.send(&asked).await?;
    if answer.text().contains(canary) {
        return judged(Some("the provider showed the attacker what it keeps for the victim".to_owned()));
    }
    let passed = received(outside, &text).is_some_and(|seen| seen.body.contains(&id));
    judged(passed.then(|| "the victim's id went to the provider on the shared key".to_owned()))
}

/// On a key of its own the attacker's call is the attacker's, and goes out on no other key.
async fn on_own_key(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    world.once("endpoint", endpoint(world, outside)).await?;
    let canary = &world.victim.canary;
    let theirs = with_own_key(world, outside, &world.victim).await?;
    // The attacker itself is to go on calling on the shared key.
    let other = throwaway(world, &format!("{} at the provider", world.attacker.canary)).await?;
    let own = with_own_key(world, outside, &other).await?;
    let id = format!("file-{}", nonce(world));
    for key in [&theirs, SHARED] {
        outside.provider.keep(key, &id, canary);
    }
    let answer = world.send(&naming(request, &world.victim, (PLACES[0].0, &id), &nonce(world))).await?;
    if !answer.text().contains(canary) {
        return Err("the owner's file at the provider is not shown to its owner".to_owned());
    }
    let text = nonce(world);
    let answer = world.send(&naming(request, &other, (PLACES[0].0, &id), &text)).await?;
    if answer.text().contains(canary) {
        return judged(Some("the provider showed the attacker what it keeps for the victim".to_owned()));
    }
    match received(outside, &text) {
        Some(seen) if seen.credential.as_deref() != Some(&format!("Bearer {own}")) => {
            judged(Some("the attacker's call went out on a key that is not the attacker's".to_owned()))
        }
        Some(_) => judged(None),
        None => Err("the attacker's call on a key of its own did not reach the provider".to_owned()),
    }
}

/// What the operator's account answered is not what one's own account answers.
async fn kept_on_shared(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (request, _) = control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    world.once("endpoint", endpoint(world, outside)).await?;
    let side = throwaway(world, &format!("{} changes its key", world.attacker.canary)).await?;
    let said = json!([{"role": "user", "content": nonce(world)}]);
    let body = Some(json!({"model": MODEL, "messages": said}));
    let asked = Request { body, ..request.by(&side.key) }.with_header(ASK.0, ASK.1);
    world.ask(&asked, &side).await?;
    if !is_kept(&world.ask(&asked, &side).await?) {
        return Err("the owner's repeated request is not answered from the cache".to_owned());
    }
    with_own_key(world, outside, &side).await?;
    let answer = world.ask(&asked, &side).await?;
    judged(is_kept(&answer).then(|| "an answer of the operator's account was given for the own".to_owned()))
}

/// An address that the provider would fetch, from within the operator's network.
async fn fetched(world: &World<'_>, control: &Control<'_>, urls: &[&str]) -> Attempt {
    let (request, _) = control.held()?;
    let Some(outside) = world.outside else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    world.once("endpoint", endpoint(world, outside)).await?;
    let asking = |url: &str, text: &str| {
        let image = json!({"type": "image_url", "image_url": {"url": url}});
        let content = json!([{"type": "text", "text": text}, image]);
        let body = json!({"model": MODEL, "messages": [{"role": "user", "content": content}]});
        Request { body: Some(body), ..request.by(&world.attacker.key) }
    };
    let text = nonce(world);
    let open = format!("http://{}/image.png", outside.at(Place::Open));
    let answer = world.send(&asking(&open, &text)).await?;
    if received(outside, &text).is_none() {
        let status = answer.status.as_u16();
        return Err(format!("an address that the operator opened is not passed on ({status})"));
    }
    for written in urls {
        let text = nonce(world);
        world.send(&asking(&url(outside, written), &text)).await?;
        if received(outside, &text).is_some() {
            return judged(Some(format!("the provider was given `{written}` to fetch")));
        }
    }
    judged(None)
}
