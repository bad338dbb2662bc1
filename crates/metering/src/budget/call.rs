//! The calls that hold money, by lease, and the last ones that ended unsettled, for corrections.

use super::BudgetScope;
use env::Timestamp;
use ids::CallId;
use money::Usd;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Calls that ended without a settlement and are remembered for a late one.
const ENDED_KEPT: usize = 1024;

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
}

/// Calls under way, and the last that ended without being settled.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    open: HashMap<CallId, Call>,
    leases: BTreeSet<(Timestamp, CallId)>,
    ended: HashMap<CallId, Ended>,
    /// The ended calls, first to be forgotten first; one that was settled late stays until its turn.
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
        self.leases.insert((call.lease_until, id));
        self.open.insert(id, call);
    }

    /// Takes out a call that holds.
    pub(super) fn close(&mut self, id: CallId) -> Option<Call> {
        let call = self.open.remove(&id)?;
        self.leases.remove(&(call.lease_until, id));
        Some(call)
    }

    /// Remembers an unsettled call with what it was charged.
    pub(super) fn remember(&mut self, id: CallId, call: Call, charged: Usd) {
        if self.ended.insert(id, Ended { call, charged }).is_some() {
            return;
        }
        self.ended_order.push_back(id);
        if self.ended_order.len() > ENDED_KEPT
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    /// Takes out an unsettled call with what it had been charged.
    pub(super) fn recall(&mut self, id: CallId) -> Option<(Call, Usd)> {
        self.ended.remove(&id).map(|ended| (ended.call, ended.charged))
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
