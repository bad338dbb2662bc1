//! A circuit breaker: after several failures in a row an endpoint is left alone for a moment, then tried
//! with one call at a time until one succeeds. Pure: every moment is an argument.

use env::Timestamp;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// How many failures in a row open it.
    pub failures: u32,
    /// How far apart, at most, two failures are of one row, in milliseconds.
    pub within_ms: i64,
    /// For how long it stays open, in milliseconds.
    pub open_ms: i64,
    /// After how long a trial that told nothing is given up, in milliseconds.
    pub trial_ms: i64,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self { failures: 5, within_ms: 60_000, open_ms: 10_000, trial_ms: 120_000 }
    }
}

/// How a call ended, as far as the endpoint's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered as it should, or refused with reason.
    Healthy,
    /// It failed.
    Failed,
    /// The call tells nothing of it: the caller went away, say.
    Unknown,
}

/// The circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Milliseconds until the next try is allowed.
    pub retry_after_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32, last: Timestamp },
    Open { since: Timestamp },
    Trying { since: Timestamp },
}

/// The state of one circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    rule: BreakerRule,
    state: State,
}

impl Breaker {
    /// A closed circuit.
    pub fn new(rule: BreakerRule) -> Self {
        Self { rule, state: State::Closed { failures: 0, last: Timestamp::from_millis(0) } }
    }

    /// Whether nothing speaks against the endpoint, so that this breaker need not be remembered.
    pub fn is_spotless(&self) -> bool {
        matches!(self.state, State::Closed { failures: 0, .. })
    }

    /// Whether a call may go out at `now`. An open circuit whose time is over lets one through.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Open> {
        let (since, wait) = match self.state {
            State::Closed { .. } => return Ok(()),
            State::Open { since } => (since, self.rule.open_ms),
            State::Trying { since } => (since, self.rule.trial_ms),
        };
        let waited = now.millis().saturating_sub(since.millis());
        // A clock that was set back must not keep the circuit open for as long as it went back.
        if (0..wait).contains(&waited) {
            return Err(Open { retry_after_ms: wait - waited });
        }
        self.state = State::Trying { since: now };
        Ok(())
    }

    /// Notes how a call ended at `now`.
    pub fn note(&mut self, now: Timestamp, verdict: Verdict) {
        self.state = match (self.state, verdict) {
            (_, Verdict::Healthy) => State::Closed { failures: 0, last: now },
            (State::Closed { failures, last }, Verdict::Failed) => {
                let apart = now.millis().saturating_sub(last.millis());
                let failures = if apart <= self.rule.within_ms { failures.saturating_add(1) } else { 1 };
                if failures >= self.rule.failures {
                    State::Open { since: now }
                } else {
                    State::Closed { failures, last: now }
                }
            }
            (State::Trying { .. }, Verdict::Failed) => State::Open { since: now },
            // A call that was under way when the circuit opened does not lengthen the pause.
            (State::Open { since }, Verdict::Failed) => State::Open { since },
            // The next call may try at once.
            (State::Trying { since }, Verdict::Unknown) => State::Open {
                since: Timestamp::from_millis(since.millis().saturating_sub(self.rule.open_ms)),
            },
            (state, Verdict::Unknown) => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerRule, Open, Verdict};
    use env::Timestamp;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + millis)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(BreakerRule::default());
        for millis in 0..5 {
            breaker.admit(at(millis)).unwrap();
            breaker.note(at(millis), Verdict::Failed);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_closes_it() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(1004)), Err(Open { retry_after_ms: 9000 }));
        assert_eq!(breaker.admit(at(10_004)), Ok(()));
        assert!(breaker.admit(at(10_005)).is_err(), "one trial at a time");
        breaker.note(at(10_006), Verdict::Healthy);
        assert!(breaker.is_spotless() && breaker.admit(at(10_007)).is_ok());
    }

    #[test]
    fn a_failed_trial_opens_it_again_and_an_abandoned_one_lets_the_next_try() {
        let mut breaker = opened();
        breaker.admit(at(10_004)).unwrap();
        breaker.note(at(10_100), Verdict::Failed);
        assert_eq!(breaker.admit(at(10_101)), Err(Open { retry_after_ms: 9999 }));
        breaker.admit(at(20_100)).unwrap();
        breaker.note(at(20_200), Verdict::Unknown);
        assert_eq!(breaker.admit(at(20_201)), Ok(()));
        assert!(breaker.admit(at(20_202)).is_err());
        assert_eq!(breaker.admit(at(20_201 + 120_000)), Ok(()), "a trial that never reports is given up");
    }

    #[test]
    fn scattered_failures_do_not_open_it() {
        let mut breaker = Breaker::new(BreakerRule::default());
        for round in 0..100 {
            breaker.note(at(round * 61_000), Verdict::Failed);
            assert!(breaker.admit(at(round * 61_000)).is_ok());
        }
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        assert_eq!(opened().admit(at(-3_600_000)), Ok(()));
    }

    proptest! {
        #[test]
        fn it_is_never_shut_for_longer_than_its_rule(steps in proptest::collection::vec((0i64..200_000, 0u8..3), 0..60)) {
            let rule = BreakerRule::default();
            let mut breaker = Breaker::new(rule);
            let mut now = 0;
            for (pause, verdict) in steps {
                now += pause;
                if let Err(open) = breaker.admit(at(now)) {
                    prop_assert!((1..=rule.trial_ms).contains(&open.retry_after_ms));
                    prop_assert_eq!(breaker.admit(at(now + open.retry_after_ms)), Ok(()));
                }
                let verdict = [Verdict::Healthy, Verdict::Failed, Verdict::Unknown][usize::from(verdict)];
                breaker.note(at(now), verdict);
            }
        }
    }
}
