//! The doors: every place where a value leaves a tenant, or where the origin of a value is vouched for,
//! stands on a list with its count and reason. A review of the list is a review of what can leave.

use super::list;
use crate::repo::{Repo, Source, levels};
use proc_macro2::TokenTree;
use std::collections::{BTreeMap, BTreeSet};

const LIST: &str = "xtask/lists/doors.txt";
const MODULE: &str = "crates/context/src/door.rs";

/// Functions outside the module of doors that are as sensitive: type and name.
const ALIKE: &[(&str, &str)] = &[("Origin", "authenticated"), ("Private", "sent")];

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut doors: Vec<_> =
        ALIKE.iter().map(|(owner, name)| ((*owner).to_owned(), (*name).to_owned())).collect();
    if let Some(module) = repo.sources.iter().find(|source| source.path == MODULE) {
        doors.extend(public_functions(&module.live).map(|name| ("door".to_owned(), name)));
    }
    let mut found = BTreeSet::new();
    let mut findings = Vec::new();
    for source in repo.sources.iter().filter(|source| !source.test && source.path != MODULE) {
        for (call, count) in calls(source, &doors) {
            found.insert(format!("{} {call} {count}", source.path));
        }
        findings.extend(hidden(source, &doors).into_iter().map(|name| {
            format!("{}: write `door::{name}(…)` in full, so that the list sees it", source.path)
        }));
    }
    findings.extend(list::compare(repo, LIST, &found));
    Ok(findings)
}

fn public_functions(file: &syn::File) -> impl Iterator<Item = String> {
    file.items.iter().filter_map(|item| match item {
        syn::Item::Fn(function) if matches!(function.vis, syn::Visibility::Public(_)) => {
            Some(function.sig.ident.to_string())
        }
        _ => None,
    })
}

/// How often each door is named. A door that is passed on as a function counts like a call.
fn calls(source: &Source, doors: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for level in levels(&source.live_tokens) {
        for window in level.windows(4) {
            let [TokenTree::Ident(owner), TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(name)] =
                window
            else {
                continue;
            };
            if a.as_char() == ':'
                && b.as_char() == ':'
                && doors.iter().any(|(door, function)| owner == door && name == function)
            {
                *counts.entry(format!("{owner}::{name}")).or_default() += 1;
            }
        }
    }
    counts
}

/// Names by which an import would let a door be called without its module's name.
fn hidden(source: &Source, doors: &[(String, String)]) -> Vec<String> {
    let mut uses = Uses { doors, within: Vec::new(), hidden: Vec::new() };
    syn::visit::Visit::visit_file(&mut uses, &source.live);
    uses.hidden
}

struct Uses<'d> {
    doors: &'d [(String, String)],
    within: Vec<String>,
    hidden: Vec<String>,
}

impl Uses<'_> {
    fn owners(&self, name: &syn::Ident) -> bool {
        self.doors.iter().any(|(owner, _)| name == owner)
    }

    fn in_owner(&self) -> Option<&String> {
        self.within.last().filter(|last| self.doors.iter().any(|(owner, _)| owner == *last))
    }
}

impl<'a> syn::visit::Visit<'a> for Uses<'_> {
    fn visit_use_path(&mut self, path: &'a syn::UsePath) {
        self.within.push(path.ident.to_string());
        syn::visit::visit_use_path(self, path);
        self.within.pop();
    }

    fn visit_use_name(&mut self, name: &'a syn::UseName) {
        let Some(owner) = self.in_owner() else { return };
        if self.doors.iter().any(|(door, function)| door == owner && name.ident == function) {
            self.hidden.push(name.ident.to_string());
        }
    }

    fn visit_use_rename(&mut self, rename: &'a syn::UseRename) {
        if self.in_owner().is_some() || self.owners(&rename.ident) {
            self.hidden.push(rename.ident.to_string());
        }
    }

    fn visit_use_glob(&mut self, _: &'a syn::UseGlob) {
        if self.in_owner().is_some() {
            self.hidden.push("*".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LIST, MODULE, check};
    use crate::tidy::fixture::repo;

    const DOOR: (&str, &str) = (MODULE, "pub fn answer() {} pub fn tool() {} fn pass() {}");

    fn findings(text: &str, list: &str) -> Vec<String> {
        check(&repo(&[DOOR, ("a.rs", text), (LIST, list)], &[])).unwrap()
    }

    #[test]
    fn every_call_is_counted_and_listed() {
        let text =
            "fn f() { door::answer(a, b); g!(context::door::answer(c)); h.map(door::tool); door::pass(); }";
        let list = "a.rs door::answer 2 # the two answers\na.rs door::tool 1 # the one tool";
        assert_eq!(findings(text, list), Vec::<String>::new());
        assert_eq!(findings(text, "").len(), 2);
        assert_eq!(findings(text, &list.replace("answer 2", "answer 1")).len(), 2);
    }

    #[test]
    fn an_origin_that_is_vouched_for_is_listed_too() {
        assert_eq!(findings("fn f() { Origin::authenticated(id); }", "").len(), 1);
    }

    #[test]
    fn a_door_cannot_be_renamed() {
        for text in [
            "use context::door::answer;",
            "use context::{Tenant, door::{tool}};",
            "use context::door::*;",
            "use context::door as gate;",
            "use context::Origin as Source;",
        ] {
            let told = findings(text, "").into_iter().filter(|finding| finding.contains("in full"));
            assert_eq!(told.count(), 1, "{text}");
        }
        assert!(findings("use context::{Origin, door};", "").is_empty());
    }

    #[test]
    fn tests_may_use_doors_freely() {
        assert!(findings("#[cfg(test)] mod tests { fn f() { door::answer(); } }", "").is_empty());
    }
}
