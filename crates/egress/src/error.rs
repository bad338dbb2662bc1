//! [`EgressError`]: how a call to the outside can fail, and what the tenant is told of it.

use crate::Denied;
use context::Crossing;
use errors::{Code, Problem};
use std::time::Duration;

/// Why there is no answer. No variant holds a URL, an address, a header or a body.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address policy or the rules for redirects refuse it.
    #[error("denied: {0}")]
    Denied(#[from] Denied),
    /// The credential does not name the host.
    #[error("the credential does not name this host")]
    HostNotInCredential,
    /// The credential would go without TLS to a host that the operator has not opened.
    #[error("the credential would go in the clear")]
    CredentialInTheClear,
    /// The request belongs to another tenant than the one that sends it.
    #[error(transparent)]
    Crossing(#[from] Crossing),
    /// The name has no address.
    #[error("the name could not be resolved")]
    Resolve,
    /// No address of the host takes connections.
    #[error("no connection could be made")]
    Connect,
    /// The host did not prove its name, or TLS failed otherwise.
    #[error("TLS failed")]
    Tls,
    /// The time is up.
    #[error("the time is up (sent: {sent})")]
    Timeout {
        /// Whether a byte of a request may have left.
        sent: bool,
    },
    /// The connection broke.
    #[error("the connection broke (sent: {sent})")]
    Broken {
        /// Whether a byte of a request may have left.
        sent: bool,
    },
    /// The answer's body or header fields are longer than allowed.
    #[error("the answer is too large")]
    TooLarge,
    /// More redirects than the request follows.
    #[error("too many redirects")]
    TooManyRedirects,
    /// The answer is not HTTP.
    #[error("the answer is not HTTP")]
    Protocol,
    /// The tenant, or the server, has as many calls under way as it may.
    #[error("too many calls are under way")]
    Busy,
    /// The host failed this tenant again and again, and is left alone for a while.
    #[error("the circuit to the host is open")]
    CircuitOpen {
        /// When the next attempt is let through.
        retry_after: Duration,
    },
    /// The redirect that a request was answered with could not be followed.
    #[error("after a redirect: {0}")]
    AfterRedirect(Box<EgressError>),
}

impl EgressError {
    /// Whether a byte of a request may have left. Only where it is false is it certain that the call has
    /// had no effect, so that a call which is not idempotent may be made again.
    pub fn sent(&self) -> bool {
        match self {
            Self::Timeout { sent } | Self::Broken { sent } => *sent,
            Self::TooLarge | Self::TooManyRedirects | Self::Protocol | Self::AfterRedirect(_) => true,
            Self::Denied(_)
            | Self::HostNotInCredential
            | Self::CredentialInTheClear
            | Self::Crossing(_)
            | Self::Resolve
            | Self::Connect
            | Self::Tls
            | Self::Busy
            | Self::CircuitOpen { .. } => false,
        }
    }

    /// The error as a later request of the same call meets it: an earlier one has left already.
    #[must_use]
    pub fn after_redirect(self) -> Self {
        if self.sent() { self } else { Self::AfterRedirect(Box::new(self)) }
    }
}

impl From<EgressError> for Problem {
    fn from(error: EgressError) -> Self {
        let sent = error.sent();
        let cause = match error {
            EgressError::AfterRedirect(cause) => *cause,
            cause => cause,
        };
        let failed = |detail: &str| Self::new(Code::UpstreamFailed, detail).with("sent", sent);
        match cause {
            // Which address a name has inside the operator's network is not the tenant's to learn.
            EgressError::Denied(_) => Self::new(
                Code::EgressDenied,
                "The URL, or where it redirects to, may not be reached from here. The operator can open a host \
                 and port under `[egress] allow`.",
            ),
            EgressError::HostNotInCredential => Self::new(
                Code::EgressDenied,
                "The credential does not name this host. Add it to the credential's `hosts`, or leave the \
                 credential out.",
            ),
            EgressError::CredentialInTheClear => {
                Self::new(Code::EgressDenied, "A credential goes over https alone. Use an https URL.")
            }
            EgressError::Crossing(_) => Self::new(
                Code::ContentBlocked,
                "The request holds what is not this tenant's. Nothing was sent.",
            ),
            EgressError::Resolve => failed("The host's name could not be resolved."),
            EgressError::Connect => failed("The host takes no connection."),
            EgressError::Tls => {
                failed("The host did not prove its name, or does not speak TLS as it should.")
            }
            EgressError::Timeout { .. } => {
                Self::new(Code::UpstreamTimeout, "The outside service did not answer in time.")
                    .with("sent", sent)
            }
            EgressError::Broken { .. } => failed("The connection broke before the answer was complete."),
            EgressError::TooLarge => failed("The answer is longer than allowed."),
            EgressError::TooManyRedirects => failed("The outside service redirects too often."),
            EgressError::Protocol | EgressError::AfterRedirect(_) => failed("The answer is not HTTP."),
            EgressError::Busy => {
                Self::new(Code::ConcurrencyLimited, "Too many calls to outside services are under way.")
                    .retry_after(1)
            }
            EgressError::CircuitOpen { retry_after } => {
                failed("The host failed again and again and is left alone for a while.")
                    .retry_after(retry_after.as_secs() + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EgressError;
    use crate::{Closed, Denied};
    use errors::{Code, Problem};
    use std::time::Duration;

    #[test]
    fn after_a_redirect_something_has_left() {
        assert!(!EgressError::Connect.sent() && EgressError::Connect.after_redirect().sent());
        assert!(matches!(EgressError::TooLarge.after_redirect(), EgressError::TooLarge));
    }

    #[test]
    fn the_tenant_learns_the_code_and_no_address() {
        let denied = || EgressError::Denied(Denied::Address(Closed::Private));
        for error in [denied(), denied().after_redirect()] {
            let problem = Problem::from(error);
            assert_eq!(problem.code, Code::EgressDenied);
            assert!(!problem.detail.contains("private"));
        }
        let problem = Problem::from(EgressError::Timeout { sent: true });
        assert_eq!((problem.code, problem.members["sent"].as_bool()), (Code::UpstreamTimeout, Some(true)));
        let problem = Problem::from(EgressError::CircuitOpen { retry_after: Duration::from_millis(1500) });
        assert_eq!((problem.code, problem.retry_after), (Code::UpstreamFailed, Some(2)));
    }
}
