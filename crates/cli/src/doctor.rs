//! `tenantry doctor`: whether this machine and this data folder are fit to serve.

use crate::offline::{FootingLine, Surroundings};
use crate::output::{Ended, News, Trouble, say, say_json};
use clap::Args;
use env::Timestamp;
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What is looked at.
#[derive(Args)]
pub struct DoctorArguments {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The master key's file, if it is not DIR/master.key.
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// The configuration, where it names a database: that is looked over too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works; read on before others depend on it.
    Mind,
    Bad,
}

struct Finding {
    what: Cow<'static, str>,
    verdict: Verdict,
    detail: String,
}

fn finding(what: impl Into<Cow<'static, str>>, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding { what: what.into(), verdict, detail: detail.into() }
}

pub(crate) async fn run(arguments: &DoctorArguments, around: &Surroundings) -> Ended {
    let own = arguments.data.join("master.key");
    let development = arguments.master_key_file.is_none();
    let key = arguments.master_key_file.as_ref().unwrap_or(&own);
    let database = match &arguments.config {
        Some(config) => around.offline.footing(config).await.map_err(Trouble::other)?,
        None => None,
    };
    let mut findings = vec![
        data_folder(&arguments.data, database.is_some()),
        operator_key(&arguments.data),
        master_key(key, development),
        file_handles(),
        core_dumps(),
        clock(around.env.now(), &arguments.data),
    ];
    findings.extend(database.into_iter().flatten().map(|FootingLine { check, ok, found }| {
        finding(check, if ok { Verdict::Good } else { Verdict::Bad }, found)
    }));
    if arguments.json {
        let findings = findings
            .iter()
            .map(|it| json!({"check": it.what, "verdict": word(it.verdict), "detail": it.detail}));
        say_json(&json!({"findings": findings.collect::<Vec<_>>()}))?;
    } else {
        for Finding { what, verdict, detail } in &findings {
            say(format!("{:<5} {what:<29} {detail}", word(*verdict)))?;
        }
    }
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { News::Bad } else { News::Good })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Mind => "mind",
        Verdict::Bad => "bad",
    }
}

fn data_folder(data: &Path, elsewhere: bool) -> Finding {
    const WHAT: &str = "data folder";
    let Ok(metadata) = fs::metadata(data) else {
        return finding(WHAT, Verdict::Bad, format!("{} cannot be read", data.display()));
    };
    if !metadata.is_dir() {
        return finding(WHAT, Verdict::Bad, format!("{} is not a folder", data.display()));
    }
    if !elsewhere && !data.join("platform.db").exists() {
        return finding(WHAT, Verdict::Mind, "there is no platform store yet; `serve` makes one");
    }
    match tempfile_in(data) {
        Err(error) => finding(WHAT, Verdict::Bad, format!("it cannot be written to: {error}")),
        Ok(()) if metadata.mode() & 0o077 != 0 => finding(
            WHAT,
            Verdict::Mind,
            format!("others may look into it (mode {:o})", metadata.mode() & 0o777),
        ),
        Ok(()) if elsewhere => finding(WHAT, Verdict::Good, "it is there, for its owner alone"),
        Ok(()) => finding(WHAT, Verdict::Good, "it is there, with a platform store, for its owner alone"),
    }
}

/// Whether a file can be made and taken away.
fn tempfile_in(data: &Path) -> std::io::Result<()> {
    let probe = data.join(".doctor");
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

fn operator_key(data: &Path) -> Finding {
    const WHAT: &str = "operator key";
    let path = data.join("operator.key");
    match fs::metadata(&path) {
        Err(_) => finding(WHAT, Verdict::Good, "it does not lie in the data folder"),
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            finding(WHAT, Verdict::Bad, format!("others may read {}", path.display()))
        }
        Ok(_) => finding(WHAT, Verdict::Mind, "it lies in the data folder; keep it somewhere else"),
    }
}

fn master_key(path: &Path, development: bool) -> Finding {
    const WHAT: &str = "master key";
    let Ok(metadata) = fs::metadata(path) else {
        let verdict = if development { Verdict::Mind } else { Verdict::Bad };
        return finding(WHAT, verdict, format!("{} is not there", path.display()));
    };
    let text = fs::read_to_string(path).unwrap_or_default();
    // As `openssl rand -hex 32` writes it.
    let digits = text.trim_end_matches(['\r', '\n']);
    let whole = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if metadata.mode() & 0o077 != 0 {
        finding(WHAT, Verdict::Bad, format!("others may read {}", path.display()))
    } else if !whole {
        finding(WHAT, Verdict::Bad, format!("{} does not hold 64 hexadecimal digits", path.display()))
    } else if development {
        finding(WHAT, Verdict::Mind, "a development key beside the data protects nothing; name another")
    } else {
        finding(WHAT, Verdict::Good, "it is named, whole, and for its owner alone")
    }
}

fn file_handles() -> Finding {
    const WHAT: &str = "file handles";
    const ENOUGH: u64 = 4096;
    match getrlimit(Resource::Nofile).current {
        None => finding(WHAT, Verdict::Good, "they are not limited"),
        Some(limit @ ENOUGH..) => finding(WHAT, Verdict::Good, format!("{limit}")),
        Some(limit) => finding(
            WHAT,
            Verdict::Mind,
            format!("{limit}; connections and tenants in use need more (ulimit -n)"),
        ),
    }
}

fn core_dumps() -> Finding {
    const WHAT: &str = "core dumps";
    match getrlimit(Resource::Core).current {
        Some(0) => finding(WHAT, Verdict::Good, "off"),
        _ => finding(WHAT, Verdict::Good, "this shell allows them; `serve` turns them off for itself"),
    }
}

/// The clock must be this decade's, and not behind what the store last wrote.
fn clock(now: Timestamp, data: &Path) -> Finding {
    const WHAT: &str = "clock";
    const NOT_BEFORE: i64 = 1_767_225_600;
    if now.seconds() < NOT_BEFORE {
        return finding(WHAT, Verdict::Bad, format!("it says {now}, which has long been over"));
    }
    let written = fs::metadata(data.join("platform.db")).and_then(|metadata| metadata.modified());
    let written = written.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let ahead = written.is_some_and(|at| i64::try_from(at.as_secs()).unwrap_or(0) > now.seconds() + 60);
    if ahead {
        return finding(
            WHAT,
            Verdict::Bad,
            format!("it says {now}, and the store was written later than that"),
        );
    }
    finding(WHAT, Verdict::Good, format!("{now}"))
}
