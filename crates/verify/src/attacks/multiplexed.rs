//! One HTTP/2 connection, by prior knowledge (RFC 9113, section 3.3), that carries both tenants' requests as
//! streams at the same time.

use super::wire::{MAX_ANSWER_BYTES, PATIENCE, Place};
use super::{Attempt, Control, Job, judged};
use crate::compare::leaked;
use crate::pattern::{Pattern, Verdict};
use crate::side::Side;
use crate::world::{Request, World};
use bytes::Bytes;
use client::Answer;
use futures::future::{Either, join_all, select};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::pin::pin;
use tokio::net::TcpStream;

/// Streams at once on a connection.
const STREAMS: usize = 32;
/// The same where every operation has a connection of its own.
const FEW: usize = 4;
/// How answers differ that are the same: by the request's id and the moment.
const MOMENTARY: [&str; 5] = ["x-request-id", "date", "ratelimit", "ratelimit-policy", "content-length"];
const GIVE: &str = "an address that speaks HTTP/2 by prior knowledge";

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    if !operation.is_safe() || operation.streams || Place::of(world).is_none() {
        return Vec::new();
    }
    let pattern = |attack| Pattern::new(operation, "HTTP/2 connection", attack);
    let mut jobs =
        vec![Job::new(pattern("both tenants' streams side by side"), side_by_side(world, control))];
    if operation.path == "/v1/me" {
        let attack = "many streams, each compared with the caller's own answer";
        jobs.push(Job::new(pattern(attack), compared(world, control)));
        let attack = "no credential on a stream beside the victim's";
        jobs.push(Job::new(pattern(attack), nobody_beside(world, control)));
    }
    jobs
}

/// Carries all requests on one connection at once, and gives the answers in the order of the requests; none
/// where HTTP/2 is not spoken.
async fn together(world: &World<'_>, requests: &[Request<'_>]) -> Result<Option<Vec<Answer>>, String> {
    world.made.go_on()?;
    let place = Place::of(world).ok_or_else(|| "the server is reached over TLS".to_owned())?;
    let stream = TcpStream::connect(place.address()).await.map_err(|error| error.to_string())?;
    let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream));
    let shaken = tokio::time::timeout(PATIENCE, shaken).await.map_err(|_| slow())?;
    let Ok((sender, connection)) = shaken else { return Ok(None) };
    let streams = async {
        // The first by itself: whoever does not speak HTTP/2 answers it with something else.
        let Some((first, others)) = requests.split_first() else { return Ok(Some(Vec::new())) };
        let Ok(first) = one(sender.clone(), &place, first).await else { return Ok(None) };
        let others = join_all(others.iter().map(|other| one(sender.clone(), &place, other))).await;
        let others: Result<Vec<_>, _> = others.into_iter().collect();
        others.map(|others| Some([vec![first], others].concat()))
    };
    match tokio::time::timeout(PATIENCE, select(pin!(connection), pin!(streams))).await {
        Ok(Either::Right((answers, _))) => answers,
        Ok(Either::Left((_, streams))) => {
            // What had come before the connection ended is still to be had.
            tokio::time::timeout(PATIENCE, streams).await.map_err(|_| slow())?
        }
        Err(_) => Err(slow()),
    }
}

fn slow() -> String {
    "streams of one connection were not answered in time".to_owned()
}

async fn one(
    mut sender: SendRequest<Full<Bytes>>,
    place: &Place,
    request: &Request<'_>,
) -> Result<Answer, String> {
    let uri = format!("http://{}{}{}", place.authority, place.prefix, request.path());
    let mut message = http::Request::builder().method(request.operation.method.clone()).uri(uri);
    if let Some(key) = &request.key {
        message = message.header("authorization", format!("Bearer {}", key.expose()));
    }
    let message = message.body(Full::default()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(message).await.map_err(|error| error.to_string())?;
    let (parts, body) = answer.into_parts();
    let most = usize::try_from(MAX_ANSWER_BYTES).unwrap_or(usize::MAX);
    let body = Limited::new(body, most).collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// What each side asks for its own.
async fn requests<'w>(world: &World<'_>, control: &Control<'w>) -> Result<[Request<'w>; 2], String> {
    let operation = control.operation;
    let own = async |side: &Side| {
        let fill = world.objects(operation, side).await?;
        Ok::<_, String>(world.request(operation, side, fill))
    };
    Ok([own(&world.victim).await?, own(&world.attacker).await?])
}

/// Whoever asks by turns is shown nothing of the other.
async fn side_by_side(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let sides = [&world.victim, &world.attacker];
    let own = requests(world, control).await?;
    let turns: Vec<_> = (0..FEW).map(|turn| own[turn % 2].clone()).collect();
    let Some(answers) = together(world, &turns).await? else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    for (turn, answer) in answers.iter().enumerate() {
        if !answer.status.is_success() {
            return Err(format!("the owner's stream was answered {}", answer.status.as_u16()));
        }
        let other = sides[(turn + 1) % 2];
        let mut asked = turns[turn].clone();
        if control.operation.path != "/v1/me" {
            // Attacks have written the victim's tenant id into the attacker's own objects.
            asked = asked.with_header("written", &other.tenant);
        }
        if let Some(found) = leaked(answer, other, &asked) {
            return judged(Some(found));
        }
    }
    judged(None)
}

/// Every one of many answers is, but for its id, the one that the caller gets alone.
async fn compared(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let own = requests(world, control).await?;
    let alone = [world.send(&own[0]).await?, world.send(&own[1]).await?];
    let turns: Vec<_> = (0..STREAMS).map(|turn| own[turn % 2].clone()).collect();
    let Some(answers) = together(world, &turns).await? else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    for (turn, answer) in answers.iter().enumerate() {
        let expected = &alone[turn % 2];
        let same = answer.status == expected.status
            && answer.body == expected.body
            && lasting(answer) == lasting(expected);
        if !same {
            let told = format!("stream {} of a connection is not answered as its caller alone is", turn + 1);
            return judged(Some(told));
        }
    }
    judged(None)
}

/// The headers that say something about the answer.
fn lasting(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let kept = answer.headers.iter().filter(|(name, _)| !MOMENTARY.contains(&name.as_str()));
    let mut kept: Vec<_> =
        kept.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    kept.sort();
    kept
}

/// Who sends no credential is nobody, whoever else is on the connection.
async fn nobody_beside(world: &World<'_>, control: &Control<'_>) -> Attempt {
    let (theirs, _) = control.held()?;
    let nobodys = Request { key: None, ..theirs.clone() };
    let turns = [theirs.clone(), nobodys.clone(), theirs.clone(), nobodys];
    let Some(answers) = together(world, &turns).await? else { return Ok(Some(Verdict::NotOffered(GIVE))) };
    for (turn, answer) in answers.iter().enumerate() {
        match (turn % 2, answer.status.is_success()) {
            (0, false) => return Err(format!("the owner's stream was answered {}", answer.status.as_u16())),
            (1, true) => return judged(Some("a connection remembers whose streams it has".to_owned())),
            _ => {}
        }
        if turn % 2 == 1 && answer.text().contains(&world.victim.tenant) {
            return judged(Some("a stream without a credential shows the victim".to_owned()));
        }
    }
    judged(None)
}
