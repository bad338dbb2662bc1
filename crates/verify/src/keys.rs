//! API keys taken apart and put together wrongly.
//!
//! A key reads `tk_<tenant ulid>_<key ulid>_<43 base-62 characters of secret><6 of CRC-32>`. The check is
//! computed anew for every forgery, so that it is the server's knowledge that refuses it and not a typing
//! error.

use secret::SecretText;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECK_LENGTH: usize = 6;

/// The parts of a key.
struct Parts<'k> {
    tenant: &'k str,
    id: &'k str,
    secret: &'k str,
}

impl<'k> Parts<'k> {
    fn of(key: &'k str) -> Option<Self> {
        let body = key.strip_prefix("tk_")?;
        let body = body.get(..body.len().checked_sub(CHECK_LENGTH)?)?;
        let mut parts = body.split('_');
        Some(Self { tenant: parts.next()?, id: parts.next()?, secret: parts.next()? })
    }

    fn joined(&self) -> SecretText {
        let Self { tenant, id, secret } = self;
        let body = format!("tk_{tenant}_{id}_{secret}");
        let check = base62(crc32fast::hash(body.as_bytes()));
        SecretText::new(format!("{body}{check}"))
    }
}

/// The forgeries of the victim's key that someone with the attacker's key can make, each with its name.
pub(crate) fn forgeries(victim: &SecretText, attacker: &SecretText) -> Vec<(&'static str, SecretText)> {
    let (Some(theirs), Some(own)) = (Parts::of(victim.expose()), Parts::of(attacker.expose())) else {
        return Vec::new();
    };
    let spliced = |tenant, id, secret| Parts { tenant, id, secret }.joined();
    vec![
        ("spliced key: the victim's tenant, own id and secret", spliced(theirs.tenant, own.id, own.secret)),
        (
            "spliced key: the victim's tenant and id, own secret",
            spliced(theirs.tenant, theirs.id, own.secret),
        ),
        ("spliced key: the victim's id in the own tenant", spliced(own.tenant, theirs.id, own.secret)),
        ("truncated key", truncated(victim)),
    ]
}

/// All of the victim's key but its last characters: what a log line that cuts keys off gives away.
fn truncated(victim: &SecretText) -> SecretText {
    let text = victim.expose();
    let cut: String = text.chars().take(text.len().saturating_sub(CHECK_LENGTH + 1)).collect();
    let check = base62(crc32fast::hash(cut.as_bytes()));
    SecretText::new(format!("{cut}{check}"))
}

fn base62(mut number: u32) -> String {
    let mut digits = [0u8; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Parts, forgeries};
    use secret::SecretText;

    fn key(tenant: char, id: char, secret: char) -> SecretText {
        let [tenant, id] = [tenant, id].map(|letter| letter.to_string().repeat(26));
        Parts { tenant: &tenant, id: &id, secret: &secret.to_string().repeat(43) }.joined()
    }

    #[test]
    fn a_whole_key_put_together_again_is_the_same() {
        let whole = key('0', '1', 'a');
        assert_eq!(Parts::of(whole.expose()).unwrap().joined().expose(), whole.expose());
        assert_eq!(whole.expose().len(), 3 + 26 + 1 + 26 + 1 + 43 + 6);
    }

    #[test]
    fn no_forgery_is_a_key_that_someone_has() {
        let (victim, attacker) = (key('0', '1', 'a'), key('2', '3', 'b'));
        let made = forgeries(&victim, &attacker);
        assert_eq!(made.len(), 4);
        for (name, forged) in made {
            assert_ne!(forged.expose(), victim.expose(), "{name}");
            assert_ne!(forged.expose(), attacker.expose(), "{name}");
        }
    }
}
