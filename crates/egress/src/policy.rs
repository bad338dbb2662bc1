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
    /// The name means something only within one network.
    #[error("the name is local")]
    LocalName,
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

    /// Decides what can be decided without resolving, for URLs that someone else will fetch, such as a
    /// model's provider: a written-out address must be permitted, and a name must be one of the open
    /// internet.
    pub fn permits_unresolved(&self, destination: &Destination) -> Result<(), Denied> {
        let (host, port) = (destination.host(), destination.port());
        match host {
            Host::Address(address) => self.permits(host, port, *address),
            Host::Name(name) if is_local(name) && !self.opens(host, port) => Err(Denied::LocalName),
            Host::Name(_) => Ok(()),
        }
    }
}

/// Whether the name means something only within one network: without a dot, or under a domain that is set
/// aside for that (RFC 6761, RFC 6762, RFC 8375, RFC 9476; ICANN's resolution 2024.07.29.06 for `internal`).
fn is_local(name: &str) -> bool {
    const LOCAL: [&str; 8] =
        [".alt", ".home.arpa", ".internal", ".invalid", ".local", ".localhost", ".onion", ".test"];
    !name.contains('.') || LOCAL.iter().any(|domain| name.ends_with(domain))
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
    fn a_url_for_others_is_one_of_the_open_internet() {
        let ask = |text: &str| policy(&[]).permits_unresolved(&Destination::parse(text).unwrap());
        assert!(ask("https://a.example/cat.png").is_ok() && ask("https://1.1.1.1/").is_ok());
        assert!(ask("http://169.254.169.254/latest/meta-data/").is_err() && ask("http://[::1]/").is_err());
        for local in ["localhost", "metadata", "metadata.google.internal", "printer.local", "a.localhost."] {
            assert_eq!(ask(&format!("http://{local}/")), Err(Denied::LocalName), "{local}");
        }
    }
}
