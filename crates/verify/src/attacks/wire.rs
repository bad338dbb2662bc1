//! One connection that carries both tenants' requests, and requests whose end can be read in two ways.

use super::{Attempt, Control, Job, judged};
use crate::pattern::Pattern;
use crate::world::World;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a server may keep a connection open that it was asked to close.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
pub(super) const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Where the server is, without TLS.
pub(super) struct Place {
    pub(super) authority: String,
    pub(super) prefix: String,
}

impl Place {
    pub(super) fn of(world: &World<'_>) -> Option<Self> {
        let base = world.client.base().as_str().strip_prefix("http://")?;
        let (authority, prefix) = base
            .split_once('/')
            .map_or((base, String::new()), |(authority, path)| (authority, format!("/{path}")));
        Some(Self { authority: authority.to_owned(), prefix })
    }

    pub(super) fn address(&self) -> String {
        if self.authority.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            return self.authority.clone();
        }
        format!("{}:80", self.authority)
    }

    /// A request's head, with these further lines.
    fn head(&self, method: &str, path: &str, key: Option<&str>, more: &str) -> String {
        let Self { authority, prefix } = self;
        let key = key.map_or(String::new(), |key| format!("Authorization: Bearer {key}\r\n"));
        format!("{method} {prefix}{path} HTTP/1.1\r\nHost: {authority}\r\n{key}{more}\r\n")
    }

    /// Sends bytes on a connection of their own, and gives back what comes until it is closed.
    async fn raw(&self, bytes: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(self.address()).await.map_err(|error| error.to_string())?;
        stream.write_all(bytes.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut read = Vec::new();
        // A connection that is left open, or reset, ends what can be learned from it.
        let _ = tokio::time::timeout(PATIENCE, stream.take(MAX_ANSWER_BYTES).read_to_end(&mut read)).await;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }
}

/// Ways to tell two lengths at once: the attack's name, the header lines, and the bytes before the hidden
/// request. `{}` stands for the length of a body that would hold that request.
const SHAPES: [(&str, &str, &str); 11] = [
    (
        "hidden by Content-Length and chunks",
        "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    ),
    (
        "hidden by chunks and Content-Length",
        "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
        "0\r\n\r\n",
    ),
    ("hidden by two Content-Lengths, short first", "Content-Length: 2\r\nContent-Length: {}\r\n", "{}"),
    ("hidden by two Content-Lengths, long first", "Content-Length: {}\r\nContent-Length: 2\r\n", "{}"),
    ("hidden by a list of Content-Lengths", "Content-Length: 2, {}\r\n", "{}"),
    ("hidden by a signed Content-Length", "Content-Length: +2\r\n", "{}"),
    ("hidden by an unknown coding", "Transfer-Encoding: xchunked\r\nContent-Length: {}\r\n", "0\r\n\r\n"),
    ("hidden by two codings", "Transfer-Encoding: chunked, identity\r\nContent-Length: {}\r\n", "0\r\n\r\n"),
    (
        "hidden by a space before the colon",
        "Transfer-Encoding : chunked\r\nContent-Length: {}\r\n",
        "0\r\n\r\n",
    ),
    ("hidden by a folded line", "Transfer-Encoding:\r\n chunked\r\nContent-Length: {}\r\n", "0\r\n\r\n"),
    ("hidden by bare line feeds", "X-A: b\nTransfer-Encoding: chunked\nContent-Length: {}\r\n", "0\r\n\r\n"),
];

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    if control.operation.path != "/v1/me" || Place::of(world).is_none() {
        return Vec::new();
    }
    let pattern = |attack| Pattern::new(control.operation, "connection", attack);
    let mut jobs = vec![
        Job::new(pattern("both tenants by turns on one connection"), by_turns(world, control, false)),
        Job::new(pattern("both tenants by turns, all sent at once"), by_turns(world, control, true)),
        Job::new(pattern("no credential after the victim's request"), nobody_after(world, control)),
    ];
    for (attack, lines, before) in SHAPES {
        jobs.push(Job::new(pattern(attack), hidden(world, control, lines, before)));
    }
    jobs
}

