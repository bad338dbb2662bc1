//! Every file says at its top what the room is for, so that a reader can tell whether to go in, and a
//! writer whether something belongs.

use crate::repo::Repo;

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let sources = repo.texts.iter().filter(|text| text.path.ends_with(".rs"));
    let silent = sources.filter(|text| !says(&text.text));
    Ok(silent.map(|text| format!("{}: begin with `//!` and say what the room is for", text.path)).collect())
}

fn says(text: &str) -> bool {
    text.lines().next().and_then(|line| line.strip_prefix("//!")).is_some_and(|line| line.trim().len() >= 10)
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn the_first_line_has_to_say_something() {
        assert!(says("//! What this room is for.\n\nuse a::b;\n"));
        for silent in
            ["", "use a::b;\n", "//!\n", "\n//! What this room is for.\n", "// What this room is for.\n"]
        {
            assert!(!says(silent), "{silent:?}");
        }
    }
}
