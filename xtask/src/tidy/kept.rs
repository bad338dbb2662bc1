//! Maps that outlive a request: what many requests put into and take out of is where one tenant could
//! meet another's data, and where memory grows without an end. Each stands on a list that says how its
//! keys tell tenants apart and what bounds it.
//!
//! Found by their types: a field that holds both a lock and a map, directly or through structs of the same
//! crate, or that is a concurrent map or cache. A map that a long-lived task keeps to itself is not found.

use super::list;
use super::statics::Idents;
use crate::repo::Repo;
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

const LIST: &str = "xtask/lists/maps.txt";

const MAPS: &[&str] =
    &["BTreeMap", "BTreeSet", "HashMap", "HashSet", "IndexMap", "IndexSet", "LruCache", "Slab"];
const LOCKS: &[&str] = &["ArcSwap", "Mutex", "RefCell", "ReentrantMutex", "RwLock"];
const CONCURRENT: &[&str] = &["Cache", "DashMap", "DashSet", "SkipMap", "SkipSet"];

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut crates = BTreeMap::<&str, Vec<Field>>::new();
    for source in repo.sources.iter().filter(|source| !source.test) {
        let home = repo.package_of(&source.path).map_or("", |package| package.name.as_str());
        let mut fields = Fields { path: &source.path, place: String::new(), fields: Vec::new() };
        fields.visit_file(&source.live);
        crates.entry(home).or_default().extend(fields.fields);
    }
    let found = crates.values().flat_map(|fields| kept(fields)).collect();
    Ok(list::compare(repo, LIST, &found))
}

/// A field, or a type alias, which is like a field of its own name.
struct Field {
    owner: String,
    entry: String,
    idents: Idents,
}

fn kept(fields: &[Field]) -> Vec<String> {
    let mut holders = BTreeSet::<&str>::new();
    loop {
        let before = holders.len();
        for field in fields {
            if field.idents.any_in(MAPS)
                || field.idents.0.iter().any(|ident| holders.contains(ident.as_str()))
            {
                holders.insert(&field.owner);
            }
        }
        if holders.len() == before {
            break;
        }
    }
    let held = |field: &&Field| {
        let map =
            field.idents.any_in(MAPS) || field.idents.0.iter().any(|ident| holders.contains(ident.as_str()));
        field.idents.any_in(CONCURRENT) || (field.idents.any_in(LOCKS) && map)
    };
    fields.iter().filter(held).map(|field| field.entry.clone()).collect()
}

struct Fields<'f> {
    path: &'f str,
    place: String,
    fields: Vec<Field>,
}

impl Fields<'_> {
    fn within(&mut self, name: &syn::Ident, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.place, name.to_string());
        visit(self);
        self.place = outer;
    }

    fn note(&mut self, place: &str, ty: &syn::Type) {
        let entry = format!("{} {place}", self.path);
        let owner = place.split('.').next().unwrap_or(place).to_owned();
        self.fields.push(Field { owner, entry, idents: Idents::of(ty) });
    }
}

impl<'a> Visit<'a> for Fields<'_> {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.within(&item.ident, |inner| visit::visit_item_struct(inner, item));
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.within(&item.ident, |inner| visit::visit_item_enum(inner, item));
    }

    fn visit_item_static(&mut self, item: &'a syn::ItemStatic) {
        self.note(&item.ident.to_string(), &item.ty);
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.note(&item.ident.to_string(), &item.ty);
    }

    fn visit_field(&mut self, field: &'a syn::Field) {
        let name = field.ident.as_ref().map_or("0".to_owned(), ToString::to_string);
        let place = format!("{}.{name}", self.place);
        self.note(&place, &field.ty);
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::fixture::repo;

    fn entries(text: &str) -> Vec<String> {
        let findings = check(&repo(&[("a.rs", text)], &[])).unwrap();
        findings.iter().filter_map(|finding| finding.split('`').nth(1)).map(str::to_owned).collect()
    }

    #[test]
    fn a_map_behind_a_lock_is_found() {
        assert_eq!(entries("struct A { b: Mutex<HashMap<u8, u8>> }"), ["a.rs A.b"]);
        assert_eq!(entries("struct A { b: Arc<RwLock<std::collections::BTreeMap<u8, u8>>> }"), ["a.rs A.b"]);
        assert_eq!(entries("struct A(parking_lot::Mutex<LruCache<u8, u8>>);"), ["a.rs A.0"]);
        assert_eq!(entries("static A: Mutex<BTreeSet<u8>> = Mutex::new(BTreeSet::new());"), ["a.rs A"]);
    }

    #[test]
    fn a_concurrent_map_needs_no_lock() {
        assert_eq!(entries("struct A { b: Arc<DashMap<u8, u8>> }"), ["a.rs A.b"]);
        assert_eq!(entries("struct A { b: moka::sync::Cache<u8, u8> }"), ["a.rs A.b"]);
    }

    #[test]
    fn a_map_inside_a_locked_struct_is_found() {
        let text =
            "struct A { b: Mutex<State> } struct State { inner: Deep } struct Deep { map: HashMap<u8, u8> }";
        assert_eq!(entries(text), ["a.rs A.b"]);
        assert_eq!(entries("type Table = HashMap<u8, u8>; struct A { b: Mutex<Table> }"), ["a.rs A.b"]);
    }

    #[test]
    fn a_map_or_a_lock_alone_is_not() {
        assert!(entries("struct A { b: HashMap<u8, u8>, c: Mutex<u8> }").is_empty());
        assert!(entries("#[cfg(test)] mod tests { struct A { b: Mutex<HashMap<u8, u8>> } }").is_empty());
    }
}
