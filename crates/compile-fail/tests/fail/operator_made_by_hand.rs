//! An operator is written down.

use authz::OperatorRole;
use context::{Caller, Operator, RequestFacts};
use ids::KeyId;

fn case(caller: Caller, key: KeyId, role: OperatorRole, request: RequestFacts) -> Option<Operator> {
    match caller {
        Caller::Operator(_) => Some(Operator { key, role, request }),
        Caller::Tenant(_) | Caller::Grant(_) => None.filter(|_: &Operator| request.ip.is_none()),
    }
}

fn main() {}
