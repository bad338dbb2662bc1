//! The official `openai` clients for Python and Node, unchanged, against the server. Their scripts stand in
//! `tests/clients/`; `scripts/test-deps` installs what they need.

use super::World;
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a script with the server's address and a tenant's keys; it fails by its exit code.
async fn run(program: &Path, script: &str) {
    assert!(
        program.exists() || program.is_relative(),
        "run scripts/test-deps: {} is missing",
        program.display()
    );
    let world = World::with("", json!({ "ai_calls_per_hour": 100 })).await;
    let limited = world.server.tenant_on("none", &json!({ "ai_calls_per_hour": 0 }), "limited").await;
    let output = Command::new(program)
        .arg(root().join("tests/clients").join(script))
        .env("TENANTRY_URL", world.server.operator.base().join("/v1"))
        .env("TENANTRY_KEY", world.tenant.owner_key.expose())
        .env("TENANTRY_LIMITED_KEY", limited.owner_key.expose())
        .env("NODE_PATH", root().join("target/test-deps/node/node_modules"))
        .current_dir(root().join("target/test-deps/node"))
        .output()
        .await
        .unwrap();
    let [said, complained] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(said.trim(), "all good");
}

#[tokio::test]
async fn the_python_client_works_unchanged() {
    run(&root().join("target/test-deps/python/bin/python"), "openai_python.py").await;
}

#[tokio::test]
async fn the_node_client_works_unchanged() {
    run(Path::new("node"), "openai_node.cjs").await;
}
