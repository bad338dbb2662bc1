//! Values of `Authorization` (RFC 6750, section 2.1, and RFC 7617, section 2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secret::SecretText;

/// `Bearer` and the token.
pub(super) fn bearer(token: &SecretText) -> SecretText {
    SecretText::new(format!("Bearer {}", token.expose()))
}

/// `Basic` and the name with the password.
pub(super) fn basic(username: &str, password: &str) -> SecretText {
    let pair = SecretText::new(format!("{username}:{password}"));
    SecretText::new(format!("Basic {}", STANDARD.encode(pair.expose())))
}

#[cfg(test)]
mod tests {
    /// RFC 7617, section 2, and its example in UTF-8, section 2.1.
    #[test]
    fn the_published_examples_come_out() {
        assert_eq!(super::basic("Aladdin", "open sesame").expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(super::basic("test", "123\u{a3}").expose(), "Basic dGVzdDoxMjPCow==");
    }
}
