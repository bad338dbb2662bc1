//! Every rule holds on this repository. One test a rule, so that a failure says which.

use xtask::{repo, tidy};

fn findings(name: &str) -> anyhow::Result<Vec<String>> {
    let repo = repo::Repo::load(&repo::root())?;
    let mut findings = Vec::new();
    for rule in tidy::RULES.iter().filter(|rule| rule.name == name) {
        findings.extend((rule.check)(&repo)?);
    }
    Ok(findings)
}

macro_rules! rules {
    ($($name:ident $rule:literal)*) => {
        $(#[test]
        fn $name() {
            let findings = findings($rule).unwrap();
            assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
        })*
        const TESTED: &[&str] = &[$($rule,)*];
    };
}

rules! {
    edges "edges"
    manifest "manifest"
    sizes "sizes"
    rooms "rooms"
    unsafe_code "unsafe"
    statics "statics"
    tasks "tasks"
    maps "maps"
    doors "doors"
    words "words"
    error_pages "error_pages"
}

#[test]
fn every_rule_has_its_test() {
    let rules: Vec<_> = tidy::RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rules, TESTED);
}
