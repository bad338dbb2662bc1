//! The crates with unsafe code: each on a list with its reason, all others without the word.

use super::list;
use crate::repo::{Repo, levels};
use proc_macro2::TokenTree;
use std::collections::BTreeSet;

const LIST: &str = "xtask/lists/unsafe.txt";

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for source in &repo.sources {
        // Tokens and not syntax, because what a macro is given counts too.
        let any = levels(&source.tokens)
            .iter()
            .flatten()
            .any(|tree| matches!(tree, TokenTree::Ident(word) if word == "unsafe"));
        if any {
            found.insert(
                repo.package_of(&source.path).map_or(source.path.clone(), |package| package.name.clone()),
            );
        }
    }
    Ok(list::compare(repo, LIST, &found))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::fixture::{package, repo};

    fn findings(text: &str) -> usize {
        let packages = [package("a", &[])];
        check(&repo(&[("crates/a/src/lib.rs", text)], &packages)).unwrap().len()
    }

    #[test]
    fn blocks_functions_impls_attributes_and_macros_count() {
        for text in [
            "fn a() { unsafe { b() } }",
            "unsafe fn a() {}",
            "unsafe impl A for B {}",
            "#[unsafe(no_mangle)] fn a() {}",
            "unsafe extern \"C\" { fn a(); }",
            "fn a() { b!(unsafe { c() }) }",
            "#[cfg(test)] mod tests { fn a() { unsafe { b() } } }",
        ] {
            assert_eq!(findings(text), 1, "{text}");
        }
    }

    #[test]
    fn words_in_names_texts_and_comments_do_not() {
        assert_eq!(findings("#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";"), 0);
    }
}
