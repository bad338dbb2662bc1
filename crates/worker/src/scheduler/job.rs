//! What passes between the scheduler and drivers.

use crate::claims::Asked;
use app::dispatch::Order;
use env::Timestamp;
use errors::Problem;
use ids::{RunId, TenantId};
use std::num::NonZeroU32;
use store::{RunStatus, Wanted};
use tokio::sync::{mpsc, oneshot};

/// Orders that wait for one driver.
const ORDERS_AHEAD: usize = 16;

/// A run to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) tenant: TenantId,
    pub(crate) run: RunId,
    /// For whom.
    pub(crate) behalf: Option<String>,
}

/// A driver that ended without a word.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) job: Job,
    pub(crate) held: bool,
    pub(crate) broken: Option<Broken>,
}

/// What a driver is told.
pub(crate) enum Control {
    /// To do this and say when it is durable.
    Order(Box<Order>, oneshot::Sender<Result<RunStatus, Problem>>),
    /// To begin no further step and to end when those under way have.
    Park,
    /// To end at once.
    Stop,
}

/// A driver's beginning.
pub(crate) struct Start {
    pub(crate) job: Job,
    /// Whether it holds one of the tenant's places, so that the run may go on.
    pub(crate) held: bool,
    /// Whether there is a place for it in any case, and not only where no other tenant's turn comes first.
    pub(crate) certain: bool,
    /// How many of the tenant's runs may be carried out at once, wherever that is.
    pub(crate) at_once: u64,
    /// The tenant's share where its runs compete with others'.
    pub(crate) weight: NonZeroU32,
    /// What was asked for it.
    pub(crate) asked: Option<Asked>,
    /// How often it could not be carried out for a reason that lies in the run, and the last of these.
    pub(crate) broken: Option<Broken>,
    pub(crate) first: Option<Control>,
    pub(crate) controls: mpsc::Receiver<Control>,
}

impl Start {
    /// What is to be asked for, where it needs a lease to begin.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let Job { tenant, run, .. } = self.job;
        let (at_once, weight, certain) = (self.at_once, self.weight, self.certain);
        self.held.then_some(Wanted { tenant, run, at_once, weight, certain })
    }
}

/// What can be started now, and for how many of it there is a place beside what has one for certain.
pub(crate) struct Round {
    pub(crate) starts: Vec<Start>,
    pub(crate) places: usize,
}

/// That a run could not be carried out for a reason that lies in the run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// How often in a row.
    pub(crate) times: u32,
    /// Why, for people.
    pub(crate) reason: &'static str,
}

impl Broken {
    /// Tries after which a run is given up.
    pub(crate) const MOST: u32 = 5;

    /// Once more than before.
    pub(crate) fn again(before: Option<Self>, reason: &'static str) -> Self {
        Self { times: before.map_or(0, |before| before.times) + 1, reason }
    }
}

/// How a driver leaves its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is over, or gone.
    Over,
    /// It waits for a place.
    Queued,
    /// It waits for a time.
    Waiting(Timestamp),
    /// The place that it would have had went to another tenant's run, whose turn it was.
    OthersTurn,
    /// As many of its tenant's runs are carried out, here and elsewhere, as may be.
    Full,
    /// Somebody else has it.
    Elsewhere,
    /// Its tenant is suspended.
    Suspended,
    /// It could not be carried out for a fault of ours that passes.
    Later,
    /// It could not be carried out for a reason that lies in the run, and is given up in the end.
    Broken(&'static str),
}

/// The two ends by which a driver is told something.
pub(super) fn controls() -> (mpsc::Sender<Control>, mpsc::Receiver<Control>) {
    mpsc::channel(ORDERS_AHEAD)
}
