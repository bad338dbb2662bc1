//! The repository as the rules see it: its text files, its parsed Rust sources, its packages.

mod source;

pub use source::{Source, levels};

use anyhow::{Context as _, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that no rule looks into: build output, other people's packages, data of a local server.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "__pycache__", ".venv", "data"];

/// One text file.
pub struct Text {
    /// Its path from the root, with `/` between parts.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// When a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In the crate itself.
    Normal,
    /// In its tests only.
    Dev,
    /// In its build script.
    Build,
}

/// One line of a package's dependencies.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The package depended on.
    pub name: String,
    /// When it is used.
    pub kind: Kind,
    /// Whether it is a package of this workspace.
    pub ours: bool,
}

/// One package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder from the root.
    pub folder: String,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// Everything that the rules look at.
pub struct Repo {
    /// Every text file.
    pub texts: Vec<Text>,
    /// Every Rust file.
    pub sources: Vec<Source>,
    /// Every package of the workspace.
    pub packages: Vec<Package>,
}

/// The repository that this crate was built in.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

impl Repo {
    /// Reads the repository at this root.
    pub fn load(root: &Path) -> anyhow::Result<Self> {
        let mut texts = Vec::new();
        walk(root, root, &mut texts)?;
        texts.sort_by(|a, b| a.path.cmp(&b.path));
        Self::of(texts, packages(root)?)
    }

    /// A repository of these files and packages.
    pub fn of(texts: Vec<Text>, packages: Vec<Package>) -> anyhow::Result<Self> {
        let mut sources = texts
            .iter()
            .filter(|text| text.path.ends_with(".rs"))
            .map(|text| Source::parse(&text.path, &text.text))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut tests = BTreeSet::new();
        for source in &sources {
            tests.extend(source.test_modules.iter().cloned());
        }
        for source in &mut sources {
            let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
            source.test |= tests.iter().any(|test| {
                stem.strip_prefix(test.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
        }
        Ok(Self { texts, sources, packages })
    }

    /// What the file at this path holds.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|text| text.path == path).map(|text| text.text.as_str())
    }

    /// The package whose folder holds this path.
    pub fn package_of(&self, path: &str) -> Option<&Package> {
        let holds =
            |package: &&Package| path.strip_prefix(&package.folder).is_some_and(|rest| rest.starts_with('/'));
        self.packages.iter().filter(holds).max_by_key(|package| package.folder.len())
    }

    /// The package with this name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

fn walk(root: &Path, folder: &Path, texts: &mut Vec<Text>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                walk(root, &path, texts)?;
            }
        } else if kind.is_file() {
            // What is not UTF-8 is a picture or a database, and no rule reads those.
            if let Ok(text) = String::from_utf8(std::fs::read(&path)?) {
                let parts: Vec<_> =
                    path.strip_prefix(root)?.iter().map(|part| part.to_string_lossy()).collect();
                texts.push(Text { path: parts.join("/"), text });
            }
        }
    }
    Ok(())
}

fn packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let root = metadata["workspace_root"].as_str().context("no workspace_root")?;
    let list = metadata["packages"].as_array().context("no packages")?;
    list.iter().map(|package| read_package(root, package)).collect()
}

fn read_package(root: &str, package: &Value) -> anyhow::Result<Package> {
    let manifest = package["manifest_path"].as_str().context("no manifest_path")?;
    let folder = manifest.trim_start_matches(root).trim_start_matches('/').trim_end_matches("/Cargo.toml");
    let mut dependencies = Vec::new();
    for dependency in package["dependencies"].as_array().context("no dependencies")? {
        dependencies.push(Dependency {
            name: dependency["name"].as_str().context("no name")?.to_owned(),
            kind: match dependency["kind"].as_str() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            },
            ours: dependency["path"].is_string(),
        });
    }
    let name = package["name"].as_str().context("no name")?.to_owned();
    Ok(Package { name, folder: folder.to_owned(), dependencies })
}
