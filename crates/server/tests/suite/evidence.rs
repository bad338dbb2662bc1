//! Evidence of an attack run: what the operators' log vouches for, what it does not, and the check offline.

use crate::description::operations;
use crate::harness::{Server, assert_refused, events, send, send_json};
use audit::evidence::{About, Line, Report, Verdict, Vouched, check, interface_hash};
use client::Answer;
use http::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A report on this server in which every operation held against one attack.
pub(crate) async fn report(server: &Server, change: impl FnOnce(&mut About, &mut Vec<Line>)) -> Report {
    let document = send(&server.operator, Method::GET, "/openapi.json").await;
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = env::Timestamp::from_millis(since.try_into().unwrap());
    let mut about = About {
        version: document.json()["info"]["version"].as_str().unwrap().to_owned(),
        description: interface_hash(&document.body),
        url: server.operator.base().to_string(),
        server: audit::evidence::Server::Given,
        log: false,
        data: false,
        started_at: now,
        finished_at: now,
    };
    let told = operations(server).await.into_iter().filter(|it| it.operation["security"][0].is_object());
    let mut lines: Vec<Line> =
        told.map(|it| held(&format!("{} {}", it.method.to_uppercase(), it.path))).collect();
    change(&mut about, &mut lines);
    Report::new(about, lines)
}

fn held(operation: &str) -> Line {
    let (place, attack) = ("credential".to_owned(), "no credential".to_owned());
    Line::Held { operation: operation.to_owned(), place, attack }
}

async fn sign(server: &Server, report: &str) -> Answer {
    send_json(&server.operator, Method::POST, "/v1/operator/evidence", &json!({"report": report})).await
}

#[tokio::test]
async fn the_log_vouches_for_a_whole_report_on_this_server_and_for_no_other() {
    let server = Server::start();
    let key = send(&server.operator, Method::GET, "/v1/operator/audit/key").await;
    let key = key.text().trim().parse().unwrap();
    let good = report(&server, |_, _| {}).await;
    let vouched: Vouched = sign(&server, good.text()).await.read().unwrap();
    let checked = check(&format!("{}{}", good.text(), vouched.line()), &key, &[]).unwrap();
    assert_eq!(checked.findings.verdict(), Verdict::Held);
    let found = events(&server.operator, "/v1/operator/audit/events", "action=evidence.sign").await;
    assert_eq!((found.len(), &found[0]["resource"]["id"]), (1, &json!(good.hash())));
    assert_eq!(found[0]["details"]["patterns"], json!(good.count.patterns));

    // What was not attacked stands in what is signed, whatever the first line says.
    let missed = Line::Unattacked {
        operation: "GET /v1/me".into(),
        place: "query".into(),
        attack: "another".into(),
        reason: "no control".into(),
    };
    let incomplete = report(&server, |_, lines| lines.push(missed)).await;
    let better = incomplete.text().replacen("\"unattacked\":1", "\"unattacked\":0", 1);
    assert_refused(&sign(&server, &better).await, 400, "invalid_request");
    let vouched: Vouched = sign(&server, incomplete.text()).await.read().unwrap();
    assert!(
        vouched.findings.contains("\nunattacked 1\n") && vouched.findings.contains("\nverdict incomplete\n")
    );
    let checked = check(&format!("{}{}", incomplete.text(), vouched.line()), &key, &[]).unwrap();
    assert_eq!(checked.findings.verdict(), Verdict::Incomplete);
    // Nor do its findings go with the better report.
    assert!(check(&format!("{}{}", good.text(), vouched.line()), &key, &[]).is_err());

    let hour = std::time::Duration::from_secs(3700);
    let refused = [
        report(&server, |_, lines| drop(lines.pop())).await,
        report(&server, |about, _| about.version = "9.9.9".into()).await,
        report(&server, |about, _| about.description = "00".repeat(32)).await,
        report(&server, |about, _| {
            (about.started_at, about.finished_at) =
                (about.started_at.minus(hour), about.finished_at.minus(hour));
        })
        .await,
        report(&server, |about, _| about.finished_at = about.finished_at.minus(hour)).await,
    ];
    for report in refused {
        assert_refused(&sign(&server, report.text()).await, 400, "invalid_request");
    }
    for text in ["", "{}", "\n", good.text().trim_end()] {
        assert_refused(&sign(&server, text).await, 400, "invalid_request");
    }
    let found = events(&server.operator, "/v1/operator/audit/events", "action=evidence.sign").await;
    assert_eq!(found.len(), 2, "what is refused is not vouched for");
}

