//! The project's own chores: the repository's rules, the pages made from code, the table of
//! prices, mutants of the code.

pub mod error_pages;
pub mod mutants;
pub mod prices;
pub mod repo;
pub mod tidy;
