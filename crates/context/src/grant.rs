//! [`Grant`]: whoever may run the attack suite against this server, and nothing else. It makes throwaway
//! tenants, deletes them, and reaches no other.

use crate::{Operator, RequestFacts};
use authz::OperatorRole;
use env::Timestamp;
use ids::{Id as _, KeyId};
use std::fmt;

/// How the external id of a throwaway tenant begins. Operators give no such id.
pub const THROWAWAY: &str = "verify-grant/";

/// An authenticated grant. There is no constructor outside authentication.
#[derive(Clone, Debug)]
pub struct Grant {
    maker: Operator,
    tenants: u32,
    until: Timestamp,
}

/// What makes a tenant a throwaway: its external id says by which grant it was made, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throwaway {
    /// The grant.
    pub grant: KeyId,
    /// When the grant ends, and with it every credential of the tenant.
    pub until: Timestamp,
    /// Which of the grant's tenants at the same time.
    pub slot: u32,
}

impl Grant {
    pub(crate) fn authenticated(id: KeyId, tenants: u32, until: Timestamp, request: RequestFacts) -> Self {
        Self { maker: Operator::authenticated(id, OperatorRole::Admin, request), tenants, until }
    }

    /// The grant's id.
    pub fn id(&self) -> KeyId {
        self.maker.key()
    }

    /// How many throwaway tenants it may have at the same time.
    pub fn tenants(&self) -> u32 {
        self.tenants
    }

    /// When it ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// The grant as the maker of its own tenants, under its own id: for the two calls by which they come and
    /// go, after it was seen that the tenant is the grant's.
    pub fn as_maker(&self) -> &Operator {
        &self.maker
    }
}

impl Throwaway {
    /// How the external ids of all tenants of this grant begin.
    pub fn prefix(grant: KeyId) -> String {
        format!("{THROWAWAY}{}/", grant.ulid())
    }

    /// Reads an external id; `None` where it is an ordinary tenant's.
    pub fn parse(external_id: &str) -> Option<Self> {
        let mut parts = external_id.strip_prefix(THROWAWAY)?.split('/');
        let grant = KeyId::from_ulid(parts.next()?).ok()?;
        let until = Timestamp::from_millis(parts.next()?.parse().ok()?);
        let slot = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { grant, until, slot })
    }

    /// When a tenant with this external id ends. One that should be a throwaway's and does not read has ended.
    pub fn end_of(external_id: Option<&str>) -> Option<Timestamp> {
        let external_id = external_id.filter(|id| id.starts_with(THROWAWAY))?;
        Some(Self::parse(external_id).map_or(Timestamp::from_millis(0), |it| it.until))
    }
}

impl fmt::Display for Throwaway {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}/{}", Self::prefix(self.grant), self.until.millis(), self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::Throwaway;
    use env::{Env, Timestamp};

    #[test]
    fn an_external_id_says_whose_throwaway_it_is_and_when_it_ends() {
        let env = Env::fixed(Timestamp::from_millis(7), 1).0;
        let made = Throwaway { grant: env.id(), until: Timestamp::from_millis(9), slot: 3 };
        assert_eq!(Throwaway::parse(&made.to_string()), Some(made));
        assert!(made.to_string().starts_with(&Throwaway::prefix(made.grant)));
        assert_eq!(Throwaway::end_of(Some(&made.to_string())), Some(made.until));
        assert_eq!((Throwaway::end_of(None), Throwaway::end_of(Some("crm-7"))), (None, None));
        for damaged in ["verify-grant/", "verify-grant/x/9/1", &format!("{made}/1")] {
            assert_eq!(Throwaway::end_of(Some(damaged)), Some(Timestamp::from_millis(0)), "{damaged}");
        }
    }
}
