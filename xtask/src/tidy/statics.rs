//! State that belongs to the process and not to a request: every `static` but plain constant tables,
//! every cell that is filled once, every thread-local. One tenant's data must not wait there for
//! another's request, so each stands on a list with its reason.

use super::list;
use crate::repo::Repo;
use std::collections::BTreeSet;
use syn::visit::{self, Visit};

const LIST: &str = "xtask/lists/statics.txt";

/// Types that are filled once and kept.
const CELLS: &[&str] = &["Lazy", "LazyCell", "LazyLock", "OnceBox", "OnceCell", "OnceLock", "SetOnce"];

/// Macros that make state of a thread or of the process.
const MACROS: &[&str] = &["lazy_static", "task_local", "thread_local"];

/// What a static may be made of without being listed: it cannot change.
const PLAIN: &[&str] = &[
    "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16", "u32",
    "u64", "u8", "usize",
];

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for source in repo.sources.iter().filter(|source| !source.test) {
        let mut visitor = Statics { path: &source.path, place: String::new(), found: &mut found };
        visitor.visit_file(&source.live);
    }
    Ok(list::compare(repo, LIST, &found))
}

struct Statics<'f> {
    path: &'f str,
    place: String,
    found: &'f mut BTreeSet<String>,
}

impl Statics<'_> {
    fn note(&mut self, what: &str) {
        self.found.insert(format!("{} {what}", self.path));
    }

    fn within(&mut self, name: &syn::Ident, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.place, name.to_string());
        visit(self);
        self.place = outer;
    }
}

impl<'a> Visit<'a> for Statics<'_> {
    fn visit_item_static(&mut self, item: &'a syn::ItemStatic) {
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) || !Idents::of(&item.ty).all_in(PLAIN) {
            self.note(&item.ident.to_string());
        }
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.within(&item.ident, |inner| visit::visit_item_struct(inner, item));
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.within(&item.ident, |inner| visit::visit_item_enum(inner, item));
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        if Idents::of(&item.ty).any_in(CELLS) {
            self.note(&item.ident.to_string());
        }
    }

    fn visit_field(&mut self, field: &'a syn::Field) {
        if Idents::of(&field.ty).any_in(CELLS) {
            let name = field.ident.as_ref().map_or("0".to_owned(), ToString::to_string);
            self.note(&format!("{}.{name}", self.place));
        }
    }

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        if let Some(name) =
            item.path.segments.last().filter(|name| MACROS.iter().any(|known| name.ident == known))
        {
            self.note(&format!("{}!", name.ident));
        }
        visit::visit_macro(self, item);
    }
}

/// The names that a type is made of.
pub(super) struct Idents(pub(super) BTreeSet<String>);

impl Idents {
    pub(super) fn of(ty: &syn::Type) -> Self {
        let mut idents = Self(BTreeSet::new());
        idents.visit_type(ty);
        idents
    }

    pub(super) fn any_in(&self, names: &[&str]) -> bool {
        self.0.iter().any(|ident| names.contains(&ident.as_str()))
    }

    fn all_in(&self, names: &[&str]) -> bool {
        self.0.iter().all(|ident| names.contains(&ident.as_str()))
    }
}

impl<'a> Visit<'a> for Idents {
    fn visit_path_segment(&mut self, segment: &'a syn::PathSegment) {
        self.0.insert(segment.ident.to_string());
        visit::visit_path_segment(self, segment);
    }

    // A length is no part of what the type holds.
    fn visit_expr(&mut self, _: &'a syn::Expr) {}
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::fixture::repo;

    fn found(text: &str) -> Vec<String> {
        check(&repo(&[("a.rs", text)], &[])).unwrap()
    }

    #[test]
    fn state_of_the_process_is_found_wherever_it_hides() {
        for (text, entry) in [
            ("static A: Mutex<u8> = Mutex::new(0);", "a.rs A"),
            ("static mut A: u8 = 0;", "a.rs A"),
            ("fn f() { static A: AtomicU64 = AtomicU64::new(0); }", "a.rs A"),
            ("static A: OnceLock<u8> = OnceLock::new();", "a.rs A"),
            ("struct A { b: Arc<OnceLock<u8>> }", "a.rs A.b"),
            ("struct A(std::cell::OnceCell<u8>);", "a.rs A.0"),
            ("enum A { B { c: LazyLock<u8> } }", "a.rs A.c"),
            ("thread_local! { static A: u8 = 0; }", "a.rs thread_local!"),
            ("fn f() { thread_local! { static A: u8 = 0; } }", "a.rs thread_local!"),
            ("type A = OnceCell<u8>;", "a.rs A"),
        ] {
            let findings = found(text);
            assert_eq!(findings.len(), 1, "{text}");
            assert!(findings[0].starts_with(&format!("`{entry}` is not in")), "{text}: {findings:?}");
        }
    }

    #[test]
    fn constant_tables_and_tests_are_left_alone() {
        assert!(found("static A: [(&str, u8); SIZE] = [(\"a\", 1)];").is_empty());
        assert!(found("static A: &[&'static str] = &[];").is_empty());
        assert!(found("#[cfg(test)] static A: OnceLock<u8> = OnceLock::new();").is_empty());
    }
}
