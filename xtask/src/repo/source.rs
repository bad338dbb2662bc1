//! One Rust file, parsed, with and without its tests.

use anyhow::Context as _;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Words that open an item; what else follows an attribute is a field, a variant or an argument.
const ITEM_WORDS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];

/// One Rust file.
pub struct Source {
    /// Its path from the root.
    pub path: String,
    /// Whether all of it is tests or benchmarks.
    pub test: bool,
    /// All of its tokens.
    pub tokens: TokenStream,
    /// Its tokens without items that are compiled for tests only.
    pub live_tokens: TokenStream,
    /// The same, parsed.
    pub live: syn::File,
    /// Paths, without `.rs`, of the modules that it declares for tests only.
    pub(super) test_modules: Vec<String>,
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> anyhow::Result<Self> {
        let tokens: TokenStream =
            text.parse().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| path.to_owned())?;
        let mut modules = Vec::new();
        let live_tokens = without_tests(tokens.clone(), &mut modules);
        let live = syn::parse2(live_tokens.clone()).with_context(|| path.to_owned())?;
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let home = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        Ok(Self {
            path: path.to_owned(),
            test: path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "fuzz")),
            tokens,
            live_tokens,
            live,
            test_modules: modules.into_iter().map(|module| format!("{home}/{module}")).collect(),
        })
    }
}

/// The tokens of a stream, one list for each pair of brackets, so that a rule can look for a sequence.
pub fn levels(stream: &TokenStream) -> Vec<Vec<TokenTree>> {
    let mut done = Vec::new();
    let mut waiting = vec![stream.clone()];
    while let Some(stream) = waiting.pop() {
        let trees: Vec<_> = stream.into_iter().collect();
        for tree in &trees {
            if let TokenTree::Group(group) = tree {
                waiting.push(group.stream());
            }
        }
        done.push(trees);
    }
    done
}

fn without_tests(stream: TokenStream, modules: &mut Vec<String>) -> TokenStream {
    let trees: Vec<_> = stream.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        if is_test_attribute(&trees[at..]) {
            let end = end_of_item(&trees, at + 2);
            modules.extend(declared_module(&trees[at + 2..end]));
            at = end;
            continue;
        }
        kept.push(match &trees[at] {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_tests(group.stream(), modules));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            other => other.clone(),
        });
        at += 1;
    }
    kept.into_iter().collect()
}

/// Whether an attribute starts here that leaves its item out of what is shipped.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = trees else { return false };
    if hash.as_char() != '#' || group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let inner: Vec<_> = group.stream().into_iter().collect();
    match inner.as_slice() {
        [TokenTree::Ident(cfg), TokenTree::Group(condition)] if cfg == "cfg" => {
            let condition: Vec<_> = condition.stream().into_iter().collect();
            match condition.as_slice() {
                [TokenTree::Ident(word)] => word == "test",
                [TokenTree::Ident(word), TokenTree::Group(all)] if word == "all" => {
                    all.stream().into_iter().any(|tree| is_word(&tree, "test"))
                }
                _ => false,
            }
        }
        // `#[test]` and `#[tokio::test(…)]`.
        _ => {
            let path: Vec<_> = inner.iter().take_while(|tree| !matches!(tree, TokenTree::Group(_))).collect();
            path.last().is_some_and(|tree| is_word(tree, "test"))
        }
    }
}

fn end_of_item(trees: &[TokenTree], start: usize) -> usize {
    let words: Vec<_> = trees[start..]
        .iter()
        .take_while(|tree| !is_body(tree))
        .filter_map(|tree| if let TokenTree::Ident(word) = tree { Some(word.to_string()) } else { None })
        .collect();
    let first = words.iter().map(String::as_str).find(|word| *word != "pub").unwrap_or_default();
    let item = ITEM_WORDS.contains(&first);
    let without_body = match first {
        "use" | "static" | "type" => true,
        "const" => !words.iter().any(|word| word == "fn"),
        _ => false,
    };
    for (offset, tree) in trees[start..].iter().enumerate() {
        let ends = match tree {
            TokenTree::Punct(mark) => mark.as_char() == ';' || (mark.as_char() == ',' && !item),
            tree => is_body(tree) && !without_body,
        };
        if ends {
            return start + offset + 1;
        }
    }
    trees.len()
}

fn is_body(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn declared_module(item: &[TokenTree]) -> Option<String> {
    match item {
        [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(mark)]
            if word == "mod" && mark.as_char() == ';' =>
        {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn live(text: &str) -> (String, Vec<String>) {
        let source = Source::parse("crates/a/src/b.rs", text).unwrap();
        (source.live_tokens.to_string().replace(' ', ""), source.test_modules)
    }

    #[test]
    fn what_is_compiled_for_tests_only_is_left_out() {
        let (kept, modules) = live(
            "fn one() {} #[test] fn two() {} #[cfg(test)] mod three { fn four() {} } fn five() {} \
             #[tokio::test(start_paused = true)] async fn six() {} #[cfg(test)] use seven::{eight}; \
             #[cfg(test)] const NINE: A = A { b: 1 }; #[cfg(test)] const fn ten() {} fn last() {}",
        );
        assert_eq!(kept, "fnone(){}fnfive(){}fnlast(){}");
        assert_eq!(modules, Vec::<String>::new());
    }

    #[test]
    fn a_field_for_tests_takes_only_itself_along() {
        let (kept, _) = live("struct A { one: u8, #[cfg(test)] two: u8, three: u8 }");
        assert_eq!(kept, "structA{one:u8,three:u8}");
    }

    #[test]
    fn conditions_that_tests_share_with_others_are_kept() {
        let (kept, _) = live("#[cfg(any(test, feature = \"x\"))] fn one() {} #[cfg(not(test))] fn two() {}");
        assert!(kept.contains("fnone") && kept.contains("fntwo"));
    }

    #[test]
    fn modules_for_tests_are_named() {
        let (_, modules) = live("#[cfg(test)] mod fakes; #[cfg(test)] pub mod more;");
        assert_eq!(modules, ["crates/a/src/b/fakes", "crates/a/src/b/more"]);
    }
}
