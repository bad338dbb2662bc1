//! Pages of lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many at most.
    pub limit: u32,
    /// Where to go on: the `next_cursor` of the page before. Sealed under the tenant's key, so another
    /// tenant's cursor is no cursor at all.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// What is returned where the caller does not say.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// The most that one page holds.
    pub const MAX_LIMIT: u32 = 500;

    /// A request for the first page of the default size.
    pub fn first() -> Self {
        Self { limit: Self::DEFAULT_LIMIT, cursor: None }
    }

    /// A request for the first page with the largest size.
    pub fn largest() -> Self {
        Self { limit: Self::MAX_LIMIT, cursor: None }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The objects.
    pub data: Vec<T>,
    /// Where to go on, if there is more.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page with every object transformed.
    pub fn map<U>(self, transform: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(transform).collect(), next_cursor: self.next_cursor }
    }
}
