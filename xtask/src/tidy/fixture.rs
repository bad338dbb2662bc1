//! Small repositories for the rules' own tests.

use crate::repo::{Dependency, Kind, Package, Repo, Text};

/// A repository of these files and packages.
pub(crate) fn repo(files: &[(&str, &str)], packages: &[Package]) -> Repo {
    let texts = files.iter().map(|(path, text)| Text { path: (*path).into(), text: (*text).into() });
    Repo::of(texts.collect(), packages.to_vec()).unwrap()
}

/// A package in `crates/` with these dependencies of the workspace, `dev:` before those of its tests and
/// `outside:` before other people's.
pub(crate) fn package(name: &str, dependencies: &[&str]) -> Package {
    let dependencies = dependencies.iter().map(|text| {
        let (kind, rest) = match text.strip_prefix("dev:") {
            Some(rest) => (Kind::Dev, rest),
            None => (Kind::Normal, *text),
        };
        let name = rest.trim_start_matches("outside:");
        Dependency { name: name.to_owned(), kind, ours: name == rest }
    });
    Package { name: name.to_owned(), folder: format!("crates/{name}"), dependencies: dependencies.collect() }
}
