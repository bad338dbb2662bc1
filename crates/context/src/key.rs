//! The text forms of keys: `tk_<tenant ulid>_<key ulid>_<secret><check>` for a tenant's API key,
//! `op_<key ulid>_<secret><check>` for an operator's, `vg_<key ulid>_<secret><check>` for a grant to run the
//! attack suite, `wk_<key ulid>_<secret><check>` for a tenant's own worker, `hk_<secret><check>` for a hook's token.
//!
//! The secret is 256 random bits as 43 base-62 characters; the check is the CRC-32 (ISO-HDLC) of all that
//! stands before it as 6 base-62 characters, so that a mistyped key is told from an unknown one without a
//! look-up, and secret scanners find leaked keys without false alarms.

use env::Env;
use ids::{Id, KeyId, TenantId};
use secret::SecretText;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_LENGTH: usize = 43;
const CHECK_LENGTH: usize = 6;

/// An API key whose form is right. Whether it is known, only the index can tell.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The tenant that the key claims.
    pub tenant: TenantId,
    /// The key's claimed id.
    pub id: KeyId,
    /// The whole text.
    pub text: SecretText,
}

/// An operator key whose form is right.
#[derive(Clone, Debug)]
pub struct OperatorKey {
    /// The key's claimed id.
    pub id: KeyId,
    /// The whole text.
    pub text: SecretText,
}

/// A grant to run the attack suite whose form is right.
#[derive(Clone, Debug)]
pub struct GrantKey {
    /// The grant's claimed id.
    pub id: KeyId,
    /// The whole text.
    pub text: SecretText,
}

/// The token of a tenant's own worker, whose form is right.
#[derive(Clone, Debug)]
pub struct WorkerToken {
    /// The token's claimed id.
    pub id: KeyId,
    /// The whole text.
    pub text: SecretText,
}

/// A hook token whose form is right.
#[derive(Clone, Debug)]
pub struct HookToken(pub SecretText);

impl ApiKey {
    /// Reads a key; `None` where the form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let body = checked(text)?.strip_prefix("tk_")?;
        let mut parts = body.split('_');
        let (tenant, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && is_secret(secret);
        let tenant = TenantId::from_ulid(tenant).ok()?;
        let id = KeyId::from_ulid(id).ok()?;
        whole.then(|| Self { tenant, id, text: SecretText::new(text.to_owned()) })
    }
}

impl OperatorKey {
    /// Reads a key; `None` where the form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = checked(text)?.strip_prefix("op_")?.split_once('_')?;
        let id = KeyId::from_ulid(id).ok()?;
        is_secret(secret).then(|| Self { id, text: SecretText::new(text.to_owned()) })
    }
}

impl GrantKey {
    /// Reads a grant; `None` where the form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = checked(text)?.strip_prefix("vg_")?.split_once('_')?;
        let id = KeyId::from_ulid(id).ok()?;
        is_secret(secret).then(|| Self { id, text: SecretText::new(text.to_owned()) })
    }
}

impl WorkerToken {
    /// Reads a token; `None` where the form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = checked(text)?.strip_prefix("wk_")?.split_once('_')?;
        let id = KeyId::from_ulid(id).ok()?;
        is_secret(secret).then(|| Self { id, text: SecretText::new(text.to_owned()) })
    }
}

impl HookToken {
    /// Reads a token; `None` where the form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let secret = checked(text)?.strip_prefix("hk_")?;
        is_secret(secret).then(|| Self(SecretText::new(text.to_owned())))
    }
}

/// Makes a fresh API key.
pub fn issue_api_key(tenant: TenantId, id: KeyId, env: &Env) -> ApiKey {
    let text = issue(&format!("tk_{}_{}_", tenant.ulid(), id.ulid()), env);
    ApiKey { tenant, id, text }
}

/// Makes a fresh operator key.
pub fn issue_operator_key(id: KeyId, env: &Env) -> OperatorKey {
    OperatorKey { id, text: issue(&format!("op_{}_", id.ulid()), env) }
}

