//! The audit log: what happened in a tenant, in a form that the tenant can check without us.
//!
//! - [`event`]: a caller fills in a draft; sealing gives it a place and makes it a leaf, canonical JSON
//!   that commits to personal values without containing them.
//! - [`merkle`]: the tree over a log's leaves (RFC 6962), its proofs and its tiles (C2SP tlog-tiles).
//! - [`note`]: signed checkpoints and the cosignatures of witnesses (C2SP signed-note, tlog-checkpoint,
//!   tlog-cosignature).
//! - [`export`]: a whole log as a file, and what an outsider can verify of it.
//! - [`evidence`]: what an attack run found, as a file that the operators' log vouches for.
//!
//! Nothing here reads a clock, draws randomness by itself or keeps anything. Whoever keeps a log appends
//! by one writer, makes leaves durable before it signs over them, and never signs a checkpoint that did
//! not grow from the last.

pub mod event;
pub mod evidence;
pub mod export;
pub mod merkle;
pub mod note;
