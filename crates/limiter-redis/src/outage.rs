//! [`Outage`]: whether there is no Redis, for sure and for long enough, and what this server admits meanwhile.
//!
//! That Redis cannot be reached from here proves nothing: others may count in it, and then a share of what is left would
//! be theirs as well. That its address refuses connections proves that nothing listens there. Shares hold while that
//! has been seen over and over: long enough for the rows of all calls to be written that were admitted before, and never
//! longer ago than servers wait for each other when Redis is back.

use crate::share::Share;
use ids::{CallId, TenantId};
use limiter::LimiterUnavailable;
use metering::budget::Closed;
use money::Usd;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How many tenants have shares at most.
const MOST: usize = 100_000;

/// What is to be done with a call that Redis cannot be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its tenant's share may be taken from.
    Share,
    /// It is not sure yet.
    NotYet,
    /// Nothing may be admitted before Redis is back.
    Refuse,
}

/// One tenant's share, reckoned by one caller for all.
pub(crate) type Slot = Arc<OnceCell<Mutex<Share>>>;

#[derive(Default)]
struct State {
    /// Over which connection Redis was reached last.
    connection: u64,
    /// Whether this server has counted in Redis since it last had shares, or began.
    counted: bool,
    /// Since when and when last the address was seen to refuse connections.
    refused: Option<(Instant, Instant)>,
    shares: HashMap<TenantId, Slot>,
    /// Whether a task looks for Redis.
    watched: bool,
}

impl State {
    /// Nothing more is admitted on them; what was is told to Redis when it is back.
    fn end_shares(&mut self) {
        self.shares.clear();
        self.counted = false;
    }
}

/// What is known of an outage.
pub(crate) struct Outage {
    /// How long rows may take to be written.
    grace: Duration,
    /// How long ago a refusal still proves something.
    proof: Duration,
    state: Mutex<State>,
}

impl Outage {
    pub(crate) fn new(grace: Duration, proof: Duration) -> Self {
        Self { grace, proof, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis is reached over this connection: shares end before it is told of the calls that began on them.
    pub(crate) fn over(&self, connection: u64) {
        let mut state = self.state();
        state.end_shares();
        (state.connection, state.refused) = (connection, None);
    }

    /// A tenant's state was there, over this connection: all servers have come back, or had the time to.
    pub(crate) fn counted(&self, connection: u64) {
        let mut state = self.state();
        if state.connection == connection {
            state.counted = true;
        }
    }

    /// A connection could not be made: it was refused, or something else stood in the way.
    pub(crate) fn failed(&self, refused: bool, now: Instant) {
        let mut state = self.state();
        let went_on = state.refused.filter(|(_, last)| now.duration_since(*last) <= self.proof);
        state.refused = refused.then(|| (went_on.map_or(now, |(first, _)| first), now));
        // It may have been there in between, and others may have counted.
        if (!refused || went_on.is_none()) && !state.shares.is_empty() {
            state.end_shares();
        }
        if !refused {
            state.counted = false;
        }
    }

    /// Whether the address refused connections when it was last tried.
    pub(crate) fn is_under_way(&self) -> bool {
        self.state().refused.is_some()
    }

    /// What is to be done now.
    pub(crate) fn verdict(&self, now: Instant) -> Verdict {
        self.verdict_of(&self.state(), now)
    }

    fn verdict_of(&self, state: &State, now: Instant) -> Verdict {
        match state.refused {
            _ if !state.counted => Verdict::Refuse,
            Some((first, last))
                if now.duration_since(first) >= self.grace && now.duration_since(last) <= self.proof =>
            {
                Verdict::Share
            }
            _ => Verdict::NotYet,
        }
    }

    /// The tenant's share, to be reckoned where nobody has.
    pub(crate) fn slot(&self, tenant: TenantId, now: Instant) -> Result<Slot, LimiterUnavailable> {
        let mut state = self.state();
        let full = state.shares.len() >= MOST && !state.shares.contains_key(&tenant);
        if full || self.verdict_of(&state, now) != Verdict::Share {
            return Err(LimiterUnavailable::ForNow);
        }
        Ok(state.shares.entry(tenant).or_default().clone())
    }

    /// Works with the tenant's share, where it has one that holds.
    pub(crate) fn with<R>(&self, tenant: TenantId, work: impl FnOnce(&mut Share) -> R) -> Option<R> {
        let slot = self.state().shares.get(&tenant).cloned()?;
        let share = slot.get()?;
        Some(work(&mut share.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends a call that began on a share.
    pub(crate) fn close(&self, tenant: TenantId, call: CallId, cost: Option<Usd>) -> Option<Closed> {
        self.with(tenant, |share| share.close(call, cost)).flatten()
    }

    /// Nothing more is admitted of a tenant whose calls were forgotten.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.with(tenant, Share::end);
    }

    /// Whether somebody has to begin to look for Redis.
    pub(crate) fn is_to_be_watched(&self) -> bool {
        !std::mem::replace(&mut self.state().watched, true)
    }

    /// Nobody looks for Redis any more.
    pub(crate) fn watched(&self) {
        self.state().watched = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{Outage, Verdict};
    use std::time::Duration;
    use tokio::time::Instant;

    const GRACE: Duration = Duration::from_secs(2);
    const PROOF: Duration = Duration::from_secs(1);

    fn outage() -> (Outage, Instant) {
        (Outage::new(GRACE, PROOF), Instant::now())
    }

    #[test]
    fn only_refusals_that_go_on_lead_to_shares() {
        let (outage, begin) = outage();
        let at = |millis| begin + Duration::from_millis(millis);
        outage.over(1);
        outage.failed(true, at(0));
        assert_eq!(outage.verdict(at(3000)), Verdict::Refuse, "who never counted knows nothing");
        outage.over(2);
        outage.counted(1);
        assert_eq!(outage.verdict(at(0)), Verdict::Refuse, "what an older connection told");
        outage.counted(2);
        for millis in (0..2000).step_by(500) {
            outage.failed(true, at(millis));
            assert_eq!(outage.verdict(at(millis)), Verdict::NotYet);
        }
        outage.failed(true, at(2000));
        assert_eq!(outage.verdict(at(2100)), Verdict::Share);
        assert_eq!(outage.verdict(at(3100)), Verdict::NotYet, "the proof is too old");
        // It begins again, as nobody looked in between.
        outage.failed(true, at(3200));
        assert_eq!(outage.verdict(at(3300)), Verdict::NotYet);
        // What cannot be reached may be there.
        outage.failed(false, at(3300));
        outage.failed(true, at(3400));
        outage.failed(true, at(4400));
        outage.failed(true, at(5400));
        assert_eq!(outage.verdict(at(5400)), Verdict::Refuse);
    }

    #[test]
    fn a_share_is_had_once_in_an_outage() {
        use ids::Id as _;
        let tenant = ids::TenantId::from_parts(1, [1; 10]);
        let (outage, begin) = outage();
        let at = |millis| begin + Duration::from_millis(millis);
        outage.over(1);
        outage.counted(1);
        for millis in [0, 1000, 2000] {
            outage.failed(true, at(millis));
        }
        outage.slot(tenant, at(2000)).unwrap();
        // Nobody looked for so long that it may have been there.
        for millis in [4000, 5000, 6000] {
            outage.failed(true, at(millis));
        }
        assert!(outage.slot(tenant, at(6000)).is_err());
        outage.over(2);
        assert!(outage.slot(tenant, at(6000)).is_err());
    }
}
