//! [`Operator`]: who runs Tenantry. It administers tenants and cannot look into them: no store call that
//! reads a tenant's content takes it.

use crate::RequestFacts;
use authz::OperatorRole;
use errors::{Code, Problem};
use ids::KeyId;

/// An authenticated operator. There is no constructor outside authentication.
#[derive(Clone, Debug)]
pub struct Operator {
    key: KeyId,
    role: OperatorRole,
    request: RequestFacts,
}

impl Operator {
    pub(crate) fn authenticated(key: KeyId, role: OperatorRole, request: RequestFacts) -> Self {
        Self { key, role, request }
    }

    /// The key that the operator used.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// The operator's role.
    pub fn role(&self) -> OperatorRole {
        self.role
    }

    /// The request that brought the operator here.
    pub fn request(&self) -> &RequestFacts {
        &self.request
    }

    /// Refuses an operator who may only look.
    pub fn must_change(&self) -> Result<(), Problem> {
        match self.role {
            OperatorRole::Admin => Ok(()),
            OperatorRole::Viewer => {
                let detail = "This operator key may only read. It needs the role `admin`.";
                Err(Problem::new(Code::Forbidden, detail).with("needs", "admin"))
            }
        }
    }
}
