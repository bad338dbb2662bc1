//! Failed authentications, aggregated for the operators' log: one event per address and claimed key a
//! minute, a few keys of each address, and a bounded number in all. What is claimed is the outsider's choice.

use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
use context::{FailureLog, subscriber_network};
use env::Timestamp;
use ids::KeyId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Pairs told apart in one minute; the rest counts together.
const MAX_PAIRS: usize = 1_000;
/// Pairs of one address, or of one IPv6 network, that are told apart; the rest counts for the network.
const MAX_OF_NETWORK: usize = 8;
const REFUSE: Action = Action::new("authentication.refuse");

#[derive(Default)]
struct Minute {
    pairs: HashMap<(Option<IpAddr>, Option<KeyId>), u64>,
    networks: HashMap<Option<IpAddr>, Network>,
    others: u64,
}

/// What failed in one network.
#[derive(Default)]
struct Network {
    pairs: usize,
    others: u64,
}

/// Failures that wait to be written down.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Minute>);

impl FailureLog for Failures {
    fn note(&self, ip: Option<IpAddr>, claimed: Option<KeyId>, _: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(ip, claimed);
    }
}

impl Minute {
    fn note(&mut self, ip: Option<IpAddr>, claimed: Option<KeyId>) {
        if let Some(count) = self.pairs.get_mut(&(ip, claimed)) {
            *count += 1;
            return;
        }
        let network = ip.map(subscriber_network);
        if self.pairs.len() + self.networks.len() >= MAX_PAIRS && !self.networks.contains_key(&network) {
            self.others += 1;
            return;
        }
        let of = self.networks.entry(network).or_default();
        if of.pairs < MAX_OF_NETWORK {
            of.pairs += 1;
            self.pairs.insert((ip, claimed), 1);
        } else {
            of.others += 1;
        }
    }
}

impl Failures {
    /// What has come together since the last time.
    pub(crate) fn take(&self) -> Vec<Draft> {
        let minute = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut drafts: Vec<_> =
            minute.pairs.into_iter().map(|((ip, claimed), count)| draft(ip, claimed, count)).collect();
        for (network, of) in minute.networks.into_iter().filter(|(_, of)| of.others > 0) {
            drafts.push(draft(network, None, of.others));
        }
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

#[cfg(test)]
mod tests {
    use super::{Failures, MAX_OF_NETWORK};
    use audit::event::Draft;
    use context::FailureLog as _;
    use env::{Env, Timestamp};
    use ids::KeyId;

    fn total(drafts: &[Draft]) -> u64 {
        drafts.iter().map(|draft| draft.details["count"].as_u64().unwrap()).sum()
    }

    #[test]
    fn one_address_fills_no_log_whatever_it_claims() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let (env, failures) = (Env::fixed(now, 1).0, Failures::default());
        for number in 0..5_000u32 {
            let ip = format!("2001:db8::{:x}", number % 7).parse().unwrap();
            failures.note(Some(ip), Some(env.id::<KeyId>()), now);
        }
        let (known, ip) = (env.id::<KeyId>(), "192.0.2.1".parse().unwrap());
        for _ in 0..3 {
            failures.note(Some(ip), Some(known), now);
        }
        let drafts = failures.take();
        assert_eq!((drafts.len(), total(&drafts)), (MAX_OF_NETWORK + 2, 5_003));
        let own = drafts.iter().find(|draft| draft.resource.id == known.to_string()).unwrap();
        assert_eq!((own.ip, &own.details["count"]), (Some(ip), &3.into()));
        assert!(failures.take().is_empty());
    }

    #[test]
    fn many_addresses_have_a_bound_too() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let failures = Failures::default();
        for number in 0..20_000u32 {
            failures.note(Some(std::net::Ipv4Addr::from(number).into()), None, now);
        }
        let drafts = failures.take();
        assert!(drafts.len() <= super::MAX_PAIRS, "{}", drafts.len());
        assert_eq!(total(&drafts), 20_000);
    }
}