#[tokio::test]
async fn who_may_only_look_has_nothing_signed() {
    let server = Server::start();
    let made = server.operator.post("/v1/operator-keys", &json!({"name": "viewer"})).await.unwrap();
    let viewer = server.operator.with_key(secret::SecretText::new(made["key"].as_str().unwrap().to_owned()));
    let body = json!({"report": report(&server, |_, _| {}).await.text()});
    assert_refused(&send_json(&viewer, Method::POST, "/v1/operator/evidence", &body).await, 403, "forbidden");
    assert!(send(&viewer, Method::GET, "/v1/operator/audit/key").await.status.is_success());
}

#[tokio::test]
async fn the_operators_log_proves_itself() {
    use audit::merkle::verify_consistency;
    use audit::note::SignedCheckpoint;
    use base64::Engine as _;
    let server = Server::start();
    let key = send(&server.operator, Method::GET, "/v1/operator/audit/key").await;
    let key = key.text().trim().parse().unwrap();
    server.tenant("Acme").await;
    let earlier = server.operator.get("/v1/operator/audit/checkpoint").await.unwrap();
    server.tenant("Other").await;
    let path = format!("/v1/operator/audit/proof?size={}", earlier["size"]);
    let proof = server.operator.get(&path).await.unwrap();
    let open =
        |note: &Value| SignedCheckpoint::open(note.as_str().unwrap(), &key).unwrap().checkpoint().clone();
    let (before, after) = (open(&earlier["checkpoint"]), open(&proof["checkpoint"]));
    assert!(after.size > before.size);
    let decode = |text: &Value| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap();
        <[u8; 32]>::try_from(bytes).unwrap()
    };
    let hashes: Vec<_> = proof["hashes"].as_array().unwrap().iter().map(decode).collect();
    verify_consistency(before.size, before.root, after.size, after.root, &hashes).unwrap();
    for wrong in ["", "?index=0&size=1", "?size=9999", "?index=x"] {
        let answer = send(&server.operator, Method::GET, &format!("/v1/operator/audit/proof{wrong}")).await;
        assert_refused(&answer, 400, "invalid_request");
    }
    let missing = send(&server.operator, Method::GET, "/v1/operator/audit/proof?index=9999").await;
    assert_refused(&missing, 404, "not_found");
}

fn tenantry(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenantry")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_suite_writes_evidence_that_is_checked_offline() {
    let folder = TempDir::new().unwrap();
    let (file, key) = (folder.path().join("evidence"), folder.path().join("log.vkey"));
    let run = tenantry(&["verify", "--evidence", text(&file), "--vkey-out", text(&key), "--json"]);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    let found: Value = serde_json::from_slice(&run.stdout).unwrap();
    // Its server is gone by now.
    let checked = tenantry(&["verify", "--check", text(&file), "--vkey", text(&key), "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    let told: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((&told["verified"], &told["verdict"]), (&json!(true), &json!("held")));
    assert_eq!(told["count"]["patterns"], found["patterns"]);
    assert_eq!(told["about"]["server"], "own");
    let shown = tenantry(&["verify", "--check", text(&file), "--vkey", text(&key)]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(" 0 leaks, 0 unattacked"));

    let good = fs::read_to_string(&file).unwrap();
    let changed = folder.path().join("changed");
    fs::write(&changed, good.replacen("\"held\"", "\"helt\"", 1)).unwrap();
    let refused = tenantry(&["verify", "--check", text(&changed), "--vkey", text(&key)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("NOT VERIFIED"));
    // Evidence is kept: what is there is not written over, and nothing is attacked for it.
    let again = tenantry(&["verify", "--evidence", text(&file)]);
    assert_eq!((again.status.code(), fs::read_to_string(&file).unwrap()), (Some(2), good));
}
