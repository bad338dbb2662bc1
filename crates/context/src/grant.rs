//! [`Grant`]: whoever may run the attack suite against this server, and nothing else. It makes throwaway
//! tenants, deletes them, and reaches no other.

use crate::{Operator, RequestFacts};
use authz::OperatorRole;
use env::Timestamp;
use ids::KeyId;

/// An authenticated grant. There is no constructor outside authentication.
#[derive(Clone, Debug)]
pub struct Grant {
    maker: Operator,
    tenants: u32,
    until: Timestamp,
}

/// What makes a tenant a throwaway. The platform keeps it in a place of its own that no caller writes.
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
