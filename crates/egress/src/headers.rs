//! [`Headers`]: the header fields that a tenant may choose.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// How many fields, and how many bytes of names and values.
const MAX_FIELDS: usize = 64;
const MAX_BYTES: usize = 32 * 1024;

/// Fields that frame the message, belong to one connection, or speak for a proxy (RFC 9110, section 7.6.1;
/// RFC 9113, section 8.2.2). Who chooses these, chooses where the message ends.
const FRAMING: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What still goes along after a redirect: nothing in which a tenant would put a secret.
const HARMLESS: [HeaderName; 5] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::USER_AGENT,
];

/// A header field that may not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is not a token (RFC 9110, section 5.6.2).
    #[error("a header name is empty or holds characters that names may not have")]
    Name,
    /// The value has characters other than visible ASCII, space and tab, or begins or ends with white space.
    #[error("the value of the header `{0}` holds characters that values may not have")]
    Value(HeaderName),
    /// The field is the connection's or the message's own.
    #[error("the header `{0}` is set by the server")]
    Framing(HeaderName),
    /// More fields or bytes than are sent.
    #[error("there are more than {MAX_FIELDS} header fields, or more than {MAX_BYTES} bytes of them")]
    TooMany,
}

/// Header fields that were checked: each is well formed and none frames the message.
#[derive(Clone, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    /// Checks fields in the order in which they are sent. A name may come more than once.
    pub fn parse<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderError> {
        let mut headers = HeaderMap::new();
        let mut bytes = 0;
        for (name, value) in fields {
            bytes += name.len() + value.len();
            if headers.len() == MAX_FIELDS || bytes > MAX_BYTES {
                return Err(HeaderError::TooMany);
            }
            let (name, value) = field(name, value)?;
            headers.append(name, value);
        }
        Ok(Self(headers))
    }

    /// The fields.
    pub fn as_map(&self) -> &HeaderMap {
        &self.0
    }

    /// The fields that may follow a redirect: where it leads is the answering server's choice.
    #[must_use]
    pub fn after_redirect(&self) -> Self {
        let harmless = self.0.iter().filter(|(name, _)| HARMLESS.contains(name));
        Self(harmless.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

/// Checks one field.
pub(crate) fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name)?;
    if FRAMING.contains(&name.as_str()) {
        return Err(HeaderError::Framing(name));
    }
    let plain = value.is_ascii() && value.trim_matches([' ', '\t']) == value;
    match HeaderValue::from_str(value) {
        Ok(checked) if plain => Ok((name, checked)),
        _ => Err(HeaderError::Value(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderError, Headers, MAX_BYTES, MAX_FIELDS};
    use proptest::prelude::*;

    fn refused(name: &str, value: &str) -> Option<HeaderError> {
        Headers::parse([(name, value)]).err()
    }

    #[test]
    fn names_come_in_any_case_and_more_than_once() {
        let headers = Headers::parse([("X-Tag", "a"), ("x-tag", "b c\td"), ("Accept", "")]);
        let headers = headers.unwrap_or_default();
        assert_eq!(headers.as_map().get_all("x-tag").iter().count(), 2);
        assert_eq!(headers.as_map().len(), 3);
    }

    #[test]
    fn framing_is_not_the_tenants() {
        for name in super::FRAMING {
            let spelled = name.to_ascii_uppercase();
            assert!(matches!(refused(&spelled, "x"), Some(HeaderError::Framing(_))), "{name}");
        }
    }

    #[test]
    fn what_could_begin_another_line_or_request_is_refused() {
        for value in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\r\n\r\nGET / HTTP/1.1", " a", "a\t", "ä"] {
            assert!(matches!(refused("x-note", value), Some(HeaderError::Value(_))), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\nb", " host", "host ", "hôst", "host\0"] {
            assert_eq!(refused(name, "x"), Some(HeaderError::Name), "{name:?}");
        }
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let names: Vec<String> = (0..=MAX_FIELDS).map(|number| format!("x-{number}")).collect();
        assert!(Headers::parse(names[1..].iter().map(|name| (name.as_str(), "v"))).is_ok());
        assert!(Headers::parse(names.iter().map(|name| (name.as_str(), "v"))).is_err());
        assert_eq!(refused("x", &"v".repeat(MAX_BYTES)), Some(HeaderError::TooMany));
    }

    #[test]
    fn after_a_redirect_only_the_harmless_fields_go() {
        let fields =
            [("Authorization", "Bearer x"), ("Cookie", "a=b"), ("X-Api-Key", "k"), ("Accept", "a/b")];
        let left = Headers::parse(fields).unwrap_or_default().after_redirect();
        assert_eq!(left.as_map().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["accept"]);
    }

    proptest! {
        #[test]
        fn what_passes_is_one_line(name in "\\PC{0,10}", value in "[\\PC\r\n\0\t]{0,20}") {
            if let Ok(headers) = Headers::parse([(name.as_str(), value.as_str())]) {
                for (name, value) in headers.as_map() {
                    prop_assert!(name.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
                    let clean = |byte: &u8| *byte == b'\t' || (b' '..=b'~').contains(byte);
                    prop_assert!(value.as_bytes().iter().all(clean));
                }
            }
        }
    }
}
