//! What the worker tells a run.

use super::command::Command;
use super::error::StepError;
use super::event::Event;
use crate::definition::NodeName;
use env::Timestamp;
use money::Usd;
use serde_json::Value;

/// When something happens, and the chance that spreads retries.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: Timestamp,
    /// Random bits.
    pub chance: Chance,
    /// Bytes that may be stored of what steps make; `None` where nothing bounds them.
    pub room: Option<u64>,
}

/// Random bits from outside, so that the engine has none of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below `bound` that differs with `salt` (SplitMix64's mixing, Steele, Lea, Flood 2014).
    pub(super) fn below(self, bound: u64, salt: u64) -> u64 {
        let mut mixed = self.0 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// How an attempt came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It brought an output. For `http` the output is `{"status", "body", …}`, whatever the status: the
    /// engine compares it with what the node expects.
    Succeeded {
        /// What it made.
        output: Value,
        /// What it cost.
        cost: Option<Usd>,
    },
    /// It failed.
    Failed {
        /// Why.
        error: StepError,
        /// Whether another attempt may fare better.
        retryable: bool,
        /// What it cost.
        cost: Option<Usd>,
    },
    /// A limit refused it before it had an effect.
    RateLimited {
        /// When the window has room.
        until: Timestamp,
    },
    /// The budget does not cover it.
    BudgetExceeded {
        /// What is reserved and spent.
        message: String,
    },
    /// The worker that performed it is gone, and nobody knows whether it took effect.
    Unknown,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The run has a slot. A queued run begins; a waiting one goes on if its time has come.
    Admit,
    /// Time passed.
    Tick,
    /// An attempt is over. One that is not under way any more changes nothing.
    Outcome {
        /// Which step.
        node: NodeName,
        /// Which attempt.
        attempt: u32,
        /// How it came out.
        outcome: Outcome,
    },
    /// Somebody cancels the run.
    Cancel,
    /// Somebody lets a run that is over go on from this node, or from every step that failed.
    Retry {
        /// Where from.
        from: Option<NodeName>,
    },
}

/// What follows from an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// To be journaled, in this order, before any command is carried out. Empty: nothing changed.
    pub events: Vec<Event>,
    /// To be carried out then.
    pub commands: Vec<Command>,
}
