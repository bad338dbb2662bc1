//! The repository's rules, each in a file of its own. The tests run them all; `cargo xtask tidy` prints
//! what they find.

mod doors;
mod edges;
mod error_pages;
mod kept;
mod list;
mod manifest;
mod rooms;
mod sizes;
mod statics;
mod tasks;
mod unsafe_code;
mod words;

#[cfg(test)]
pub(crate) mod fixture;

use crate::repo::Repo;

/// One rule.
pub struct Rule {
    /// What it is called in a finding.
    pub name: &'static str,
    /// Gives one line for each place that breaks it, saying what to do.
    pub check: fn(&Repo) -> anyhow::Result<Vec<String>>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule { name: "edges", check: edges::check },
    Rule { name: "manifest", check: manifest::check },
    Rule { name: "sizes", check: sizes::check },
    Rule { name: "rooms", check: rooms::check },
    Rule { name: "unsafe", check: unsafe_code::check },
    Rule { name: "statics", check: statics::check },
    Rule { name: "tasks", check: tasks::check },
    Rule { name: "maps", check: kept::check },
    Rule { name: "doors", check: doors::check },
    Rule { name: "words", check: words::check },
    Rule { name: "error_pages", check: error_pages::check },
];
