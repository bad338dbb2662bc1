//! How long files and functions are, and how much of the whole one crate may be. Short ones can be read
//! in one go, and what keeps growing shows before it is too late to divide.

use super::list;
use crate::repo::Repo;
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

const FILE: usize = 400;
const FILE_EVER: usize = 700;
const FUNCTION: usize = 70;
const FUNCTION_P95: usize = 40;
/// Fewer functions than this say nothing about a percentile.
const FUNCTIONS_AT_LEAST: usize = 100;
const CRATE_PERCENT: usize = 20;
/// Below this many lines, one crate may well be most of the project.
const LINES_AT_LEAST: usize = 8_000;
const LONG_FILES: &str = "xtask/lists/long-files.txt";

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut findings = files(repo);
    findings.extend(functions(repo));
    findings.extend(crates(repo));
    Ok(findings)
}

fn rust(repo: &Repo) -> impl Iterator<Item = (&str, usize)> {
    let sources = repo.texts.iter().filter(|text| text.path.ends_with(".rs"));
    sources.map(|text| (text.path.as_str(), text.text.lines().count()))
}

fn files(repo: &Repo) -> Vec<String> {
    let long: BTreeSet<_> =
        rust(repo).filter(|(_, lines)| *lines > FILE).map(|(path, _)| path.to_owned()).collect();
    let mut findings = list::compare(repo, LONG_FILES, &long);
    let too_long = rust(repo).filter(|(_, lines)| *lines > FILE_EVER);
    findings.extend(
        too_long.map(|(path, lines)| format!("{path} has {lines} lines, and {FILE_EVER} is the end")),
    );
    findings
}

#[derive(Default)]
struct Functions(Vec<(usize, usize)>);

impl Functions {
    fn note(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.fn_token.span.start().line;
        self.0.push((start, block.brace_token.span.close().end().line + 1 - start));
    }
}

impl<'a> Visit<'a> for Functions {
    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.note(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn functions(repo: &Repo) -> Vec<String> {
    let mut findings = Vec::new();
    let mut all = Vec::new();
    for source in repo.sources.iter().filter(|source| !source.test) {
        let mut functions = Functions::default();
        functions.visit_file(&source.live);
        for (line, length) in functions.0 {
            all.push(length);
            if length > FUNCTION {
                findings.push(format!(
                    "{}:{line}: a function of {length} lines, and {FUNCTION} is the end",
                    source.path
                ));
            }
        }
    }
    all.sort_unstable();
    if all.len() >= FUNCTIONS_AT_LEAST
        && let Some(p95) = all.get(all.len() * 95 / 100)
        && *p95 > FUNCTION_P95
    {
        findings
            .push(format!("one function in twenty has {p95} lines or more, and {FUNCTION_P95} is the end"));
    }
    findings
}

fn crates(repo: &Repo) -> Vec<String> {
    let mut shares = BTreeMap::<&str, usize>::new();
    for (path, lines) in rust(repo) {
        if let Some(package) = repo.package_of(path) {
            *shares.entry(&package.name).or_default() += lines;
        }
    }
    let total: usize = shares.values().sum();
    let too_big =
        shares.iter().filter(|(_, lines)| total > LINES_AT_LEAST && **lines * 100 > total * CRATE_PERCENT);
    too_big
        .map(|(name, lines)| {
            format!(
                "`{name}` has {lines} of {total} lines; more than {CRATE_PERCENT} % wants to be two crates"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::fixture::{package, repo};

    fn function(lines: usize) -> String {
        format!("fn a() {{\n{}}}\n", "    b();\n".repeat(lines - 2))
    }

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&repo(&[(path, text)], &[])).unwrap()
    }

    #[test]
    fn a_function_may_have_seventy_lines_and_not_one_more() {
        assert!(findings("a.rs", &function(70)).is_empty());
        assert_eq!(findings("a.rs", &function(71)), ["a.rs:1: a function of 71 lines, and 70 is the end"]);
        let method = format!("struct A;\nimpl A {{\n{}}}\n", function(71));
        assert_eq!(findings("a.rs", &method), ["a.rs:3: a function of 71 lines, and 70 is the end"]);
        assert!(findings("a.rs", &format!("#[cfg(test)]\nmod tests {{ {} }}", function(71))).is_empty());
        assert!(findings("tests/a.rs", &function(71)).is_empty());
    }

    #[test]
    fn one_function_in_twenty_may_be_long() {
        let some = |long: usize| function(41).repeat(long) + &function(3).repeat(100 - long);
        let about_functions = |text: String| {
            findings("a.rs", &text).into_iter().filter(|finding| finding.contains("twenty")).count()
        };
        assert_eq!(about_functions(some(5)), 1);
        assert_eq!(about_functions(some(4)), 0);
    }

    #[test]
    fn long_files_are_listed_and_very_long_ones_refused() {
        assert!(findings("a.rs", &"//\n".repeat(400)).is_empty());
        assert!(findings("a.rs", &"//\n".repeat(401))[0].contains("is not in xtask/lists/long-files.txt"));
        let listed = [("xtask/lists/long-files.txt", "a.rs # one long table")];
        let with = |lines: usize| {
            let text = "//\n".repeat(lines);
            check(&repo(&[listed[0], ("a.rs", &text)], &[])).unwrap()
        };
        assert!(with(700).is_empty());
        assert_eq!(with(701), ["a.rs has 701 lines, and 700 is the end"]);
        assert!(with(400)[0].contains("take it off the list"));
    }

    #[test]
    fn one_crate_is_at_most_a_fifth_of_a_grown_project() {
        let names = ["a", "b", "c", "d", "e"];
        let packages = names.map(|name| package(name, &[]));
        let sized = |first: usize| {
            let texts: Vec<_> = (0..5 * 5)
                .map(|at| {
                    let lines = if at < 5 { first } else { 330 };
                    (format!("crates/{}/src/f{at}.rs", names[at / 5]), "//\n".repeat(lines))
                })
                .collect();
            let files: Vec<_> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            check(&repo(&files, &packages)).unwrap()
        };
        assert!(sized(330).is_empty());
        assert!(sized(340)[0].starts_with("`a` has 1700 of 8300 lines"));
    }
}
