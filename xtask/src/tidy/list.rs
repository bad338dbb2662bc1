//! Checked-in lists of exceptions: one entry a line, `entry # reason`. What is found and not listed, and
//! what is listed and no longer found, both fail, so that a list says neither too little nor too much.

use crate::repo::Repo;
use std::collections::{BTreeMap, BTreeSet};

/// Compares what a rule found with the list at this path.
pub(super) fn compare(repo: &Repo, path: &str, found: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut listed = BTreeMap::new();
    for (number, line) in repo.text(path).unwrap_or_default().lines().enumerate() {
        let number = number + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((entry, reason)) = line.split_once(" # ").filter(|(_, reason)| reason.len() >= 10) else {
            findings.push(format!("{path}:{number}: `{line}` gives no reason; write `entry # reason`"));
            continue;
        };
        if listed.insert(entry.trim().to_owned(), reason).is_some() {
            findings.push(format!("{path}:{number}: `{entry}` is listed twice"));
        }
    }
    for entry in found.iter().filter(|entry| !listed.contains_key(*entry)) {
        findings.push(format!("`{entry}` is not in {path}; do without it, or list it with its reason"));
    }
    for entry in listed.keys().filter(|entry| !found.contains(*entry)) {
        findings.push(format!("`{entry}` is in {path} and no longer in the code; take it off the list"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::tidy::fixture::repo;
    use std::collections::BTreeSet;

    #[test]
    fn missing_stale_unreasoned_and_double_entries_are_found() {
        let list = "# about\n\none # a good reason\ntwo # a good reason\ntwo # a good reason\nthree\n";
        let repo = repo(&[("list.txt", list)], &[]);
        let found = BTreeSet::from(["one".to_owned(), "four".to_owned()]);
        let findings = compare(&repo, "list.txt", &found).join("\n");
        for part in [
            "list.txt:5: `two` is listed twice",
            "`three` gives no reason",
            "`four` is not in",
            "`two` is in",
        ] {
            assert!(findings.contains(part), "{part} in {findings}");
        }
        assert!(!findings.contains("`one`"));
    }

    #[test]
    fn a_list_that_agrees_is_quiet() {
        let repo = repo(&[("list.txt", "one # a good reason\n")], &[]);
        assert!(compare(&repo, "list.txt", &BTreeSet::from(["one".to_owned()])).is_empty());
    }
}
