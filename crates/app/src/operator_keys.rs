//! Operators' keys: issuing, listing and revoking them.

use crate::App;
use crate::operator_log::record;
use audit::event::Action;
use authz::OperatorRole;
use context::{CredentialKind, Operator, issue_operator_key};
use errors::{Code, Problem};
use ids::KeyId;
use schemars::JsonSchema;
use secret::SecretText;
use serde::Deserialize;
use store::OperatorKeyRow;

const CREATE: Action = Action::new("operator_key.create");
const REVOKE: Action = Action::new("operator_key.revoke");

/// What is asked of a new operator's key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperatorKey {
    /// What operators call it, 1 to 100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// `admin`, or `viewer`, which may only read and is what it is where absent.
    #[serde(default)]
    pub role: Option<OperatorRole>,
}

/// An operator's key that was just made.
pub struct IssuedOperatorKey {
    /// What is kept of it.
    pub row: OperatorKeyRow,
    /// The key, shown this once.
    pub secret: SecretText,
}

/// Issues a key. It holds from the next request on.
pub async fn create(
    app: &App,
    operator: &Operator,
    input: NewOperatorKey,
) -> Result<IssuedOperatorKey, Problem> {
    operator.must_change()?;
    let printable = input.name.chars().all(|character| !character.is_control());
    if !printable || !(1..=100).contains(&input.name.chars().count()) {
        return Err(Problem::invalid("`name` must have 1 to 100 printable characters."));
    }
    let key = issue_operator_key(app.env.id(), &app.env);
    let row = OperatorKeyRow::new(key.id, input.name, input.role.unwrap_or(OperatorRole::Viewer));
    let hash = app.authenticator.hash(CredentialKind::OperatorKey, key.text.expose());
    let work = async { Ok(app.platform.add_operator_key(operator, hash, row.clone()).await?) };
    record(app, operator, CREATE, ("operator_key", &key.id.to_string()), work).await?;
    Ok(IssuedOperatorKey { row, secret: key.text })
}

/// The keys, by id.
pub async fn list(app: &App, operator: &Operator) -> Result<Vec<OperatorKeyRow>, Problem> {
    Ok(app.platform.operator_keys(operator).await?)
}

/// Revokes a key. It is refused from the next request on. The last one with the role `admin` stays: without
/// it nobody could administer anything any more.
pub async fn revoke(app: &App, operator: &Operator, id: KeyId) -> Result<(), Problem> {
    operator.must_change()?;
    if !app.platform.operator_keys(operator).await?.iter().any(|key| key.id == id) {
        return Err(Problem::not_found());
    }
    let work = async {
        match app.platform.revoke_operator_key(operator, id).await? {
            true => Ok(()),
            false => {
                let detail = "This is the last operator key with the role `admin`. Make another one first.";
                Err(Problem::new(Code::Conflict, detail))
            }
        }
    };
    record(app, operator, REVOKE, ("operator_key", &id.to_string()), work).await
}
