//! An operator is asked who it is.

use authz::OperatorRole;
use context::{Operator, RequestFacts};
use ids::KeyId;

fn case(operator: &Operator, key: KeyId, request: RequestFacts) -> bool {
    let _ = (key, request);
    operator.role() == OperatorRole::Admin
}

fn main() {}
