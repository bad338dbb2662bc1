//! The attack suite: tries to get one tenant's data, effects or traces with another's credentials.
//!
//! It reads `/openapi.json` and so knows every operation of the server in front of it. It makes two
//! throwaway tenants with near-identical data and a canary in every field that can hold one; then one of
//! them, the attacker, tries each *pattern* (an operation, a place in its request, an attack) against the
//! other, the victim. Before an attack counts, its *positive control* must hold: the victim's own request
//! succeeds and shows the victim's data. An operation that is added to the server later is attacked
//! without anyone writing a case, or is listed as unattacked with the reason.

mod attacks;
mod attempt;
mod bodies;
mod campaign;
mod compare;
mod description;
mod evidence;
mod granted;
mod junit;
mod keys;
mod outside;
mod own_server;
mod pattern;
mod report;
mod schema;
mod seed;
mod side;
mod traces;
mod world;

pub use attempt::Attempt;
pub use campaign::{Options, VerifyError, run};
pub use outside::Outside;
pub use own_server::{OwnServer, OwnServerError};
pub use pattern::{Leak, NotOffered, Only, Unattacked, Verdict};
pub use report::{Report, SurfaceCount};
pub use traces::Places;
