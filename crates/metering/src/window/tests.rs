//! What a window must hold, whatever happens in it and to the clock.

use super::{RequestRate, SlidingWindow, Standing, Window};
use env::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

fn window(limit: u64, seconds: u64) -> SlidingWindow {
    SlidingWindow::new(Window { limit: Some(limit), span: Duration::from_secs(seconds) })
}

#[test]
fn a_fresh_window_tells_limit_and_rest() {
    let mut hour = SlidingWindow::new(Window::hourly(Some(100)));
    let first = hour.try_take(at(0), 1).unwrap();
    assert_eq!(first, Standing { limit: Some(100), remaining: Some(99), reset_seconds: 3600 });
    assert_eq!(hour.standing(at(1_800_000)).reset_seconds, 1810);
}

#[test]
fn the_border_cannot_be_burst_twice() {
    let mut hour = window(10, 3600);
    let late_in_the_hour = 3_599_000;
    for _ in 0..10 {
        hour.try_take(at(late_in_the_hour), 1).unwrap();
    }
    assert!(hour.try_take(at(late_in_the_hour + 2_000), 1).is_err());
    assert!(hour.try_take(at(late_in_the_hour + 3_600_000 + 10_000), 10).is_ok());
}

#[test]
fn refusals_use_nothing_and_say_when() {
    let mut hour = window(5, 3600);
    hour.try_take(at(0), 3).unwrap();
    hour.try_take(at(60_000), 2).unwrap();
    let refusal = hour.try_take(at(90_000), 4).unwrap_err();
    assert_eq!((refusal.limit, refusal.remaining), (5, 0));
    assert_eq!(refusal.retry_after_seconds, 3600 + 70 - 90);
    assert_eq!(hour.standing(at(90_000)).remaining, Some(0));
    assert_eq!(hour.try_take(at(90_000), 6).unwrap_err().retry_after_seconds, 3600);
    assert_eq!(window(0, 60).try_take(at(0), 1).unwrap_err().retry_after_seconds, 60);
}

#[test]
fn unlimited_still_counts_for_a_later_limit() {
    let mut hour = SlidingWindow::new(Window::hourly(None));
    assert_eq!(hour.try_take(at(0), 7).unwrap().remaining, None);
    hour.set_limit(Some(7));
    assert!(hour.try_take(at(1), 1).is_err());
}

#[test]
fn a_leap_of_the_clock_heals() {
    let mut hour = window(1, 3600);
    let century = 3_155_760_000_000;
    hour.try_take(at(century), 1).unwrap();
    assert!(hour.try_take(at(0), 1).is_err(), "nothing becomes free early");
    assert!(hour.try_take(at(3_600_000 + 10_000), 1).is_ok(), "and nothing is blocked for a century");
}

#[test]
fn restoring_gives_the_same_window() {
    let mut hour = window(50, 3600);
    for minute in 0..40 {
        hour.try_take(at(minute * 60_000), 1).unwrap();
    }
    let mut restored = window(50, 3600);
    for (when, amount) in hour.uses() {
        restored.record(when, amount);
    }
    assert_eq!(restored.standing(at(2_500_000)), hour.standing(at(2_500_000)));
    assert!(!hour.is_idle(at(2_500_000)) && hour.is_idle(at(10_000_000)));
}

#[test]
fn a_rate_of_requests_has_one_second_of_burst() {
    let mut rate = RequestRate::new(Some(5), at(0));
    let admitted = (0..20).filter(|_| rate.try_take(at(0)).is_ok()).count();
    assert_eq!(admitted, 5);
    assert!(rate.try_take(at(199)).is_err() && rate.try_take(at(200)).is_ok());
    assert!(rate.try_take(at(100)).is_err(), "a step back refills nothing");
    assert!(rate.is_idle(at(5_000)));
    assert!(RequestRate::new(Some(0), at(0)).try_take(at(9_000)).is_err());
    assert!(RequestRate::new(None, at(0)).try_take(at(0)).is_ok());
}

/// Moments that go on by up to 30 s, and sometimes back by less than a window, each with an amount.
fn uses() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![8 => 0i64..30_000, 1 => -50_000i64..0];
    prop::collection::vec((step, 0u64..4), 1..300)
}

proptest! {
    #[test]
    fn no_span_holds_more_than_the_limit(uses in uses(), limit in 0u64..12, seconds in 60u64..400) {
        let span = i64::try_from(seconds).unwrap() * 1000;
        let mut window = window(limit, seconds);
        let mut now = 0;
        let mut latest = i64::MIN;
        let mut admitted: Vec<(i64, u64)> = Vec::new();
        for (step, amount) in uses {
            now = (now + step).max(latest.saturating_sub(span));
            latest = latest.max(now);
            if window.try_take(at(now), amount).is_ok() {
                admitted.push((latest, amount));
            }
        }
        for (start, _) in &admitted {
            let held: u64 = admitted
                .iter()
                .filter(|(moment, _)| (*start..=*start + span).contains(moment))
                .map(|(_, amount)| amount)
                .sum();
            prop_assert!(held <= limit, "{held} in the span from {start}");
        }
    }

    #[test]
    fn what_was_refused_fits_after_the_wait(uses in uses(), limit in 1u64..12, seconds in 60u64..400) {
        let mut window = window(limit, seconds);
        let mut now = 0;
        for (step, amount) in uses {
            now += step.max(0);
            if let Err(refusal) = window.try_take(at(now), amount) {
                prop_assert!(refusal.retry_after_seconds >= 1);
                if amount <= limit {
                    now += i64::try_from(refusal.retry_after_seconds).unwrap() * 1000;
                    prop_assert!(window.try_take(at(now), amount).is_ok());
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded_by_the_steps(moments in prop::collection::vec(0i64..100_000_000, 1..2000)) {
        let mut hour = SlidingWindow::new(Window::hourly(None));
        let mut ordered = moments;
        ordered.sort_unstable();
        for moment in ordered {
            let _ = hour.try_take(at(moment), 1);
            prop_assert!(hour.uses().count() <= 362);
        }
    }

    #[test]
    fn a_rate_holds_in_every_span(steps in prop::collection::vec(0i64..400, 1..300), rate in 1u64..20) {
        let mut bucket = RequestRate::new(Some(rate), at(0));
        let mut now = 0;
        let mut admitted: Vec<i64> = Vec::new();
        for step in steps {
            now += step;
            match bucket.try_take(at(now)) {
                Ok(_) => admitted.push(now),
                Err(refusal) => {
                    let mut later = bucket.clone();
                    let wait = i64::try_from(refusal.retry_after_seconds).unwrap() * 1000;
                    prop_assert!(later.try_take(at(now + wait)).is_ok());
                }
            }
        }
        for (index, start) in admitted.iter().enumerate() {
            for (count, end) in admitted[index..].iter().enumerate() {
                let millis = u64::try_from(end - start).unwrap();
                prop_assert!((count as u64 + 1) * 1000 <= rate * (millis + 1000) + 999);
            }
        }
    }
}
