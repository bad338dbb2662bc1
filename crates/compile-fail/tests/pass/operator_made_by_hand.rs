//! An operator is what authentication gives.

use authz::OperatorRole;
use context::{Caller, Operator, RequestFacts};
use ids::KeyId;

fn case(caller: Caller, key: KeyId, role: OperatorRole, request: RequestFacts) -> Option<Operator> {
    match caller {
        Caller::Operator(operator) => Some(operator).filter(|it| (it.key(), it.role()) == (key, role)),
        Caller::Tenant(_) | Caller::Grant(_) => None.filter(|_: &Operator| request.ip.is_none()),
    }
}

fn main() {}
