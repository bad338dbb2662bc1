//! `tenantry verify-grants`: grants with which somebody else runs the attack suite.

use crate::issued::{Issued, IssuedOptions, Order};
use crate::output::Ended;
use clap::{Args, Subcommand};
use serde_json::json;

/// What is done with grants.
#[derive(Args)]
pub struct VerifyGrantsArguments {
    #[command(flatten)]
    options: IssuedOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the grants.
    List,
    /// Make a grant, which is shown this once.
    Create {
        /// What operators call it.
        name: String,
        /// How many hours it holds, 1 to 168; 24 where absent.
        #[arg(long)]
        hours: Option<u32>,
        /// How many throwaway tenants it may have at the same time, 2 to 16; 4 where absent.
        #[arg(long)]
        tenants: Option<u32>,
    },
    /// Revoke a grant, and erase its throwaway tenants.
    Revoke {
        /// The grant's id.
        id: String,
    },
}

pub(crate) async fn run(arguments: VerifyGrantsArguments) -> Ended {
    let order = match arguments.action {
        Action::List => Order::List,
        Action::Create { name, hours, tenants } => Order::Create(vec![
            ("name", Some(json!(name))),
            ("hours", hours.map(|hours| json!(hours))),
            ("tenants", tenants.map(|tenants| json!(tenants))),
        ]),
        Action::Revoke { id } => Order::Revoke(id),
    };
    let issued = Issued {
        path: "/v1/verify-grants",
        columns: &["id", "name", "tenants", "tenants_now", "expires_at"],
    };
    arguments.options.carry_out(issued, order).await
}
