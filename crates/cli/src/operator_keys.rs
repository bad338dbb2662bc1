//! `tenantry operator-keys`: the operators' own keys.

use crate::issued::{Issued, IssuedOptions, Order};
use crate::output::Ended;
use clap::{Args, Subcommand};
use serde_json::json;

/// What is done with operators' keys.
#[derive(Args)]
pub struct OperatorKeysArguments {
    #[command(flatten)]
    options: IssuedOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the operators' keys.
    List,
    /// Make an operator's key, which is shown this once.
    Create {
        /// What operators call it.
        name: String,
        /// Its role: admin, or viewer, which may only read and is what it is where absent.
        #[arg(long)]
        role: Option<String>,
    },
    /// Revoke an operator's key; it is refused from the next request on. The last admin key stays.
    Revoke {
        /// The key's id.
        id: String,
    },
}

pub(crate) async fn run(arguments: OperatorKeysArguments) -> Ended {
    let order = match arguments.action {
        Action::List => Order::List,
        Action::Create { name, role } => {
            Order::Create(vec![("name", Some(json!(name))), ("role", role.map(|role| json!(role)))])
        }
        Action::Revoke { id } => Order::Revoke(id),
    };
    let issued = Issued { path: "/v1/operator-keys", columns: &["id", "name", "role", "created_at"] };
    arguments.options.carry_out(issued, order).await
}
