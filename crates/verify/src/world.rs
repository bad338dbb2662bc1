//! [`World`]: the server under attack, the two sides, and how requests are put to it.

use crate::attacks::Grant;
use crate::description::{Description, Operation};
use crate::outside::Outside;
use crate::seed::Fill;
use crate::side::Side;
use client::{Answer, Client};
use env::Env;
use secret::SecretText;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a stream of events is listened to.
const LISTEN: Duration = Duration::from_millis(400);
const TIMEOUT: Duration = Duration::from_secs(20);

/// The server under attack and the two sides.
pub(crate) struct World<'m> {
    /// Without a key of its own.
    pub(crate) client: Client,
    /// The same, or one to another server on the same store: what is tried goes there.
    attacked: Client,
    pub(crate) operator: SecretText,
    pub(crate) description: Description,
    pub(crate) victim: Side,
    pub(crate) attacker: Side,
    pub(crate) env: Env,
    pub(crate) made: &'m Made,
    /// Hosts outside that the server lets tenants reach.
    pub(crate) outside: Option<&'m Outside>,
    /// Whether the server's data folder is on this machine.
    pub(crate) is_at_hand: bool,
    serial: AtomicU64,
    /// A grant to run the attack suite, made when an attack first needs one.
    pub(crate) grant: tokio::sync::OnceCell<Grant>,
    /// What was done that one run does once.
    done: tokio::sync::Mutex<BTreeSet<&'static str>>,
}

/// What must be deleted in the end: the paths of tenants, operator keys and templates.
#[derive(Default)]
pub(crate) struct Made {
    paths: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Made {
    /// Lets nothing more be asked. What is under way comes to its end, so that all that it makes is known:
    /// a request that was given up may still be carried out.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// An error once the suite was told to stop.
    pub(crate) fn go_on(&self) -> Result<(), String> {
        if self.stopped.load(Ordering::Relaxed) {
            Err("the suite was told to stop".to_owned())
        } else {
            Ok(())
        }
    }

    pub(crate) fn note(&self, tenant: &str) {
        self.note_path(format!("/v1/tenants/{tenant}"));
    }

    pub(crate) fn note_path(&self, path: String) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.paths.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that is put together and can be put together differently.
#[derive(Clone)]
pub(crate) struct Request<'o> {
    pub(crate) operation: &'o Operation,
    pub(crate) fill: Fill,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Value>,
    pub(crate) key: Option<SecretText>,
}

impl Request<'_> {
    /// The same by another caller.
    pub(crate) fn by(&self, key: &SecretText) -> Self {
        Self { key: Some(key.clone()), ..self.clone() }
    }

    /// The same with one more header.
    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut request = self.clone();
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    }

    /// Whether this text stands anywhere in it: then an echo of it tells nothing.
    pub(crate) fn contains(&self, text: &str) -> bool {
        let body = self.body.as_ref().is_some_and(|body| body.to_string().contains(text));
        body || self.path().contains(text) || self.headers.iter().any(|(_, value)| value.contains(text))
    }

    /// The path with its parameters filled in, and the query.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        let mut from = 0;
        for place in self.operation.places() {
            let start = place.rfind('{').unwrap_or(place.len());
            path.push_str(&place[from..start]);
            path.push_str(self.fill.get(&place).map_or("none", String::as_str));
            from = place.len();
        }
        path.push_str(&self.operation.path[from..]);
        let pairs = self.query.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }
}

/// A value as it stands in a query.
fn escaped(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

impl<'m> World<'m> {
    pub(crate) fn new(
        [client, attacked]: [Client; 2],
        operator: SecretText,
        description: Description,
        [victim, attacker]: [Side; 2],
        env: Env,
        (made, outside, is_at_hand): (&'m Made, Option<&'m Outside>, bool),
    ) -> Self {
        Self {
            client,
            attacked,
            operator,
            description,
            victim,
            attacker,
            env,
            made,
            outside,
            is_at_hand,
            serial: AtomicU64::new(1),
            grant: Default::default(),
            done: Default::default(),
        }
    }

    /// A number that was not given before.
    pub(crate) fn number(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Does what one run does once; an attempt that fails is made again.
    pub(crate) async fn once(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<(), String>>,
    ) -> Result<(), String> {
        let mut done = self.done.lock().await;
        if !done.contains(name) {
            work.await?;
            done.insert(name);
        }
        Ok(())
    }

    /// Puts a request to the server. An error means that no answer came.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Answer, String> {
        self.made.go_on()?;
        let mut call = self.attacked.call(request.operation.method.clone(), &request.path()).within(TIMEOUT);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if let Some(key) = &request.key {
            call = call.key(key.clone());
        }
        if let Some(body) = &request.body {
            call = call.json(body).map_err(|error| error.to_string())?;
        }
        let streams = request.operation.streams && request.operation.is_safe();
        let answer = if streams { call.listen(LISTEN).await } else { call.send().await };
        answer.map_err(|error| format!("no answer came: {error}"))
    }

    /// A name that nothing has, of the same form as this value: another ULID behind the same prefix, or
    /// other letters.
    pub(crate) fn missing(&self, value: &str) -> String {
        const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let random: [u8; 16] = self.env.random();
        let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        match value.split_once('_') {
            Some((prefix, rest)) if prefix.len() == 3 && rest.len() == 26 => {
                // The time stays, so that the two differ in nothing that is not random.
                let time: String = rest.chars().take(10).collect();
                format!("{prefix}_{time}{}", letters.collect::<String>())
            }
            _ => format!("none-{}", letters.collect::<String>().to_lowercase()),
        }
    }
}
