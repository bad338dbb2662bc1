//! The server's own HTTP API, as its commands, the demonstration and the attack suite call it: thin, over
//! HTTP/1.1 with kept connections, with errors that carry the problem's code.

mod answer;
mod base;
mod call;
mod connection;
mod delivery;
mod error;
mod tenants;

pub use answer::Answer;
pub use base::{BaseUrl, ParseBaseUrlError};
pub use call::Call;
pub use connection::Client;
pub use delivery::{DeliveryHeaders, signed_delivery, webhook_secret};
pub use error::{CallError, Refusal};
pub use tenants::MadeTenant;
