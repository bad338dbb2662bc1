//! The real clock and the real randomness: the one place that touches them.

use env::{Clock, Env, Rng, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroize as _;

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes in")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// How much is asked for at a time: a request takes a few dozen bytes, and asking costs more than they do.
const AT_A_TIME: usize = 1024;
/// What takes more than this, such as a key, asks for itself.
const MOST_FROM_STOCK: usize = 32;

/// The operating system's randomness. No byte of the stock is given twice: what is given is wiped.
struct SystemRng {
    stock: Mutex<Stock>,
}

struct Stock {
    bytes: [u8; AT_A_TIME],
    left: usize,
}

impl Rng for SystemRng {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > MOST_FROM_STOCK {
            return ask(buffer);
        }
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let Stock { bytes, left } = &mut *stock;
        if *left < buffer.len() {
            ask(bytes);
            *left = bytes.len();
        }
        let given = &mut bytes[*left - buffer.len()..*left];
        buffer.copy_from_slice(given);
        given.zeroize();
        *left -= buffer.len();
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the randomness comes in")]
#[expect(clippy::expect_used, reason = "without randomness no key may be made, and nothing may go on")]
fn ask(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system gives no randomness");
}

/// The system's clock and randomness.
pub(crate) fn env() -> Env {
    let stock = Mutex::new(Stock { bytes: [0; AT_A_TIME], left: 0 });
    Env::new(Arc::new(SystemClock), Arc::new(SystemRng { stock }))
}

#[cfg(test)]
mod tests {
    use super::{AT_A_TIME, env};
    use std::collections::HashSet;

    #[test]
    fn nothing_is_given_twice() {
        let env = env();
        let mut seen = HashSet::new();
        for _ in 0..AT_A_TIME {
            assert!(seen.insert(env.random::<16>().to_vec()));
            // Lengths that do not divide the stock, and one that is not from it.
            assert!(seen.insert(env.random::<10>().to_vec()));
            assert!(seen.insert(env.random::<40>().to_vec()));
        }
    }
}
