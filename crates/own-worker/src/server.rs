//! [`Server`]: the servers of the deployment, of which one is asked after the other.

use client::{Answer, BaseUrl, CallError, Client, Refusal};
use errors::{Code, Problem};
use http::Method;
use secret::SecretText;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use url::{Host, Url};

/// Why an address is no server's that may be asked.
#[derive(Debug, thiserror::Error)]
pub enum UnfitServer {
    /// No address.
    #[error("`{0}` is not a server's address such as https://tenantry.example")]
    Malformed(String),
    /// The token and the tenant's content would cross a network in plaintext.
    #[error("`{0}` would be asked in plaintext, which is for the same machine alone: take https")]
    Plaintext(String),
    /// There is none.
    #[error("no server is named")]
    None,
}

/// The servers, and the token that questions carry. Clones are the same.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    all: Vec<Client>,
    /// The one that answered last.
    current: AtomicUsize,
}

impl Server {
    /// The servers at these addresses.
    pub fn new(addresses: &[String], token: &SecretText) -> Result<Self, UnfitServer> {
        let all = addresses.iter().map(|text| Ok(Client::new(checked(text)?).with_key(token.clone())));
        let all: Vec<Client> = all.collect::<Result<_, UnfitServer>>()?;
        if all.is_empty() {
            return Err(UnfitServer::None);
        }
        Ok(Self(Arc::new(Inner { all, current: AtomicUsize::new(0) })))
    }

    /// Asks the server that answered last. Where it cannot be reached it is the next one's turn, from the next question on:
    /// this one may have been heard.
    pub(crate) async fn ask(
        &self,
        (method, path): (Method, &str),
        body: Option<&impl Serialize>,
        time: Duration,
    ) -> Result<Answer, CallError> {
        let at = self.0.current.load(Ordering::Relaxed);
        let client = self.0.all.get(at % self.0.all.len()).ok_or_else(|| unexpected("no server"))?;
        let call = client.call(method, path).within(time);
        let call = match body {
            Some(body) => call.json(body)?,
            None => call,
        };
        let answer = call.send().await;
        let no_server = |answer: &Answer| matches!(answer.status.as_u16(), 502..=504);
        if answer.as_ref().map_or(true, no_server) {
            // Another question may have gone on already.
            let _ = self.0.current.compare_exchange(at, at + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
        answer
    }
}

fn unexpected(what: &str) -> CallError {
    CallError::Unexpected(what.to_owned())
}

/// An address across a network has to be of TLS.
fn checked(text: &str) -> Result<BaseUrl, UnfitServer> {
    let malformed = || UnfitServer::Malformed(text.to_owned());
    let base: BaseUrl = text.parse().map_err(|_| malformed())?;
    let url = Url::parse(text).map_err(|_| malformed())?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !here {
        return Err(UnfitServer::Plaintext(text.to_owned()));
    }
    Ok(base)
}

/// The problem that a refusal is, as the same step would meet it in a server.
pub(crate) fn problem(answer: Answer) -> Problem {
    let after = answer.header("retry-after").and_then(|text| text.parse().ok());
    match answer.accepted() {
        Err(CallError::Refused(refusal)) => of_refusal(*refusal, after),
        Ok(_) | Err(_) => Problem::internal(),
    }
}

fn of_refusal(refusal: Refusal, after: Option<u64>) -> Problem {
    let code = Code::parse(&refusal.code).unwrap_or(Code::Unavailable);
    let mut problem = Problem::new(code, refusal.detail);
    problem.retry_after = after;
    for (name, value) in refusal.members.as_object().into_iter().flatten() {
        // What every problem has is put there anew.
        if !["type", "title", "status", "code", "detail", "request_id"].contains(&name.as_str()) {
            problem.members.insert(name.clone(), value.clone());
        }
    }
    problem
}

/// What a step meets where no server answers.
pub(crate) fn unanswered(error: &CallError) -> Problem {
    tracing::warn!(%error, "no server answers");
    Problem::new(Code::Unavailable, "No server answers the tenant's own worker.").retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::{Server, UnfitServer};
    use secret::SecretText;

    fn of(address: &str) -> Result<Server, UnfitServer> {
        Server::new(&[address.to_owned()], &SecretText::new("token".to_owned()))
    }

    #[test]
    fn nothing_crosses_a_network_in_plaintext() {
        for address in
            ["http://127.0.0.1:7070", "http://[::1]:7070", "http://localhost:1", "https://tenantry.example"]
        {
            assert!(of(address).is_ok(), "{address}");
        }
        for address in ["http://tenantry.example", "http://10.0.0.1:7070", "http://localhost.example:1"] {
            assert!(matches!(of(address), Err(UnfitServer::Plaintext(_))), "{address}");
        }
        assert!(matches!(of("tenantry"), Err(UnfitServer::Malformed(_))));
        assert!(matches!(Server::new(&[], &SecretText::new("t".to_owned())), Err(UnfitServer::None)));
    }
}
