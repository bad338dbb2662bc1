//! `tenantry verify --evidence` and `--check`: a report that the operators' log vouches for, and its check
//! without any server.

use crate::keys_given::{verifier_key, witness_keys};
use crate::output::{Ended, News, Trouble, say, say_json};
use ::audit::evidence::{About, Checked, Server, Verdict, Vouched, interface_hash};
use ::verify::{Places, Report};
use client::Client;
use env::{Env, Timestamp};
use http::Method;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Where evidence is kept, if it is.
pub(crate) struct Kept {
    place: Option<(PathBuf, File)>,
    vkey_out: Option<PathBuf>,
}

/// What is known before the run begins.
pub(crate) struct Begun {
    version: String,
    description: String,
    server: Server,
    log: bool,
    data: bool,
    started_at: Timestamp,
}

impl Kept {
    /// Opens the file first, so that no server is attacked for evidence that cannot be kept. What is there is
    /// not overwritten: evidence is kept.
    pub(crate) fn new(path: Option<PathBuf>, vkey_out: Option<PathBuf>) -> Result<Self, Trouble> {
        let open = |path: PathBuf| {
            let file = OpenOptions::new().write(true).create_new(true).open(&path);
            file.map(|file| (path.clone(), file))
                .map_err(|error| Trouble::other(format!("{}: {error}", path.display())))
        };
        Ok(Self { place: path.map(open).transpose()?, vkey_out })
    }

    /// Takes down what is attacked, if evidence is wanted.
    pub(crate) async fn begin(
        &self,
        operator: &Client,
        places: &Places,
        server: Server,
        env: &Env,
    ) -> Result<Option<Begun>, Trouble> {
        if self.place.is_none() {
            return Ok(None);
        }
        let described = operator.call(Method::GET, "/openapi.json").send().await?.accepted()?;
        let version = described.json()["info"]["version"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Begun {
            version,
            description: interface_hash(&described.body),
            server,
            log: places.log.is_some(),
            data: places.data.is_some(),
            started_at: env.now(),
        }))
    }

    /// Has the operators' log vouch for the report, and writes both down. The file stays empty where it does
    /// not, and goes.
    pub(crate) async fn end(
        &self,
        operator: &Client,
        run: Begun,
        report: &Report,
        env: &Env,
    ) -> Result<(), Trouble> {
        let Some((path, file)) = &self.place else { return Ok(()) };
        let written = self.write(operator, run, report, env, file).await;
        if written.is_err() {
            // Half of evidence is none.
            std::fs::remove_file(path)?;
        }
        written
    }

    async fn write(
        &self,
        operator: &Client,
        run: Begun,
        report: &Report,
        env: &Env,
        mut file: &File,
    ) -> Result<(), Trouble> {
        let Begun { version, description, server, log, data, started_at } = run;
        let (url, finished_at) = (operator.base().to_string(), env.now());
        let about = About { version, description, url, server, log, data, started_at, finished_at };
        let report = report.evidence(about);
        let body = json!({"report": report.text()});
        let call = operator.call(Method::POST, "/v1/operator/evidence").json(&body)?;
        let vouched: Vouched = call.send().await?.read()?;
        file.write_all(report.text().as_bytes())?;
        file.write_all(vouched.line().as_bytes())?;
        file.sync_all()?;
        if let Some(path) = &self.vkey_out {
            let key = operator.call(Method::GET, "/v1/operator/audit/key").send().await?.accepted()?;
            std::fs::write(path, format!("{}\n", key.text().trim()))?;
        }
        Ok(())
    }
}

/// Checks a file of evidence. What it says of the server may be bad news, too.
pub(crate) fn check(path: &Path, key: &str, witnesses: &[String], as_json: bool) -> Ended {
    let key = verifier_key(key)?;
    let witnesses = witness_keys(witnesses)?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::other(format!("{}: {error}", path.display())))?;
    let checked = match ::audit::evidence::check(&text, &key, &witnesses) {
        Ok(checked) => checked,
        Err(fault) => return refused(&fault, as_json),
    };
    let missing = witnesses
        .iter()
        .find(|witness| !checked.witnesses().iter().any(|found| found.witness == *witness.name()));
    if let Some(missing) = missing {
        return refused(&format!("the witness {} did not cosign the log", missing.name()), as_json);
    }
    let verdict = checked.findings.verdict();
    if as_json {
        say_json(&told(&checked))?;
    } else {
        say(shown(&checked))?;
    }
    Ok(if verdict == Verdict::Held { News::Good } else { News::Bad })
}

fn refused(fault: &dyn std::fmt::Display, as_json: bool) -> Ended {
    if as_json {
        say_json(&json!({"verified": false, "detail": fault.to_string()}))?;
    } else {
        say(format!("NOT VERIFIED: {fault}."))?;
    }
    Ok(News::Bad)
}

fn told(checked: &Checked) -> serde_json::Value {
    let Checked { report, findings, event } = checked;
    json!({
        "verified": true, "verdict": findings.verdict().as_str(), "signed_at": findings.signed_at,
        "log": event.log, "event": event.index, "witnesses": event.witnesses,
        "about": report.about, "count": report.count, "lines": report.lines,
    })
}

fn shown(checked: &Checked) -> String {
    let Checked { report, findings, event } = checked;
    let (about, count) = (&report.about, report.count);
    let server = match about.server {
        Server::Own => "a server of the suite's own",
        Server::Given => "a server that was given",
    };
    let searched = match (about.log, about.data) {
        (true, true) => "its log and its data folder were searched",
        (true, false) => "its log was searched, its data folder was not",
        (false, true) => "its data folder was searched, its log was not",
        (false, false) => "neither its log nor its data folder was searched",
    };
    let mut text = format!(
        "Tenantry {} at {}, {server}; {searched}.\nAttacked from {} to {}, signed {}.\n\
         {} patterns, {} leaks, {} unattacked, {} not offered: {}.\n\
         The log {} has the report's hash as event {}.\n",
        about.version,
        about.url,
        about.started_at,
        about.finished_at,
        findings.signed_at,
        count.patterns,
        count.leaks,
        count.unattacked,
        count.not_offered,
        findings.verdict().as_str(),
        event.log,
        event.index,
    );
    for found in checked.witnesses() {
        text.push_str(&format!("The witness {} cosigned at {}.\n", found.witness, found.time));
    }
    if checked.witnesses().is_empty() {
        text.push_str("No outside witness is seen to have cosigned the log.\n");
    }
    text.trim_end().to_owned()
}
