//! [`AttachedCredential`]: a credential on its way out, with the hosts that it may go to.

use crate::headers::{self, HeaderError};
use crate::{AddressPolicy, Destination, EgressError, HostPattern, Scheme};
use http::header::{HeaderName, HeaderValue};
use secret::SecretText;

/// A header field that the vault rendered, and the hosts that it was stored for.
#[derive(Clone)]
pub struct AttachedCredential {
    hosts: Vec<HostPattern>,
    name: HeaderName,
    value: SecretText,
}

impl AttachedCredential {
    /// A credential that goes as the header field `name` to `hosts` alone. The error never holds the value.
    pub fn new(hosts: Vec<HostPattern>, name: &str, value: SecretText) -> Result<Self, HeaderError> {
        let (name, _) = headers::field(name, value.expose())?;
        Ok(Self { hosts, name, value })
    }

    /// Whether another value goes out with it.
    pub fn differs_from(&self, other: &Self) -> bool {
        self.name != other.name || self.value != other.value
    }

    /// The header field for `destination`, if it may have it: a host that the credential names, over TLS
    /// or where the operator's exception opens this very host and port.
    pub fn header_for(
        &self,
        destination: &Destination,
        policy: &AddressPolicy,
    ) -> Result<(HeaderName, HeaderValue), EgressError> {
        let (host, port) = (destination.host(), destination.port());
        if !self.hosts.iter().any(|pattern| pattern.matches(host, port)) {
            return Err(EgressError::HostNotInCredential);
        }
        if destination.scheme() != Scheme::Https && !policy.opens(host, port) {
            return Err(EgressError::CredentialInTheClear);
        }
        // It was checked when this was made. The copy lives as long as the request is being written, and is
        // not wiped: the HTTP library copies it again.
        let mut value =
            HeaderValue::from_str(self.value.expose()).map_err(|_| EgressError::HostNotInCredential)?;
        value.set_sensitive(true);
        Ok((self.name.clone(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::AttachedCredential;
    use crate::{AddressPolicy, Destination, EgressError};
    use secret::SecretText;

    fn goes_to(url: &str) -> Result<String, EgressError> {
        let hosts = ["api.example.com", "*.crm.example", "crm.internal"].map(|host| host.parse().unwrap());
        let value = SecretText::new("Bearer s3cret".into());
        let credential = AttachedCredential::new(hosts.into(), "Authorization", value).unwrap();
        let policy = AddressPolicy::new(vec!["crm.internal:8080".parse().unwrap()]);
        let (name, value) = credential.header_for(&Destination::parse(url).unwrap(), &policy)?;
        assert!(value.is_sensitive());
        Ok(format!("{name}: {}", value.to_str().unwrap()))
    }

    #[test]
    fn it_goes_to_the_hosts_that_it_names() {
        for url in ["https://api.example.com/", "https://eu.crm.example/x", "http://crm.internal:8080/"] {
            assert_eq!(goes_to(url).ok().as_deref(), Some("authorization: Bearer s3cret"), "{url}");
        }
    }

    #[test]
    fn it_goes_nowhere_else_and_not_in_the_clear() {
        for url in ["https://evil.example/", "https://crm.example/", "https://api.example.com.evil.example/"]
        {
            assert!(matches!(goes_to(url), Err(EgressError::HostNotInCredential)), "{url}");
        }
        for url in ["http://api.example.com/", "http://api.example.com:443/", "http://crm.internal/"] {
            assert!(matches!(goes_to(url), Err(EgressError::CredentialInTheClear)), "{url}");
        }
    }

    #[test]
    fn a_value_that_would_break_the_line_is_not_taken() {
        for value in ["a\r\nb: c", "a\0"] {
            assert!(AttachedCredential::new(vec![], "authorization", SecretText::new(value.into())).is_err());
        }
        assert!(AttachedCredential::new(vec![], "host", SecretText::new("a".into())).is_err());
    }
}
