//! The project's own chores: the repository's rules, the pages made from code, the table of
//! prices.

pub mod error_pages;
pub mod prices;
pub mod repo;
pub mod tidy;
