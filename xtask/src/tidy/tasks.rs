//! Where tasks are started that outlive the call that starts them: each file on a list, with what ends them
//! and what bounds their number. A task that nobody waits for is lost when the server stops.

use super::list;
use crate::repo::{Repo, levels};
use proc_macro2::TokenTree;
use std::collections::BTreeSet;

const LIST: &str = "xtask/lists/tasks.txt";

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let live = repo.sources.iter().filter(|source| !source.test);
    let found: BTreeSet<_> = live
        .filter(|source| levels(&source.live_tokens).iter().any(|level| starts_a_task(level)))
        .map(|source| source.path.clone())
        .collect();
    Ok(list::compare(repo, LIST, &found))
}

/// Whether `tokio::spawn` is named, or the runtime that runs the code, which can spawn as well.
fn starts_a_task(level: &[TokenTree]) -> bool {
    level.windows(4).any(|part| match part {
        [TokenTree::Ident(from), TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Ident(name)] => {
            (from == "tokio" && name == "spawn")
                || (from == "Handle" && (name == "current" || name == "try_current"))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::fixture::{package, repo};

    fn findings(text: &str) -> usize {
        check(&repo(&[("crates/a/src/lib.rs", text)], &[package("a", &[])])).unwrap().len()
    }

    #[test]
    fn tasks_are_found_outside_tests_alone() {
        assert_eq!(findings("fn a() { tokio::spawn(async {}); }"), 1);
        assert_eq!(findings("use tokio::spawn; fn a() { b(spawn); }"), 1);
        assert_eq!(findings("fn a() { let runtime = Handle::current(); runtime.spawn(b); }"), 1);
        assert_eq!(findings("#[cfg(test)] mod tests { fn a() { tokio::spawn(async {}); } }"), 0);
        assert_eq!(findings("fn a() { tokio::time::sleep(b); set.spawn(c); }"), 0);
    }
}
