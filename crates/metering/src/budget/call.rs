//! The calls that hold money, by lease, and the last ones that ended, for corrections.

use super::BudgetScope;
use env::Timestamp;
use ids::CallId;
use money::Usd;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Ended calls that are remembered for a late settlement.
const ENDED_KEPT: usize = 4096;

/// What a call holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The call.
    pub call: CallId,
    /// How much it holds.
    pub worst_case: Usd,
    /// When it is charged in full unless it has ended.
    pub lease_until: Timestamp,
    /// When it was reserved; its period is the one it is charged to.
    pub at: Timestamp,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The call.
    pub call: CallId,
    /// How much it had held.
    pub reserved: Usd,
    /// What it is charged.
    pub cost: Usd,
    /// When it was reserved; its period is the one it is charged to.
    pub at: Timestamp,
}

impl Closed {
    /// What the provider billed beyond the reservation.
    pub fn overrun(&self) -> Usd {
        self.cost.minus(self.reserved)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) scopes: Box<[BudgetScope]>,
    pub(super) worst_case: Usd,
    pub(super) lease_until: Timestamp,
    pub(super) at: Timestamp,
}

impl Call {
    pub(super) fn reservation(&self, call: CallId) -> Reservation {
        let Self { worst_case, lease_until, at, .. } = *self;
        Reservation { call, worst_case, lease_until, at }
    }

    pub(super) fn closed(&self, call: CallId, cost: Usd) -> Closed {
        Closed { call, reserved: self.worst_case, cost, at: self.at }
    }
}

#[derive(Clone, Debug)]
struct Ended {
    call: Call,
    charged: Usd,
    settled: bool,
}

/// Calls under way and the last that ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    open: HashMap<CallId, Call>,
    leases: BTreeSet<(Timestamp, CallId)>,
    ended: HashMap<CallId, Ended>,
    /// The ended calls, first to be forgotten first.
    ended_order: VecDeque<CallId>,
}

impl Calls {
    pub(super) fn open(&self) -> impl Iterator<Item = &Call> {
        self.open.values()
    }

    pub(super) fn find_open(&self, call: CallId) -> Option<&Call> {
        self.open.get(&call)
    }

    pub(super) fn open_call(&mut self, id: CallId, call: Call) {
        if self.ended.remove(&id).is_some() {
            self.ended_order.retain(|other| *other != id);
        }
        self.leases.insert((call.lease_until, id));
        self.open.insert(id, call);
    }

    pub(super) fn close(&mut self, id: CallId, charged: Usd, settled: bool) -> Option<Call> {
        let call = self.open.remove(&id)?;
        self.leases.remove(&(call.lease_until, id));
        if self.ended_order.len() >= ENDED_KEPT
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
        self.ended_order.push_back(id);
        self.ended.insert(id, Ended { call: call.clone(), charged, settled });
        Some(call)
    }

    /// An ended call that was not settled yet, with what it had been charged.
    pub(super) fn settle_late(&mut self, id: CallId, cost: Usd) -> Option<(Call, Usd)> {
        let ended = self.ended.get_mut(&id).filter(|ended| !ended.settled)?;
        ended.settled = true;
        let charged = std::mem::replace(&mut ended.charged, cost);
        Some((ended.call.clone(), charged))
    }

    pub(super) fn extend(&mut self, id: CallId, lease_until: Timestamp) -> bool {
        let Some(call) = self.open.get_mut(&id) else { return false };
        self.leases.remove(&(call.lease_until, id));
        call.lease_until = lease_until;
        self.leases.insert((lease_until, id));
        true
    }

    pub(super) fn first_ended(&self, now: Timestamp) -> Option<CallId> {
        self.leases.first().filter(|(until, _)| *until <= now).map(|(_, call)| *call)
    }
}
