//! [`AddressPolicy`]: which addresses may be connected to. Pure: the adapter asks it about every address
//! that it is about to use.

use crate::ranges::{self, Closed};
use crate::{Destination, Host, HostPort};
use std::collections::HashSet;
use std::net::IpAddr;

/// Why something may not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The address is not of the open internet, and the operator made no exception for the host and port.
    #[error("the address is {0}")]
    Address(Closed),
    /// A redirect leads from TLS into the clear.
    #[error("a redirect leaves TLS")]
    Downgrade,
    /// A redirect would carry the request's body to another origin.
    #[error("a redirect would take the body to another origin")]
    BodyElsewhere,
    /// A redirect leads to what is not a URL that a request may go to.
    #[error("a redirect leads to no usable URL")]
    Redirect,
}

/// The open internet, and the operator's exceptions.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allow: HashSet<HostPort>,
}

impl AddressPolicy {
    /// The policy with these exceptions (`egress.allow`).
    pub fn new(allow: Vec<HostPort>) -> Self {
        Self { allow: allow.into_iter().collect() }
    }

    /// Decides whether `address`, which `host` was resolved to, may be connected to on `port`.
    ///
    /// An exception opens exactly the host that it spells and that port: another name for the same address
    /// stays closed, and so does the address itself unless it is what the exception spells.
    pub fn permits(&self, host: &Host, port: u16, address: IpAddr) -> Result<(), Denied> {
        if self.opens(host, port) {
            return Ok(());
        }
        ranges::closed(address).map_or(Ok(()), |why| Err(Denied::Address(why)))
    }

    /// Whether the operator made an exception for this very host and port.
    pub fn opens(&self, host: &Host, port: u16) -> bool {
        self.allow.contains(&HostPort { host: host.clone(), port })
    }

    /// Decides what can be decided without resolving: a written-out address must be permitted. For URLs
    /// that someone else will fetch, such as a model's provider.
    pub fn permits_unresolved(&self, destination: &Destination) -> Result<(), Denied> {
        match destination.address() {
            Some(address) => self.permits(destination.host(), destination.port(), address),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressPolicy, Closed, Denied};
    use crate::{Destination, Host};

    fn policy(allow: &[&str]) -> AddressPolicy {
        AddressPolicy::new(allow.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn permits(policy: &AddressPolicy, host: &str, port: u16, address: &str) -> Result<(), Denied> {
        policy.permits(&Host::parse(host).unwrap(), port, address.parse().unwrap())
    }

    #[test]
    fn an_exception_opens_its_host_and_port_alone() {
        let policy = policy(&["crm.internal:8080", "10.0.0.5:80"]);
        let closed = Err(Denied::Address(Closed::Private));
        assert_eq!(permits(&policy, "crm.internal", 8080, "10.0.0.5"), Ok(()));
        assert_eq!(permits(&policy, "crm.internal", 8081, "10.0.0.5"), closed);
        assert_eq!(permits(&policy, "other.internal", 8080, "10.0.0.5"), closed);
        assert_eq!(permits(&policy, "x.crm.internal", 8080, "10.0.0.5"), closed);
        assert_eq!(permits(&policy, "10.0.0.5", 80, "10.0.0.5"), Ok(()));
        assert_eq!(permits(&policy, "other.internal", 80, "10.0.0.5"), closed);
        assert_eq!(permits(&policy, "[::ffff:10.0.0.5]", 80, "::ffff:10.0.0.5"), closed);
    }

    #[test]
    fn without_exceptions_only_the_open_internet_is_reached() {
        assert_eq!(permits(&policy(&[]), "a.example", 443, "1.1.1.1"), Ok(()));
        assert_eq!(permits(&policy(&[]), "a.example", 443, "::1"), Err(Denied::Address(Closed::Loopback)));
    }

    #[test]
    fn a_url_for_others_may_not_spell_a_closed_address() {
        let ask = |text| policy(&[]).permits_unresolved(&Destination::parse(text).unwrap());
        assert!(ask("https://a.example/cat.png").is_ok() && ask("https://1.1.1.1/").is_ok());
        assert!(ask("http://169.254.169.254/latest/meta-data/").is_err() && ask("http://[::1]/").is_err());
    }
}
