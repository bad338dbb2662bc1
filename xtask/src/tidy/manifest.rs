//! Manifests: what all packages share is inherited, and versions stand in the workspace's table alone.

use crate::repo::Repo;
use toml::{Table, Value};

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];
const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(repo: &Repo) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in &repo.packages {
        let path = format!("{}/Cargo.toml", package.folder);
        match repo.text(&path) {
            Some(text) => findings.extend(faults(text)?.into_iter().map(|fault| format!("{path}: {fault}"))),
            None => findings.push(format!("{path} is not there")),
        }
    }
    Ok(findings)
}

fn faults(text: &str) -> anyhow::Result<Vec<String>> {
    let manifest: Table = text.parse()?;
    let mut faults = Vec::new();
    let package = manifest.get("package");
    for member in INHERITED {
        if !inherits(package.and_then(|package| package.get(member))) {
            faults.push(format!("write `{member}.workspace = true`"));
        }
    }
    let description = package.and_then(|package| package.get("description")).and_then(Value::as_str);
    if description.is_none_or(|text| text.trim().is_empty()) {
        faults.push("give it a description".to_owned());
    }
    if !inherits(manifest.get("lints")) {
        faults.push("write `[lints]` and `workspace = true`".to_owned());
    }
    let mut tables = vec![&manifest];
    tables.extend(
        manifest
            .get("target")
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(Value::as_table)),
    );
    for table in tables {
        for (name, dependency) in TABLES.iter().filter_map(|name| table.get(*name)?.as_table()).flatten() {
            if !inherits(Some(dependency)) {
                faults.push(format!("take `{name}` from [workspace.dependencies]"));
            }
        }
    }
    Ok(faults)
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::faults;

    const GOOD: &str = "
[package]
name = \"a\"
description = \"What it is\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true
[lints]
workspace = true
[dependencies]
serde.workspace = true
tokio = { workspace = true, features = [\"net\"] }
";

    #[test]
    fn a_manifest_that_inherits_is_quiet() {
        assert_eq!(faults(GOOD).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn every_line_that_is_left_out_is_found() {
        for left_out in GOOD.lines().filter(|line| line.contains("workspace = true")) {
            let rest: Vec<_> = GOOD.lines().filter(|line| *line != left_out).collect();
            let of_a_dependency = left_out.starts_with("tokio") || left_out.starts_with("serde");
            assert_eq!(faults(&rest.join("\n")).unwrap().len(), usize::from(!of_a_dependency), "{left_out}");
        }
        assert_eq!(faults(&GOOD.replace("What it is", "")).unwrap().len(), 1);
    }

    #[test]
    fn a_version_of_its_own_is_found_wherever_it_stands() {
        for table in ["dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let text = format!("{GOOD}[{table}]\nlibc = \"0.2\"\n");
            assert_eq!(faults(&text).unwrap(), ["take `libc` from [workspace.dependencies]"]);
        }
    }
}