/// Makes a fresh grant to run the attack suite.
pub fn issue_verify_grant(id: KeyId, env: &Env) -> GrantKey {
    GrantKey { id, text: issue(&format!("vg_{}_", id.ulid()), env) }
}

/// Makes a fresh token for a tenant's own worker.
pub fn issue_worker_token(id: KeyId, env: &Env) -> WorkerToken {
    WorkerToken { id, text: issue(&format!("wk_{}_", id.ulid()), env) }
}

/// Makes a fresh hook token.
pub fn issue_hook_token(env: &Env) -> HookToken {
    HookToken(issue("hk_", env))
}

fn issue(prefix: &str, env: &Env) -> SecretText {
    let secret = Zeroizing::new(env.random::<32>());
    let mut text = prefix.to_owned();
    push_base62(&mut text, &*secret, SECRET_LENGTH);
    let check = crc32fast::hash(text.as_bytes()).to_be_bytes();
    push_base62(&mut text, &check, CHECK_LENGTH);
    SecretText::new(text)
}

/// The text before the check, if the check holds.
fn checked(text: &str) -> Option<&str> {
    let (body, check) = text.split_at_checked(text.len().checked_sub(CHECK_LENGTH)?)?;
    let mut expected = String::with_capacity(CHECK_LENGTH);
    push_base62(&mut expected, &crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECK_LENGTH);
    (check == expected).then_some(body)
}

fn is_secret(text: &str) -> bool {
    text.len() == SECRET_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Appends the big-endian number as exactly `length` base-62 digits.
fn push_base62(text: &mut String, number: &[u8], length: usize) {
    let mut number = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new(vec![b'0'; length]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in number.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::{
        ApiKey, HookToken, OperatorKey, WorkerToken, issue_api_key, issue_hook_token, issue_operator_key,
        issue_worker_token,
    };
    use env::{Env, Timestamp};
    use ids::{KeyId, TenantId};
    use proptest::prelude::*;

    fn env(seed: u64) -> Env {
        Env::fixed(Timestamp::from_millis(1_790_000_000_000), seed).0
    }

    #[test]
    fn a_key_reads_as_the_contract_says() {
        let env = env(1);
        let (tenant, id) = (env.id::<TenantId>(), env.id::<KeyId>());
        let key = issue_api_key(tenant, id, &env);
        let text = key.text.expose();
        assert_eq!(text.len(), 3 + 26 + 1 + 26 + 1 + 43 + 6);
        let read = ApiKey::parse(text).unwrap();
        assert_eq!((read.tenant, read.id), (tenant, id));
        assert!(OperatorKey::parse(text).is_none() && HookToken::parse(text).is_none());
    }

    #[test]
    fn operator_keys_and_hook_tokens_read_back() {
        let env = env(2);
        let id = env.id::<KeyId>();
        assert_eq!(OperatorKey::parse(issue_operator_key(id, &env).text.expose()).unwrap().id, id);
        assert!(HookToken::parse(issue_hook_token(&env).0.expose()).is_some());
        let worker = issue_worker_token(id, &env);
        assert_eq!(WorkerToken::parse(worker.text.expose()).unwrap().id, id);
        assert!(ApiKey::parse(worker.text.expose()).is_none());
        assert!(WorkerToken::parse(issue_operator_key(id, &env).text.expose()).is_none());
    }

    proptest! {
        #[test]
        fn one_changed_character_is_noticed(seed: u64, at in 0usize..106, to in "[0-9A-Za-z_]") {
            let env = env(seed);
            let key = issue_api_key(env.id(), env.id(), &env);
            let mut text = key.text.expose().to_owned();
            let at = at % text.len();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert!(ApiKey::parse(&text).is_none());
        }

        #[test]
        fn no_text_makes_the_reader_fall_over(text in "\\PC{0,120}") {
            let _ = (ApiKey::parse(&text), OperatorKey::parse(&text), HookToken::parse(&text));
        }
    }
}
