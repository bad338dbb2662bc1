//! What became of each mutant, as a file: `place | mutant | what became of it`, one a line.

use super::Mutant;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ABOUT: &str = "\
# What became of each mutant, as `cargo xtask mutants` found it: `file | mutant | what became of it`.
# `killed by ATTACK` names the first pattern of `tenantry verify` that leaked; `killed by a control` says that an
# owner's own request failed, so that the run fails. Survivors are explained in docs/isolation.md.
";

/// The results so far.
pub(super) struct Results {
    path: PathBuf,
    lines: BTreeMap<(String, String), String>,
}

impl Results {
    /// Reads what was found before, as far as it is about these mutants.
    pub(super) fn load(path: &Path, mutants: &[Mutant]) -> anyhow::Result<Self> {
        let text = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let mut lines = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.splitn(2, " | ");
            let (Some(file), Some(rest)) = (parts.next(), parts.next()) else { continue };
            let Some((name, became)) = rest.rsplit_once(" | ") else { continue };
            if mutants.iter().any(|mutant| mutant.file == file && mutant.name == name) {
                lines.insert((file.to_owned(), name.to_owned()), became.to_owned());
            }
        }
        Ok(Self { path: path.to_owned(), lines })
    }

    /// What became of a mutant before.
    pub(super) fn of(&self, mutant: &Mutant) -> Option<&str> {
        self.lines.get(&(mutant.file.clone(), mutant.name.clone())).map(String::as_str)
    }

    /// Writes down what became of a mutant.
    pub(super) fn note(&mut self, mutant: &Mutant, became: String) -> anyhow::Result<()> {
        self.lines.insert((mutant.file.clone(), mutant.name.clone()), became);
        let lines = self.lines.iter().map(|((file, name), became)| format!("{file} | {name} | {became}\n"));
        std::fs::write(&self.path, format!("{ABOUT}{}", lines.collect::<String>()))?;
        Ok(())
    }

    /// How many survived, and how many there are.
    pub(super) fn count(&self) -> (usize, usize) {
        let survived = self.lines.values().filter(|became| became.starts_with("survived")).count();
        (survived, self.lines.len())
    }
}
