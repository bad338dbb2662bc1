//! Subjects and patterns: names of dotted tokens within a tenant, in the form of NATS
//! (<https://docs.nats.io/nats-concepts/subjects>).

use errors::Problem;
use ids::TenantId;
use std::fmt;
use std::str::FromStr;

const MAX_TOKENS: usize = 16;
const MAX_TOKEN: usize = 64;
/// How long a name within a tenant may be.
pub const MAX_LENGTH: usize = 256;

/// Who speaks under a subject, by its first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The tenant's own programs.
    App,
    /// The server, about the tenant's audit log.
    Audit,
    /// The server, about the tenant's settings.
    Config,
    /// The server to itself.
    Sys,
}

impl Family {
    const ALL: [Self; 4] = [Self::App, Self::Audit, Self::Config, Self::Sys];

    const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Audit => "audit",
            Self::Config => "config",
            Self::Sys => "sys",
        }
    }

    fn of(token: &str) -> Result<Self, SubjectError> {
        Self::ALL.into_iter().find(|family| family.as_str() == token).ok_or(SubjectError::Family)
    }
}

/// The text is not a subject or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It stands in another tenant, or in none that there is.
    #[error("no such subject")]
    NotHere,
    /// It does not begin with one of the families.
    #[error("a subject begins with `app.`, `audit.` or `config.`, followed by names that you choose")]
    Family,
    /// It has empty tokens, or such with characters that are not allowed, or is too long.
    #[error(
        "a subject has 2 to 16 tokens of 1 to 64 letters, digits, `-` and `_`, separated by dots, and at most 256 \
         characters; in a pattern `*` stands for one token and a last `>` for one or more"
    )]
    Form,
}

impl From<SubjectError> for Problem {
    fn from(error: SubjectError) -> Self {
        match error {
            SubjectError::NotHere => Self::not_found(),
            error => Self::invalid(format!("{error}.")),
        }
    }
}

/// What a message is about, within its tenant, such as `app.orders.created`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(String);

/// Which subjects are listened to, within a tenant, such as `app.orders.*` or `app.>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

fn tokens(text: &str, good: impl Fn(&str, bool) -> bool) -> Result<(), SubjectError> {
    let count = text.split('.').count();
    let named = text.split('.').enumerate().all(|(place, token)| good(token, place + 1 == count));
    let fits = (2..=MAX_TOKENS).contains(&count) && text.len() <= MAX_LENGTH;
    Family::of(text.split('.').next().unwrap_or_default())?;
    if named && fits { Ok(()) } else { Err(SubjectError::Form) }
}

fn is_name(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(allowed)
}

/// The part of a name that stands within the tenant: callers may write it down whole, for their own tenant.
fn within(tenant: TenantId, text: &str) -> Result<&str, SubjectError> {
    let Some(rest) = text.strip_prefix("tenant.") else { return Ok(text) };
    let own = rest.strip_prefix(&tenant.to_string()).and_then(|rest| rest.strip_prefix('.'));
    own.ok_or(SubjectError::NotHere)
}

impl Subject {
    /// What a principal may publish under, as a regular expression.
    pub const PATTERN: &str = r"^(tenant\.ten_[0-9A-HJKMNP-TV-Z]{26}\.)?app(\.[A-Za-z0-9_-]{1,64}){1,15}$";

    /// Reads what a principal of this tenant names.
    pub fn named_in(tenant: TenantId, text: &str) -> Result<Self, SubjectError> {
        within(tenant, text)?.parse()
    }

    /// Who speaks under it.
    pub fn family(&self) -> Family {
        family(&self.0)
    }

    /// The name within the tenant.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole name, as others see it.
    pub fn whole(&self, tenant: TenantId) -> String {
        format!("tenant.{tenant}.{}", self.0)
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        tokens(text, |token, _| is_name(token))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Pattern {
    /// What a principal may listen to, as a regular expression.
    pub const PATTERN: &str = r"^(tenant\.ten_[0-9A-HJKMNP-TV-Z]{26}\.)?(app|audit|config)(\.([A-Za-z0-9_-]{1,64}|\*)){0,14}\.([A-Za-z0-9_-]{1,64}|\*|>)$";

    /// Reads what a principal of this tenant names.
    pub fn named_in(tenant: TenantId, text: &str) -> Result<Self, SubjectError> {
        within(tenant, text)?.parse()
    }

    /// Who speaks under the subjects that it matches: one family alone, so that one right decides.
    pub fn family(&self) -> Family {
        family(&self.0)
    }

    /// Whether a subject is listened to.
    pub fn matches(&self, subject: &Subject) -> bool {
        let (mut wanted, mut named) = (self.0.split('.'), subject.0.split('.'));
        loop {
            match (wanted.next(), named.next()) {
                (None, None) | (Some(">"), Some(_)) => return true,
                (Some(wanted), Some(named)) if wanted == "*" || wanted == named => {}
                _ => return false,
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        tokens(text, |token, last| token == "*" || (token == ">" && last) || is_name(token))?;
        Ok(Self(text.to_owned()))
    }
}

/// What was read begins with a family.
fn family(text: &str) -> Family {
    Family::of(text.split('.').next().unwrap_or_default()).unwrap_or(Family::Sys)
}

#[cfg(test)]
mod tests {
    use super::{Family, Pattern, Subject, SubjectError};
    use ids::{Id, TenantId};

    fn tenant(seed: u8) -> TenantId {
        TenantId::from_parts(1_790_000_000_000, [seed; 10])
    }

    #[test]
    fn a_name_stands_in_the_callers_own_tenant() {
        let whole = format!("tenant.{}.app.orders.created", tenant(1));
        let subject = Subject::named_in(tenant(1), &whole).unwrap();
        assert_eq!(subject, "app.orders.created".parse().unwrap());
        assert_eq!(subject.whole(tenant(1)), whole);
        assert_eq!(Subject::named_in(tenant(2), &whole), Err(SubjectError::NotHere));
        for text in ["tenant.*.app.orders", "tenant.>", "tenant.app.orders", "tenant"] {
            assert!(Pattern::named_in(tenant(1), text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        let long = format!("app.{}", "a".repeat(65));
        let deep = format!("app{}", ".a".repeat(16));
        for text in [
            "",
            "app",
            "app.",
            "app..a",
            "app. a",
            "app.a*",
            "app.*",
            "app.>",
            "app.a\0",
            "app.\u{e9}",
            &long,
            &deep,
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
        for text in ["*.orders", ">", "app.>.a", "app", "*", "App.a", "other.a"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_match_token_by_token() {
        let cases = [
            ("app.orders.created", "app.orders.created", true),
            ("app.orders.*", "app.orders.created", true),
            ("app.*.created", "app.orders.created", true),
            ("app.*", "app.orders.created", false),
            ("app.>", "app.orders.created", true),
            ("app.orders.>", "app.orders.created.again", true),
            ("app.orders.>", "app.orders.x", true),
            ("app.orders.>", "app.orders2.x", false),
            ("app.orders.created.>", "app.orders.created", false),
            ("audit.>", "app.orders", false),
        ];
        for (pattern, subject, matches) in cases {
            let (pattern, subject) =
                (pattern.parse::<Pattern>().unwrap(), subject.parse::<Subject>().unwrap());
            assert_eq!(pattern.matches(&subject), matches, "{pattern:?} {subject}");
        }
        assert_eq!("audit.*".parse::<Pattern>().unwrap().family(), Family::Audit);
    }
}
