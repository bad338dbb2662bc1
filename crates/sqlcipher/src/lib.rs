//! Opens encrypted SQLite files: the one place where SQLCipher is keyed, hardened and copied.
//!
//! A [`Connection`] is made only by [`open`], [`open_plain`] and [`open_memory`], which bring every
//! handle into the same state (see [`OpenOptions`]). It dereferences to rusqlite's own type, which is
//! re-exported as [`Executor`] for functions that take a connection or a [`Transaction`].

mod copy;
mod ffi;
mod integrity;
mod open;
mod process;
mod status;

pub use copy::CopyError;
pub use integrity::integrity;
pub use open::{Connection, Durability, OpenError, OpenOptions, open, open_memory, open_plain};
pub use process::{SetUpError, init};
pub use rusqlite::types;
pub use rusqlite::{
    CachedStatement, Connection as Executor, Error, ErrorCode, InterruptHandle, OptionalExtension, Params,
    Row, Rows, Savepoint, Statement, ToSql, Transaction, TransactionBehavior, named_params, params,
    params_from_iter,
};
pub use status::{application_id, set_application_id, set_user_version, user_version};

#[cfg(test)]
mod tests;
