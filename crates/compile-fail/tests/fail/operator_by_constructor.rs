//! An operator is made by the constructor that authentication uses.

use authz::OperatorRole;
use context::{Operator, RequestFacts};
use ids::KeyId;

fn case(operator: &Operator, key: KeyId, request: RequestFacts) -> bool {
    let operator = &Operator::authenticated(key, OperatorRole::Admin, request);
    operator.role() == OperatorRole::Admin
}

fn main() {}
