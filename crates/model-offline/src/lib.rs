//! The built-in model `offline`: fixed rules that need no network and no key, so that everything around a
//! model can be tried and tested. It is deterministic, says what it is, and understands nothing.
//!
//! What it does with a request, in this order:
//! 1. After a tool's result it answers with text about that result.
//! 2. Where functions may be called it calls one: the one that `tool_choice` names, else the one whose name
//!    and description share most words with the last user message (module `tool`).
//! 3. Where a JSON Schema is given it fills it (`fill`): an `enum` by keywords (`classify`), a member by
//!    what the prompt says of it (`source`), the rest with values of the right type.
//! 4. Else it says that it is the offline model, and what it was asked.
//!
//! A token, here, is what the module `tokens` says. It calls no custom tools and no legacy `functions`, sees no images,
//! does not honour `pattern` in schemas, and gives `n` times the same answer.

mod answer;
mod classify;
mod endpoint;
mod fill;
mod number;
mod prompt;
mod schema;
mod source;
mod tokens;
mod tool;

pub use endpoint::{MODEL, OfflineModel};
