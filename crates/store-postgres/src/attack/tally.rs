//! What was tried, and how it ended.

use super::{Attempt, Outcome};
use tokio::time::Instant;
use tokio_postgres::{Error, Row};

/// Not allowed, or not to be found at all.
const REFUSED: [&str; 3] = ["42501", "42P01", "3F000"];

/// The attacks on one kind of isolation so far.
pub(super) struct Tally {
    tier: &'static str,
    since: Instant,
    pub(super) attempts: Vec<Attempt>,
}

impl Tally {
    pub(super) fn new(tier: &'static str) -> Self {
        Self { tier, since: Instant::now(), attempts: Vec::new() }
    }

    /// Notes how an attack ended, which began when the one before had ended.
    pub(super) fn note(
        &mut self,
        statement: &'static str,
        place: impl Into<String>,
        attack: &'static str,
        outcome: Outcome,
    ) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since = Instant::now();
        self.attempts.push(Attempt {
            tier: self.tier,
            statement,
            place: place.into(),
            attack,
            outcome,
            millis,
        });
    }
}

/// Something got through.
pub(super) fn leak(what: impl Into<String>) -> Outcome {
    Outcome::Leak(what.into())
}

/// The code of an error, or why there is none. The text is left out: it may have content in it.
pub(super) fn code(error: &Error) -> &str {
    error.code().map_or("no code", |code| code.code())
}

/// Whether somebody was not let, or did not find it.
pub(super) fn is_refused(error: &Error) -> bool {
    REFUSED.contains(&code(error))
}

/// What a statement found that counts rows which it must not see.
pub(super) fn counted(found: Result<Vec<Row>, Error>) -> Outcome {
    match found {
        Ok(rows) => match rows.first().map(|row| row.try_get::<_, i64>(0)) {
            Some(Ok(0)) => Outcome::Held,
            Some(Ok(1)) => Outcome::Leak("1 row that is another tenant's, or nobody's to see".to_owned()),
            Some(Ok(rows)) => {
                Outcome::Leak(format!("{rows} rows that are another tenant's, or nobody's to see"))
            }
            Some(Err(_)) | None => Outcome::Unattacked("the database gave no number".to_owned()),
        },
        Err(error) if is_refused(&error) => Outcome::Held,
        Err(error) => Outcome::Unattacked(format!("the database answered {}", code(&error))),
    }
}

/// What came of a statement that must be refused.
pub(super) fn refused<T>(tried: Result<T, Error>) -> Outcome {
    match tried {
        Ok(_) => Outcome::Leak("it was carried out".to_owned()),
        Err(error) if is_refused(&error) => Outcome::Held,
        Err(error) => Outcome::Unattacked(format!("the database answered {}", code(&error))),
    }
}
