//! Carries mutants out: in a copy of the repository below `target/mutants`, built into a folder of its own.

use super::results::Results;
use super::{Mutant, all};
use crate::repo::Repo;
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const RESULT: &str = "xtask/lists/mutants-result.txt";
const BUILT: [&str; 7] = ["build", "--offline", "--quiet", "-p", "server", "--bin", "tenantry"];
/// How long a build, the suite and a crate's tests may take.
const BUILD: Duration = Duration::from_secs(1200);
const SUITE: Duration = Duration::from_secs(180);
const TESTS: Duration = Duration::from_secs(1200);
/// What a whole server is tested for, but for what takes minutes: the suite was run, and faults are another matter.
const WHOLE: [&str; 6] = ["test", "--offline", "--quiet", "-p", "server", "--"];
const SKIPPED: [&str; 6] = ["attack_suite", "chaos", "power", "machine", "official_clients", "schema"];
/// What became of one that the tests were not asked about yet.
const SURVIVED: &str = "survived";
/// An attack that measures time may find something in the noise of a busy machine.
const MEASURED: &str = "the time that";
/// An owner's request may take too long on one.
const CONTROL: &str = "a control: ";

/// What is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Only mutants whose file or name has this in it.
    pub only: Option<String>,
    /// Minutes after which no further one is begun.
    pub minutes: Option<u64>,
    /// Again those that survived.
    pub survivors: bool,
    /// Also the tests of the crate, then those of a whole server, where the suite does not notice; also of what
    /// survived when they were not asked.
    pub tests: bool,
}

/// Runs the mutants that have no result yet, and writes each result down at once.
#[expect(clippy::disallowed_methods, reason = "a person asks for so many minutes of this machine's time")]
pub fn run(root: &Path, settings: &Settings) -> anyhow::Result<()> {
    let mutants = all(&Repo::load(root)?)?;
    let mut results = Results::load(&root.join(RESULT), &mutants)?;
    let place = Place::new(root)?;
    place.must_hold()?;
    let begun = Instant::now();
    for (at, mutant) in mutants.iter().enumerate() {
        let wanted = settings
            .only
            .as_ref()
            .is_none_or(|only| mutant.file.contains(only.as_str()) || mutant.name.contains(only.as_str()));
        let known = results.of(mutant);
        let again = known.is_some_and(|became| {
            (settings.survivors && became.starts_with("survived")) || (settings.tests && became == SURVIVED)
        });
        if !wanted || (known.is_some() && !again) {
            continue;
        }
        if settings.minutes.is_some_and(|minutes| begun.elapsed() > Duration::from_secs(60 * minutes)) {
            break;
        }
        let became = place.carry_out(mutant, settings.tests)?;
        writeln!(io::stdout(), "{}/{} {} | {}: {became}", at + 1, mutants.len(), mutant.file, mutant.name)?;
        results.note(mutant, became)?;
    }
    let (survived, found) = results.count();
    writeln!(io::stdout(), "mutants: {found} of {}, {survived} survived", mutants.len())?;
    Ok(())
}

/// Where mutants are built.
struct Place {
    copy: PathBuf,
    target: PathBuf,
}

