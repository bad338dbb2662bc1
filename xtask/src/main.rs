//! `cargo xtask`: the command line of the project's chores.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use xtask::{error_pages, mutants, prices, repo, tidy};

const HELP: &str = "\
cargo xtask tidy     checks the repository's rules (the tests do, too)
cargo xtask errors   writes docs/errors/ from the codes in crates/errors
cargo xtask prices SOURCE OUT
                     imports the price data of genai-prices into metering's table
cargo xtask mutants [--only TEXT] [--minutes N] [--survivors] [--tests]
                     makes mutants of the code that drop a check each, and attacks them
";

fn main() -> anyhow::Result<ExitCode> {
    let root = repo::root();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["prices", source, out] => {
            prices::import(Path::new(source), Path::new(out))?;
            Ok(ExitCode::SUCCESS)
        }
        ["tidy"] => run_tidy(&root),
        ["errors"] => {
            let written = error_pages::write(&root)?;
            writeln!(io::stdout(), "{written} pages in docs/errors/")?;
            Ok(ExitCode::SUCCESS)
        }
        ["mutants", options @ ..] => match mutant_settings(options) {
            Some(settings) => {
                mutants::run(&root, &settings)?;
                Ok(ExitCode::SUCCESS)
            }
            None => {
                write!(io::stderr(), "{HELP}")?;
                Ok(ExitCode::from(2))
            }
        },
        _ => {
            write!(io::stderr(), "{HELP}")?;
            Ok(ExitCode::from(2))
        }
    }
}

fn mutant_settings(options: &[&str]) -> Option<mutants::Settings> {
    let mut settings = mutants::Settings::default();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match *word {
            "--only" => settings.only = Some((*words.next()?).to_owned()),
            "--minutes" => settings.minutes = Some(words.next()?.parse().ok()?),
            "--survivors" => settings.survivors = true,
            "--tests" => settings.tests = true,
            _ => return None,
        }
    }
    Some(settings)
}

fn run_tidy(root: &Path) -> anyhow::Result<ExitCode> {
    let repo = repo::Repo::load(root)?;
    let mut findings = 0;
    let mut out = io::stdout().lock();
    for rule in tidy::RULES {
        for finding in (rule.check)(&repo)? {
            writeln!(out, "{}: {finding}", rule.name)?;
            findings += 1;
        }
    }
    writeln!(out, "tidy: {} rules, {} files, {findings} findings", tidy::RULES.len(), repo.texts.len())?;
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
