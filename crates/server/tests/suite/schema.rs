//! Schemathesis, unchanged, against the server's own description: no server error, no answer that the description
//! does not know, and no request refused that it admits. `scripts/test-deps` installs it; where more has to hold
//! than a schema says stands in `tests/schemathesis`.

use crate::harness::Server;
use secret::SecretText;
use std::path::Path;
use tokio::process::Command;

/// What is not looked at. To name what is would take the configuration's exceptions back.
const NOT: &str = "negative_data_rejection,missing_required_header,allow_header_conformance,use_after_free,\
    ensure_resource_availability,object_level_authorization";

/// Tries every operation with this key.
async fn try_all(server: &Server, key: &SecretText) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/test-deps/schemathesis/bin/python");
    assert!(program.exists(), "run scripts/test-deps: {} is missing", program.display());
    let folder = tempfile::TempDir::new().unwrap();
    for file in ["schemathesis.toml", "hooks.py"] {
        std::fs::copy(root.join("tests/schemathesis").join(file), folder.path().join(file)).unwrap();
    }
    let output = Command::new(program)
        .args(["-m", "schemathesis.cli", "run", &server.operator.base().join("/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {}", key.expose())])
        .args(["--exclude-checks", NOT, "--phases", "examples,coverage,fuzzing", "--max-examples", "4"])
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
