//! The pages of the error codes say what the code says.

use crate::error_pages::{FOLDER, pages};
use crate::repo::Repo;
use std::collections::BTreeMap;

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let expected: BTreeMap<_, _> = pages().into_iter().collect();
    let mut findings = Vec::new();
    for (path, page) in &expected {
        if repo.text(path) != Some(page) {
            findings.push(format!("{path} does not match crates/errors; run `cargo xtask errors`"));
        }
    }
    for text in repo.texts.iter().filter(|text| text.path.starts_with(&format!("{FOLDER}/"))) {
        if !expected.contains_key(&text.path) {
            findings.push(format!("{} is the page of no code; take it out", text.path));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::error_pages::pages;
    use crate::tidy::fixture::repo;

    #[test]
    fn missing_altered_and_left_over_pages_are_found() {
        let mut pages = pages();
        let findings = |pages: &[(String, String)]| {
            let files: Vec<_> = pages.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            check(&repo(&files, &[])).unwrap().len()
        };
        assert_eq!(findings(&pages), 0);
        pages[0].1.push('x');
        assert_eq!(findings(&pages), 1);
        pages.remove(0);
        assert_eq!(findings(&pages), 1);
        pages.push(("docs/errors/long_gone.md".to_owned(), String::new()));
        assert_eq!(findings(&pages), 2);
    }
}
