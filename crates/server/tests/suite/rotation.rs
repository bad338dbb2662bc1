//! `tenantry keys rotate --config`: another master key for a database that all servers have left.

use crate::database::Place;
use crate::harness::{Server, events};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

/// Rotates to `next.key` with this previous one.
fn rotate(place: &Place, config: &str, previous: &str, operator: &Path) -> Output {
    let previous = place.file(previous);
    let arguments = ["keys", "rotate", "--json", "--previous-master-key-file", previous.to_str().unwrap()];
    let mut command = place.command(&arguments, config, "next.key");
    command.arg("--operator-key-file").arg(operator).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_of_a_database_is_rotated_while_nobody_is_on_it() {
    let place = Place::make();
    place.write_key("next.key", 2);
    place.write_key("other.key", 3);
    let (mut server, provisioner) = (place.serve(), place.provision());
    let mut tenants = Vec::new();
    for kind in ["pooled", "schema", "dedicated"] {
        let tenant = server.tenant_kept(kind, kind).await;
        let path = format!("/v1/records/contacts/{}", tenant.record().await);
        tenants.push((tenant, path));
    }
    let operator = server.folder().join("operator.key");
    let (code, error) = said(&rotate(&place, "init.toml", "master.key", &operator));
    assert_eq!(code, Some(2));
    assert!(
        error.contains("stop the servers") && error.contains(&format!("{}_server", place.database())),
        "{error}"
    );
    server.stop().await;
    drop(provisioner);

    let (code, error) = said(&rotate(&place, "serve.toml", "master.key", &operator));
    assert!(code == Some(2) && error.contains("`[store] admin_url`"), "{error}");
    let (code, error) = said(&rotate(&place, "init.toml", "other.key", &operator));
    assert!(code == Some(2) && error.contains("another master key"), "{error}");
    let nobody = place.file("nobody.key");
    std::fs::write(&nobody, "op_1").unwrap();
    let (code, error) = said(&rotate(&place, "init.toml", "master.key", &nobody));
    assert!(code == Some(2) && error.contains("operator's key"), "{error}");
    let rotated = rotate(&place, "init.toml", "master.key", &operator);
    let told: Value = serde_json::from_slice(&rotated.stdout).unwrap_or_default();
    // The operators' own log has keys as a tenant has.
    assert_eq!((rotated.status.code(), &told["tenants"]), (Some(0), &json!(4)), "{rotated:?}");

    assert!(place.refused("serve.toml", "master.key").contains("another master key"));
    let config = std::fs::read_to_string(place.file("serve.toml")).unwrap();
    let key = place.file("next.key");
    let next: Server = server.start_beside(&config, &["--master-key-file", key.to_str().unwrap()]);
    for (tenant, path) in &tenants {
        assert_eq!(tenant.owner_at(&next).get(path).await.unwrap()["data"]["name"], "Ada", "{path}");
    }
    let log = events(&next.operator, "/v1/operator/audit/events", "action=keys.rotate").await;
    assert_eq!(log.len(), 1, "{log:?}");
}
