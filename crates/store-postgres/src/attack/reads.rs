//! Reading: statements that forget whose rows they are to read, and transactions that are bound to nothing, or to what
//! is no token. Each is tried on every table.

use super::ground::{Ground, tried};
use super::tally::{Tally, counted};
use super::Outcome;
use crate::init::SetupError;
use secret::SecretText;

/// What a transaction says whose it is.
#[derive(Clone, Copy)]
enum Said {
    /// Nothing.
    Nothing,
    /// The attacker's token.
    Own,
    /// The victim's id alone.
    Bare,
    /// The victim's id under the code of the attacker's token.
    Spliced,
    /// A token of the victim's that has ended.
    Ended,
    /// The victim's token with another end than was signed.
    Prolonged,
    /// A right token of the victim's that holds for longer than a minute.
    TooLong,
    /// The victim's token without its last digit.
    Cut,
}

/// A statement that counts rows which it must not see. `{t}` is a table that the attacker's role can name, `{own}` the
/// attacker's id.
struct Read {
    statement: &'static str,
    attack: &'static str,
    said: Said,
    sql: &'static str,
}

const fn read(statement: &'static str, attack: &'static str, said: Said, sql: &'static str) -> Read {
    Read { statement, attack, said, sql }
}

/// No row at all is to be seen. A leak of a large table is not counted to its end.
const ANY: &str = "SELECT count(*) FROM (SELECT 1 FROM {t} LIMIT 100000) AS it";
/// No row of others is to be seen.
const OTHERS: &str =
    "SELECT count(*) FILTER (WHERE tenant_id <> '\\x{own}') FROM (SELECT tenant_id FROM {t} LIMIT 100000) AS it";

const READS: &[Read] = &[
    read("SELECT", "the filter by tenant is forgotten", Said::Own, OTHERS),
    read("SELECT", "the transaction says no tenant", Said::Nothing, ANY),
    read("SELECT", "the transaction says the victim's id and proves nothing", Said::Bare, ANY),
    read("SELECT", "the victim's id under the code of another token", Said::Spliced, ANY),
    read("SELECT", "a token that has ended is shown again", Said::Ended, ANY),
    read("SELECT", "a token with a later end than was signed", Said::Prolonged, ANY),
    read("SELECT", "a token that holds for longer than the database takes", Said::TooLong, ANY),
    read("SELECT", "a token that lacks its last digit", Said::Cut, ANY),
];

pub(super) async fn attack(ground: &Ground<'_>, tally: &mut Tally) -> Result<(), SetupError> {
    let client = ground.attacker.link.connect().await?;
    for (table, missing) in &ground.tables {
        let place = format!("{}.{table}", ground.attacker.schema);
        for Read { statement, attack, said, sql } in READS {
            let sql = sql.replace("{t}", &place).replace("{own}", &ground.attacker.hex);
            let outcome = match missing {
                Some(reason) => Outcome::Unattacked(reason.clone()),
                None => counted(tried(&client, said.token(ground).as_ref(), &[], &sql).await),
            };
            tally.note(statement, ground.place(table), attack, outcome);
        }
    }
    Ok(())
}

impl Said {
    fn token(self, ground: &Ground<'_>) -> Option<SecretText> {
        let (own, victims) = (ground.attacker.token(), ground.victim.token());
        let (own, victims) = (own.expose(), victims.expose());
        let victim = &ground.victim.hex;
        Some(match self {
            Self::Nothing => return None,
            Self::Own => ground.attacker.token(),
            Self::Bare => SecretText::new(victim.clone()),
            Self::Spliced => SecretText::new(format!("{victim}{}", own.get(victim.len()..)?)),
            Self::Ended => ground.victim.ending_in(-1),
            Self::Prolonged => {
                let (said, code) = victims.rsplit_once('.')?;
                let (id, end) = said.split_once('.')?;
                SecretText::new(format!("{id}.{}.{code}", end.parse::<i64>().ok()? + 1))
            }
            Self::TooLong => ground.victim.ending_in(600_000),
            Self::Cut => SecretText::new(victims.get(..victims.len() - 1)?.to_owned()),
        })
    }
}
