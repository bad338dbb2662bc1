//! Schemathesis, unchanged, against the server's own description: no server error, and no answer that the
//! description does not know. `scripts/test-deps` installs it.

use crate::harness::Server;
use secret::SecretText;
use std::path::Path;
use tokio::process::Command;

/// What is looked at. Not that the server takes whatever its schema admits: the schema does not say that a name
/// must not be taken, or that a time is one.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";

/// Tries every operation with this key.
async fn try_all(server: &Server, key: &SecretText) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/test-deps/schemathesis/bin/python");
    assert!(program.exists(), "run scripts/test-deps: {} is missing", program.display());
    let folder = tempfile::TempDir::new().unwrap();
    let output = Command::new(program)
        .args(["-m", "schemathesis.cli", "run", &server.operator.base().join("/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {}", key.expose())])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "4"])
        .args(["--seed", "1", "--generation-deterministic", "--no-color", "--workers", "1"])
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("generated"), "{said}");
}

#[tokio::test]
async fn nothing_that_a_tenant_sends_is_answered_otherwise_than_described() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    try_all(&server, &tenant.owner_key).await;
}

#[tokio::test]
async fn nothing_that_an_operator_sends_is_answered_otherwise_than_described() {
    let server = Server::start();
    try_all(&server, &server.operator_key()).await;
}
