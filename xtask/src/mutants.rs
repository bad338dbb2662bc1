//! Mutants of our own code: each drops one tenant predicate, key part, origin check or access check. The attack
//! suite has to notice; what it does not notice, the crate's own tests have to. `cargo xtask mutants` makes
//! them one after the other in a copy of the repository, and writes what killed each into
//! `xtask/lists/mutants-result.txt`.
//!
//! Places are found by three patterns in the syntax, and in `xtask/lists/mutants.txt`, which holds what no
//! pattern finds, each with its reason.

mod patterns;
mod results;
mod run;

pub use run::{Settings, run};

use crate::repo::Repo;
use anyhow::{bail, ensure};
use std::collections::BTreeMap;
use std::ops::Range;

const LIST: &str = "xtask/lists/mutants.txt";
/// Crates that are not part of a server: attackers, measuring and tests are not attacked.
const BESIDE: [&str; 9] = [
    "crates/verify/",
    "crates/demo/",
    "crates/cli/",
    "crates/client/",
    "crates/bench/",
    "crates/store-tests/",
    "crates/store-memory/",
    "crates/admission-fixture/",
    "crates/compile-fail/",
];

/// One change of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The file, from the root.
    pub file: String,
    /// What it does, as it stands in the result.
    pub name: String,
    /// What stands in the place of what, from the file's end to its beginning.
    edits: Vec<(Range<usize>, String)>,
}

impl Mutant {
    /// The file's text with the change.
    pub fn applied(&self, text: &str) -> String {
        let mut changed = text.to_owned();
        for (range, after) in &self.edits {
            changed.replace_range(range.clone(), after);
        }
        changed
    }
}

/// Every mutant of this repository.
pub fn all(repo: &Repo) -> anyhow::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for (number, line) in repo.text(LIST).unwrap_or_default().lines().enumerate() {
        if !line.trim().is_empty() && !line.starts_with('#') {
            let listed =
                listed(repo, line).map_err(|error| anyhow::anyhow!("{LIST}:{}: {error}", number + 1));
            mutants.push(listed?);
        }
    }
    for source in &repo.sources {
        let served = source.path.starts_with("crates/") && source.path.contains("/src/");
        if !served || source.test || BESIDE.iter().any(|beside| source.path.starts_with(beside)) {
            continue;
        }
        let text = repo.text(&source.path).unwrap_or_default();
        mutants.extend(patterns::of(&source.path, text, &source.live));
    }
    let mut seen = BTreeMap::<(String, String), usize>::new();
    for mutant in &mut mutants {
        // What stands several times in a file is told apart by its number.
        let count = seen.entry((mutant.file.clone(), mutant.name.clone())).or_default();
        *count += 1;
        if *count > 1 {
            mutant.name = format!("{} ({count})", mutant.name);
        }
    }
    Ok(mutants)
}

/// Reads `file | before ==> after ;; before ==> after # reason`. Every place with that text is changed.
fn listed(repo: &Repo, line: &str) -> anyhow::Result<Mutant> {
    let Some((entry, reason)) = line.rsplit_once(" # ") else { bail!("gives no reason") };
    ensure!(reason.len() >= 10, "gives no reason");
    let Some((file, changes)) = entry.split_once(" | ") else { bail!("names no file") };
    let Some(text) = repo.text(file) else { bail!("there is no {file}") };
    let mut edits = Vec::new();
    for change in changes.split(" ;; ") {
        let Some((before, after)) = change.split_once(" ==> ") else { bail!("says not what becomes of it") };
        let (before, after) = (before.trim(), after.trim());
        let after = if after == "nothing" { "" } else { after };
        let found: Vec<_> = text.match_indices(before).map(|(at, _)| at..at + before.len()).collect();
        ensure!(!found.is_empty(), "`{before}` does not stand in {file} any more");
        edits.extend(found.into_iter().map(|range| (range, after.to_owned())));
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    Ok(Mutant { file: file.to_owned(), name: changes.trim().to_owned(), edits })
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::tidy::fixture::{package, repo};

    #[test]
    fn patterns_and_the_list_give_mutants() {
        let code = "fn a(t: T) -> R {\n    t.authorize::<Read<on::Model>>()?;\n    if t.tenant != u.tenant { return no(); }\n    \
                    mac.update(kind.as_bytes());\n    b(key == KEY)\n}\n";
        let list = "# about\ncrates/a/src/lib.rs | KEY ==> OTHER ;; no() ==> yes() # because of that\n";
        let files = [("crates/a/src/lib.rs", code), ("xtask/lists/mutants.txt", list)];
        let mutants = all(&repo(&files, &[package("a", &[])])).unwrap();
        let applied: Vec<_> = mutants.iter().map(|mutant| mutant.applied(code)).collect();
        assert_eq!(mutants.len(), 4, "{mutants:?}");
        assert!(applied.iter().any(|text| !text.contains("authorize")));
        assert!(applied.iter().any(|text| text.contains("if false { return no(); }")));
        assert!(applied.iter().any(|text| text.contains("mac.update([0u8; 0].as_slice())")));
        assert!(applied.iter().any(|text| text.contains("b(key == OTHER)") && text.contains("yes()")));
    }

    #[test]
    fn what_stands_several_times_is_told_apart() {
        let code =
            "fn a(t: T) {\n".to_owned() + &"    t.authorize::<Read<on::Model>>()?;\n".repeat(4) + "}\n";
        let files = [("crates/a/src/lib.rs", code.as_str())];
        let mutants = all(&repo(&files, &[package("a", &[])])).unwrap();
        let names: std::collections::BTreeSet<_> = mutants.iter().map(|mutant| &mutant.name).collect();
        assert_eq!((mutants.len(), names.len()), (4, 4), "{mutants:?}");
    }

    #[test]
    fn every_place_on_the_list_is_in_the_code() {
        let repo = crate::repo::Repo::load(&crate::repo::root()).unwrap();
        let mutants = all(&repo).unwrap();
        assert!(mutants.len() > 60, "{}", mutants.len());
    }
}
