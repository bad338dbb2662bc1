//! What the worker that a tenant has for itself asks of a server, behind the ports that the worker works with: where the
//! tenant stands, as the credential index; limits on calls to outside services; and models.
//!
//! The process has the tenant's own database and keys. It has no provider's key, does not reach what servers count in, and
//! does not see the platform's tables: for these it has a token that is good for its tenant's runs alone. Where no server
//! has confirmed for a second where the tenant stands, nothing begins.

mod counting;
mod models;
mod server;
mod standing;

pub use counting::{CountedByServer, GivingBack};
pub use models::AskedOfServer;
pub use server::{Server, UnfitServer};
pub use standing::Standing;
