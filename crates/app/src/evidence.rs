//! Evidence of an attack run: the operators' log vouches for a report, after counting by itself.

use crate::App;
use audit::evidence::{Findings, RESOURCE, Report, SIGN, Vouched};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use context::Operator;
use context::event::operator_draft;
use errors::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use store::{AuditQuery, InclusionProof, PageRequest};

/// How long ago a run may have ended, and how far the clocks may be apart.
const FRESH: Duration = Duration::from_secs(3600);

/// A report that the operators' log is to vouch for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvidence {
    /// The report's exact text: a line of JSON about the run, then one for every pattern.
    pub report: String,
}

/// The interface that the server has.
pub struct Interface<'i> {
    /// The server's version.
    pub version: &'i str,
    /// SHA-256 of its description, in hexadecimal.
    pub description: String,
    /// Every operation that takes a credential, as method and path.
    pub operations: BTreeSet<String>,
}

/// The key that verifies the operators' log.
pub async fn log_key(app: &App, _: &Operator) -> Result<String, Problem> {
    Ok(app.platform.operator_log_key().await?)
}

/// How many events the operators' log has, and a signed checkpoint over them.
pub async fn checkpoint(app: &App, _: &Operator) -> Result<(u64, String), Problem> {
    Ok(app.platform.operator_checkpoint().await?)
}

/// A proof that an event is in the operators' log.
pub async fn prove_event(app: &App, operator: &Operator, index: u64) -> Result<InclusionProof, Problem> {
    Ok(app.platform.prove_operator_event(operator, index, None).await?)
}

/// A proof that the operators' log grew from its first `earlier` events.
pub async fn prove_growth(app: &App, _: &Operator, earlier: u64) -> Result<(Vec<[u8; 32]>, String), Problem> {
    Ok(app.platform.prove_operator_growth(earlier, None).await?)
}

/// Writes the report's hash into the operators' log, and signs what the report adds up to. Only a report on
/// this very server is taken, in which every operation is told of: what it leaves out is not known to hold.
pub async fn sign(
    app: &App,
    operator: &Operator,
    input: &NewEvidence,
    server: &Interface<'_>,
) -> Result<Vouched, Problem> {
    operator.must_change()?;
    let report = Report::read(&input.report).map_err(|fault| Problem::invalid(format!("{fault}.")))?;
    is_on_this_server(&report, server)?;
    is_fresh(&report, app.env.now())?;
    let hash = report.hash();
    let mut event = operator_draft(operator, SIGN, RESOURCE, hash.clone());
    let count = report.count;
    for (name, number) in [
        ("patterns", count.patterns),
        ("leaks", count.leaks),
        ("unattacked", count.unattacked),
        ("not_offered", count.not_offered),
    ] {
        event.details.insert(name.to_owned(), json!(number));
    }
    // The log has it before anything is signed, so that nothing signed is missing there.
    app.platform.append_operator_events(operator, vec![event]).await?;
    let query =
        AuditQuery { action: Some(SIGN.as_str().to_owned()), resource: Some(hash), ..AuditQuery::default() };
    let newest = PageRequest { limit: 1, cursor: None };
    let found = app.platform.operator_events(operator, &query, &newest).await?;
    let index = found.data.first().ok_or_else(Problem::internal)?.index;
    let findings = Findings::of(&report, app.env.now(), index);
    let findings = app.platform.sign_findings(operator, &findings).await?;
    // Where witnesses answer, the proof leads to a checkpoint that they cosigned.
    app.witnesses.round(app.platform.as_ref(), app.env.now()).await;
    let cosigned = app.witnesses.published().filter(|published| published.size > index);
    let size = cosigned.as_ref().map(|published| published.size);
    let mut proof = app.platform.prove_operator_event(operator, index, size).await?;
    if let Some(cosigned) = cosigned {
        proof.checkpoint = cosigned.checkpoint;
    }
    Ok(Vouched {
        findings,
        index,
        leaf: String::from_utf8_lossy(&proof.leaf).into_owned(),
        hashes: proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: proof.checkpoint,
    })
}

fn is_on_this_server(report: &Report, server: &Interface<'_>) -> Result<(), Problem> {
    if report.about.version != server.version || report.about.description != server.description {
        let detail = "The report is on another version of the server, or on another interface than this one's \
                      `/openapi.json`. Run `tenantry verify --evidence FILE` against this server.";
        return Err(Problem::invalid(detail));
    }
    let told: BTreeSet<&str> = report.lines.iter().filter_map(|line| line.operation()).collect();
    match server.operations.iter().find(|operation| !told.contains(operation.as_str())) {
        None => Ok(()),
        Some(missing) => {
            let detail =
                format!("The report says nothing of `{missing}`, so it is not a report on the whole.");
            Err(Problem::invalid(detail))
        }
    }
}

fn is_fresh(report: &Report, now: env::Timestamp) -> Result<(), Problem> {
    let (start, end) = (report.about.started_at, report.about.finished_at);
    if start <= end && end <= now.plus(FRESH) && now <= end.plus(FRESH) {
        return Ok(());
    }
    Err(Problem::invalid(
        "The report is on a run that did not end within the last hour by the server's clock.",
    ))
}