impl Place {
    /// Brings the copy up to date with the checkout.
    fn new(root: &Path) -> anyhow::Result<Self> {
        let home = root.join("target/mutants");
        let place = Self { copy: home.join("copy"), target: home.join("target") };
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = Command::new("git").current_dir(root).args(list).output()?;
        ensure!(listed.status.success(), "git does not list the repository's files");
        for file in String::from_utf8(listed.stdout)?.split('\0').filter(|file| !file.is_empty()) {
            let (from, to) = (root.join(file), place.copy.join(file));
            let Ok(present) = fs::read(&from) else { continue };
            // What is as it was keeps its date, so that nothing is built for nothing.
            if fs::read(&to).is_ok_and(|copied| copied == present) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&to, present)?;
        }
        Ok(place)
    }

    /// Whatever is found says something only where the code as it is holds.
    fn must_hold(&self) -> anyhow::Result<()> {
        ensure!(self.cargo(&BUILT, BUILD)?, "the code as it is does not compile");
        match self.attacked()? {
            Attacked::Survived => Ok(()),
            Attacked::Killed(by) => bail!("the code as it is fails by {by}"),
        }
    }

    fn carry_out(&self, mutant: &Mutant, tests: bool) -> anyhow::Result<String> {
        let path = self.copy.join(&mutant.file);
        let text = fs::read_to_string(&path).with_context(|| mutant.file.clone())?;
        fs::write(&path, mutant.applied(&text))?;
        let became = self.judged(mutant, tests);
        fs::write(&path, text)?;
        became
    }

    fn judged(&self, mutant: &Mutant, tests: bool) -> anyhow::Result<String> {
        if !self.cargo(&BUILT, BUILD)? {
            return Ok("does not compile".to_owned());
        }
        let mut noise = None;
        for _ in 0..2 {
            match self.attacked()? {
                Attacked::Killed(by) if by.contains(MEASURED) || by.starts_with(CONTROL) => noise = Some(by),
                Attacked::Killed(by) => return Ok(format!("killed by {by}")),
                Attacked::Survived => {
                    noise = None;
                    break;
                }
            }
        }
        if let Some(by) = noise {
            return Ok(format!("killed by {by}"));
        }
        if !tests {
            return Ok(SURVIVED.to_owned());
        }
        let package = mutant.file.split('/').nth(1).unwrap_or_default();
        let tested = ["test", "--offline", "--quiet", "-p", package];
        if self.fails(&tested)? {
            return Ok(format!("survived the suite, killed by the tests of {package}"));
        }
        let skipped = SKIPPED.iter().flat_map(|name| ["--skip", name]);
        let whole: Vec<&str> = WHOLE.into_iter().chain(skipped).collect();
        Ok(if self.fails(&whole)? {
            "survived the suite, killed by the tests of server".to_owned()
        } else {
            format!("survived, also the tests of {package} and server")
        })
    }

    /// Whether tests fail, and once more: one that waits for a busy machine fails by itself.
    fn fails(&self, tests: &[&str]) -> anyhow::Result<bool> {
        Ok(!self.cargo(tests, TESTS)? && !self.cargo(tests, TESTS)?)
    }

    fn cargo(&self, arguments: &[&str], within: Duration) -> anyhow::Result<bool> {
        let mut command = Command::new("cargo");
        command.current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target).args(arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(ended(child, within)? == Some(0))
    }

    fn attacked(&self) -> anyhow::Result<Attacked> {
        let report = self.target.join("report.json");
        let mut command = Command::new(self.target.join("debug/tenantry"));
        command.args(["verify", "--json"]).stdout(File::create(&report)?).stderr(Stdio::null());
        let code = ended(command.spawn()?, SUITE)?;
        let report: Value = serde_json::from_str(&fs::read_to_string(&report)?).unwrap_or(Value::Null);
        Ok(match code {
            Some(0) => Attacked::Survived,
            Some(1) => Attacked::Killed(killer(&report)),
            Some(_) => {
                Attacked::Killed("a control: the server does not come up, or makes no tenants".to_owned())
            }
            None => Attacked::Killed("a control: the suite comes to no end".to_owned()),
        })
    }
}

enum Attacked {
    Killed(String),
    Survived,
}

/// The first leak, those that measure time last; or the first control that failed.
fn killer(report: &Value) -> String {
    let told = |found: &Value| {
        let part = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        format!("`{}`, {}: {}", part("operation"), part("place"), part("attack"))
    };
    let mut leaks: Vec<String> = report["leaks"].as_array().into_iter().flatten().map(told).collect();
    leaks.sort_by_key(|leak| leak.contains(MEASURED));
    match (leaks.first(), report["unattacked"].as_array().and_then(|all| all.first())) {
        (Some(leak), _) => leak.clone(),
        (None, Some(missed)) => format!("{CONTROL}{}", told(missed)),
        (None, None) => "a run that failed".to_owned(),
    }
}

/// The code with which a child ended, or none where it did not in time, or by a signal.
fn ended(mut child: Child, within: Duration) -> anyhow::Result<Option<i32>> {
    let step = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    while waited < within {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        sleep(step);
        waited += step;
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
