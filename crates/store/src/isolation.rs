//! How a tenant's data is kept apart from all others'.

use std::fmt;

/// A kind of isolation, as `isolation` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// A file of its own, which only this node opens.
    Embedded,
    /// Tables that tenants share, each row behind row-level security.
    Pooled,
    /// A schema and a role of its own in the shared database.
    Schema,
    /// A database and a role of its own.
    Dedicated,
}

impl Isolation {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Embedded, Self::Pooled, Self::Schema, Self::Dedicated];

    /// Its name in the interface and where it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Pooled => "pooled",
            Self::Schema => "schema",
            Self::Dedicated => "dedicated",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
