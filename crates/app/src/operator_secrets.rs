//! [`OperatorSecrets`]: secrets of the operator at rest, such as the keys of endpoints, sealed under a key
//! derived from the master key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use env::Env;
use kms::aead::Cipher;
use kms::framed;
use secret::{SecretBytes, SecretText};

/// The secret cannot be sealed or opened: it was altered, moved, or sealed under another master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operator's secret cannot be sealed or opened")]
pub struct SecretUnusable;

const DOMAIN: &str = "tenantry operator secret v1";

/// Seals and opens the operator's secrets.
pub struct OperatorSecrets {
    cipher: Cipher,
    env: Env,
}

impl OperatorSecrets {
    /// Secrets under this key.
    pub fn new(key: &SecretBytes<32>, env: Env) -> Self {
        Self { cipher: Cipher::new(key), env }
    }

    /// Seals the key of the endpoint with this name, as base64.
    pub fn seal_endpoint_key(&self, endpoint: &str, key: &SecretText) -> Result<String, SecretUnusable> {
        let sealed = self.cipher.seal(&self.env, &place(endpoint), key.expose().as_bytes());
        Ok(STANDARD.encode(sealed.map_err(|_| SecretUnusable)?))
    }

    /// Opens what was sealed for the endpoint with this name.
    pub fn open_endpoint_key(&self, endpoint: &str, sealed: &str) -> Result<SecretText, SecretUnusable> {
        let sealed = STANDARD.decode(sealed).map_err(|_| SecretUnusable)?;
        let key = self.cipher.open(&place(endpoint), &sealed).map_err(|_| SecretUnusable)?;
        let text = std::str::from_utf8(&key).map_err(|_| SecretUnusable)?;
        Ok(SecretText::new(text.to_owned()))
    }
}

fn place(endpoint: &str) -> Vec<u8> {
    framed(DOMAIN, &[b"endpoint", endpoint.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::{OperatorSecrets, SecretUnusable};
    use env::{Env, Timestamp};
    use secret::{SecretBytes, SecretText};

    #[test]
    fn a_key_opens_for_its_endpoint_alone() {
        let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
        let secrets = OperatorSecrets::new(&SecretBytes::fill_with(|bytes| bytes.fill(3)), env);
        let sealed = secrets.seal_endpoint_key("openai", &SecretText::new("sk-1".into())).unwrap();
        assert_eq!(secrets.open_endpoint_key("openai", &sealed).unwrap().expose(), "sk-1");
        assert_eq!(secrets.open_endpoint_key("other", &sealed).unwrap_err(), SecretUnusable);
        assert!(!sealed.contains("sk-1"));
    }
}
