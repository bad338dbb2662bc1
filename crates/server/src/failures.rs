//! Failed authentications, aggregated for the operators' log: one event per address and claimed key a
//! minute, and a bounded number of those.

use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
use context::FailureLog;
use env::Timestamp;
use ids::KeyId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Pairs told apart in one minute; the rest counts together.
const MAX_PAIRS: usize = 1_000;
const REFUSE: Action = Action::new("authentication.refuse");

#[derive(Default)]
struct Minute {
    pairs: HashMap<(Option<IpAddr>, Option<KeyId>), u64>,
    others: u64,
}

/// Failures that wait to be written down.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Minute>);

impl FailureLog for Failures {
    fn note(&self, ip: Option<IpAddr>, claimed: Option<KeyId>, _: Timestamp) {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = minute.pairs.contains_key(&(ip, claimed));
        if known || minute.pairs.len() < MAX_PAIRS {
            *minute.pairs.entry((ip, claimed)).or_default() += 1;
        } else {
            minute.others += 1;
        }
    }
}

impl Failures {
    /// What has come together since the last time.
    pub(crate) fn take(&self) -> Vec<Draft> {
        let minute = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut drafts: Vec<_> =
            minute.pairs.into_iter().map(|((ip, claimed), count)| draft(ip, claimed, count)).collect();
        if minute.others > 0 {
            drafts.push(draft(None, None, minute.others));
        }
        drafts
    }
}

fn draft(ip: Option<IpAddr>, claimed: Option<KeyId>, count: u64) -> Draft {
    let id = claimed.map_or_else(|| "unknown".to_owned(), |key| key.to_string());
    let actor = Actor {
        kind: ActorKind::Outsider,
        id: id.clone(),
        on_behalf_of: Vec::new(),
        auth: AuthMethod::Internal,
    };
    let mut draft = Draft::new(actor, REFUSE, Resource { kind: "credential".into(), id }, Outcome::Denied);
    draft.ip = ip;
    draft.details.insert("count".into(), count.into());
    draft
}
