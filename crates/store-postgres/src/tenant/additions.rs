//! Writes that look at nothing but what they are about. Those of one transaction are gathered, so that they are written
//! at once, however many callers wait.

use super::calls::Calls;
use super::ending::Values;
use super::moves::{Moves, Wanted};
use super::recalled::Facts;
use super::{TenantHandle, Txn};
use crate::error::Fault;
use futures::try_join;
use store::{Call, CallOutcome, RunUpdate, StoredRun};

/// One of them.
pub(crate) enum Addition {
    /// A call is begun, unless its end is known already.
    Begun(Box<Call>),
    /// A call has ended.
    Ended(Box<(Call, CallOutcome)>),
    /// A run is made, where the tenant may store so much.
    Made(Box<StoredRun>, Option<u64>),
    /// A run moves.
    Moved(Box<RunUpdate>),
}

/// What is written together.
#[derive(Default)]
pub(super) struct Additions<'a> {
    calls: Calls<'a>,
    moves: Moves<'a>,
    /// For each addition the number of its move, where it is one.
    numbers: Vec<Option<usize>>,
}

impl<'a> Additions<'a> {
    pub(super) fn add(&mut self, addition: &'a Addition) {
        let number = match addition {
            Addition::Begun(call) => {
                self.calls.begin(call);
                None
            }
            Addition::Ended(both) => {
                let (call, outcome) = &**both;
                self.calls.end(call, outcome);
                None
            }
            Addition::Made(run, limit) => Some(self.moves.add(Wanted::Made(run, *limit))),
            Addition::Moved(update) => Some(self.moves.add(Wanted::Moved(update))),
        };
        self.numbers.push(number);
    }

    /// Whether nothing needs to be read first.
    pub(super) fn are_known(&self, facts: &Facts) -> bool {
        self.calls.are_known(facts) && self.moves.are_known(facts)
    }

    /// Whether one of them makes something that is looked after.
    pub(super) fn keep_data(&self) -> bool {
        self.moves.make_runs()
    }

    /// Reads what they are about and is not recalled.
    pub(super) async fn look(&mut self, txn: &Txn, facts: &mut Facts) -> Result<(), Fault> {
        let Facts { sums, runs } = facts;
        try_join!(self.calls.look(txn, sums), self.moves.look(txn, runs))?;
        Ok(())
    }

    /// What each of them comes to, in their order, and what the tenant stores then. Those that may be written will be
    /// with [`Self::write`].
    pub(super) fn decide(
        &mut self,
        handle: &TenantHandle,
        facts: &mut Facts,
        stored: i64,
    ) -> (Vec<Result<(), Fault>>, i64) {
        self.calls.sum_up(facts);
        let (moves, stored) = self.moves.decide(handle, facts, stored);
        let mut moves: Vec<_> = moves.into_iter().map(Some).collect();
        let outcome = |number: &Option<usize>| match number {
            Some(number) => moves.get_mut(*number).and_then(Option::take).unwrap_or(Err(Fault::Lost)),
            None => Ok(()),
        };
        (self.numbers.iter().map(outcome).collect(), stored)
    }

    /// Whether some are outcomes of calls that have one.
    pub(super) fn any_again(&self) -> bool {
        self.calls.any_again()
    }

    /// What is written.
    pub(super) fn write(&mut self, handle: &TenantHandle, values: &mut Values) -> Result<(), Fault> {
        self.calls.write(handle, values)?;
        std::mem::take(&mut self.moves).write(values);
        Ok(())
    }

    /// Looks after the outcomes of calls that have one, when all else is written.
    pub(super) async fn put_again(&self, txn: &Txn) -> Result<(), Fault> {
        self.calls.put_again(txn).await
    }
}