fn place(world: &World<'_>) -> Result<Place, String> {
    Place::of(world).ok_or_else(|| "the server is reached over TLS".to_owned())
}

/// The answers in what came, each from its status line on.
fn answers(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ").skip(1).collect()
}

/// Each of many requests on a connection is answered to its own caller.
async fn by_turns(world: &World<'_>, control: &Control<'_>, at_once: bool) -> Attempt {
    control.held()?;
    let place = place(world)?;
    let sides = [&world.victim, &world.attacker];
    let turns = 8;
    let request = |turn: usize| {
        let close = if turn + 1 == turns { "Connection: close\r\n" } else { "" };
        place.head("GET", "/v1/me", Some(sides[turn % 2].key.expose()), close)
    };
    let requests: Vec<String> = (0..turns).map(request).collect();
    let came =
        if at_once { place.raw(&requests.concat()).await? } else { kept_alive(&place, &requests).await? };
    let answers = answers(&came);
    if answers.len() != turns {
        return Err(format!("{turns} requests on a connection had {} answers", answers.len()));
    }
    for (turn, answer) in answers.into_iter().enumerate() {
        if answer.contains(&sides[(turn + 1) % 2].tenant) {
            return judged(Some(format!("answer {} of a connection is the other tenant's", turn + 1)));
        }
        if !answer.contains(&sides[turn % 2].tenant) {
            return Err("an answer on a shared connection does not show its caller".to_owned());
        }
    }
    judged(None)
}

/// Sends one request after the other's answer, on one connection.
async fn kept_alive(place: &Place, requests: &[String]) -> Result<String, String> {
    let mut stream = TcpStream::connect(place.address()).await.map_err(|error| error.to_string())?;
    let mut came = String::new();
    for (at, request) in requests.iter().enumerate() {
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut piece = vec![0; 16 * 1024];
        // Each answer is short, and over when its last brace has come.
        while answers(&came).len() <= at || !came.ends_with('}') {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
            match read {
                Ok(Ok(read)) if read > 0 => came.push_str(&String::from_utf8_lossy(&piece[..read])),
                _ => return Ok(came),
            }
        }
    }
    Ok(came)
}

async fn nobody_after(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let place = place(world)?;
    let first = place.head("GET", "/v1/me", Some(world.victim.key.expose()), "");
    let second = place.head("GET", "/v1/me", None, "Connection: close\r\n");
    let came = place.raw(&format!("{first}{second}")).await?;
    let answers = answers(&came);
    let [theirs, nobodys] = answers.as_slice() else {
        return Err(format!("two requests on a connection had {} answers", answers.len()));
    };
    if !theirs.contains(&world.victim.tenant) {
        return Err("the owner's answer does not show its caller".to_owned());
    }
    let shown = nobodys.starts_with('2') || nobodys.contains(&world.victim.tenant);
    judged(shown.then(|| "a connection remembers who used it before".to_owned()))
}

/// A request within another's body, as the server in front would see it, must not be answered: the victim's
/// key in it stands for whatever such a server would have put there.
async fn hidden(world: &World<'_>, control: &Control<'_>, lines: &str, before: &str) -> Attempt {
    control.held()?;
    let place = place(world)?;
    let (own, theirs) = (world.attacker.key.expose(), world.victim.key.expose());
    let inner = place.head("GET", "/v1/me", Some(theirs), "Connection: close\r\n");
    let plain = place.head("GET", "/v1/me", Some(own), "");
    if !place.raw(&format!("{plain}{inner}")).await?.contains(&world.victim.tenant) {
        return Err("a second request on the connection is not answered".to_owned());
    }
    let length = (before.len() + inner.len()).to_string();
    let lines = format!("Content-Type: application/json\r\n{}", lines.replace("{}", &length));
    let outer = place.head("POST", "/v1/agents", Some(own), &lines);
    let came = place.raw(&format!("{outer}{before}{inner}")).await?;
    let shown = came.contains(&world.victim.tenant);
    judged(shown.then(|| "a request hidden in another's body was answered".to_owned()))
}
