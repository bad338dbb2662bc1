//! Writes that look at nothing but what they are about. Those of one transaction are gathered, so that however many
//! callers wait, the database is asked twice: what is there, and to write it all.

use super::Txn;
use super::calls::Calls;
use super::moves::Moves;
use crate::error::Fault;
use futures::try_join;
use store::{Call, CallOutcome, RunUpdate};

/// One of them.
pub(crate) enum Addition {
    /// A call is begun, unless its end is known already.
    Begun(Box<Call>),
    /// A call has ended.
    Ended(Box<(Call, CallOutcome)>),
    /// A run moves.
    Moved(Box<RunUpdate>),
}

/// What is written together.
#[derive(Default)]
pub(super) struct Additions {
    calls: Calls,
    moves: Moves,
    /// For each addition the number of its move, where it is one.
    numbers: Vec<Option<usize>>,
}

impl Additions {
    pub(super) fn add(&mut self, addition: Addition) {
        let number = match addition {
            Addition::Begun(call) => {
                self.calls.begin(*call);
                None
            }
            Addition::Ended(both) => {
                let (call, outcome) = *both;
                self.calls.end(call, outcome);
                None
            }
            Addition::Moved(update) => Some(self.moves.add(*update)),
        };
        self.numbers.push(number);
    }

    /// What each of them comes to, in their order. Those that may be written will be with [`Self::put`].
    pub(super) async fn decide(&mut self, txn: &Txn) -> Result<Vec<Result<(), Fault>>, Fault> {
        if self.numbers.is_empty() {
            return Ok(Vec::new());
        }
        try_join!(self.calls.put(txn), self.moves.look(txn))?;
        self.calls.put_again(txn).await?;
        let mut moves: Vec<_> = self.moves.decide(txn).into_iter().map(Some).collect();
        let outcome = |number: &Option<usize>| match number {
            Some(number) => moves.get_mut(*number).and_then(Option::take).unwrap_or(Err(Fault::Lost)),
            None => Ok(()),
        };
        Ok(self.numbers.iter().map(outcome).collect())
    }

    /// Writes what is left to write.
    pub(super) async fn put(&self, txn: &Txn) -> Result<(), Fault> {
        try_join!(self.calls.sum_up(txn), self.moves.put(txn))?;
        Ok(())
    }
}

impl Addition {
    /// Writes this one, inside a job of its own.
    pub(super) async fn alone(self, txn: &Txn) -> Result<(), Fault> {
        let mut all = Additions::default();
        all.add(self);
        all.decide(txn).await?.into_iter().collect::<Result<(), _>>()?;
        all.put(txn).await
    }
}
