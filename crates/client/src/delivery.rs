//! Webhook deliveries, signed as Standard Webhooks says.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secret::SecretText;
use sha2::Sha256;

/// The headers of a signed delivery, by name.
pub type DeliveryHeaders = [(&'static str, String); 3];

/// Signs a delivery: `id` tells it from every other, `seconds` is the time since the Unix epoch. `None`
/// where the secret is not Base64 after its `whsec_`.
pub fn signed_delivery(secret: &SecretText, id: &str, seconds: i64, body: &[u8]) -> Option<DeliveryHeaders> {
    let text = secret.expose();
    let key = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    Some([
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{signature}")),
    ])
}

/// A secret for signing, as Standard Webhooks writes it.
pub fn webhook_secret(random: [u8; 24]) -> SecretText {
    SecretText::new(format!("whsec_{}", STANDARD.encode(random)))
}

#[cfg(test)]
mod tests {
    use super::signed_delivery;
    use secret::SecretText;

    /// The example in the specification's reference libraries.
    #[test]
    fn the_specification_s_example_comes_out() {
        let secret = SecretText::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = br#"{"test": 2432232314}"#;
        let headers = signed_delivery(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signed_delivery(&SecretText::new("whsec_ü".to_owned()), "a", 0, body).is_none());
    }
}
