//! The pages in `docs/errors/`, one for each stable code, written from `errors::Code`. The `type` of every
//! problem leads to one of them.

use anyhow::Context as _;
use errors::Code;
use std::fmt::Write as _;
use std::path::Path;

/// Where the pages are.
pub const FOLDER: &str = "docs/errors";

/// Every page: its path from the root, and its text.
pub fn pages() -> Vec<(String, String)> {
    let mut codes: Vec<_> = Code::ALL.to_vec();
    codes.sort_by_key(|code| (code.status(), code.as_str()));
    let mut pages = vec![(format!("{FOLDER}/README.md"), index(&codes))];
    pages.extend(codes.iter().map(|code| (format!("{FOLDER}/{code}.md"), code.page())));
    pages
}

/// Writes every page and takes out those of codes that are gone. Gives how many there are.
pub fn write(root: &Path) -> anyhow::Result<usize> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let pages = pages();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if !pages.iter().any(|(page, _)| root.join(page) == path) {
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    for (path, text) in &pages {
        std::fs::write(root.join(path), text).with_context(|| path.clone())?;
    }
    Ok(pages.len())
}

fn index(codes: &[Code]) -> String {
    let mut text = String::from(
        "# Error codes\n\nEvery refusal is `application/problem+json` (RFC 9457) with one of these codes in `code`. \
         A code's text never changes once released. `cargo xtask errors` writes these pages from \
         `crates/errors/src/code.rs`.\n\n| code | status | what it means |\n|---|---|---|\n",
    );
    for code in codes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| [`{code}`]({code}.md) | {} | {} |", code.status(), code.title());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{pages, write};
    use errors::Code;

    #[test]
    fn every_code_has_a_page_that_says_what_to_do() {
        let pages = pages();
        assert_eq!(pages.len(), Code::ALL.len() + 1);
        for code in Code::ALL {
            let (_, page) = pages.iter().find(|(path, _)| *path == format!("docs/errors/{code}.md")).unwrap();
            assert!(page.contains(code.help()) && page.contains(&code.status().to_string()));
            assert!(pages[0].1.contains(&format!("({code}.md)")));
        }
    }

    #[test]
    fn writing_takes_out_what_is_no_page() {
        let root = std::env::temp_dir().join(format!("tenantry-error-pages-{}", std::process::id()));
        let left_over = root.join("docs/errors/long_gone.md");
        std::fs::create_dir_all(left_over.parent().unwrap()).unwrap();
        std::fs::write(&left_over, "old").unwrap();
        assert_eq!(write(&root).unwrap(), Code::ALL.len() + 1);
        assert!(!left_over.exists());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
