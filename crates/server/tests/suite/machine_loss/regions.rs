//! A machine that had tenants in more than one region.

use super::{Machine, said, say_that_the_old_one_is_gone};
use crate::chaos::trail::{checkpoint, export, verify};
use crate::harness::send;
use audit::note::SignedCheckpoint;
use http::Method;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_of_two_regions_comes_back_with_both() {
    let config = "[store]\nregions = [\"local\", \"eu-central\"]\n";
    let mut machine = Machine::start(config);
    let mut tenants = Vec::new();
    for (name, region) in [("Here", "local"), ("There", "eu-central"), ("Quiet", "eu-central")] {
        let tenant = machine.server.tenant_in(region, name).await;
        let record = tenant.make("/v1/records/contacts", json!({"of": name})).await;
        tenants.push((name, region, tenant, record));
    }
    machine.back_up(&[]).await;
    // Some of it is in the first backup, some in the second, and some in the journal of its region alone.
    for (name, _, tenant, record) in &mut tenants[..2] {
        *record = tenant.make("/v1/records/contacts", json!({"of": name})).await;
    }
    let second = machine.back_up(&[]).await;
    assert_eq!(second["tenants"], 3);
    machine.server.kill();
    fs::remove_dir_all(machine.server.folder().join("regions")).unwrap();

    let home = TempDir::new().unwrap();
    let restored = machine.restore(home.path(), &[]).await;
    assert_eq!(restored.status.code(), Some(0), "{}", said(&restored));
    say_that_the_old_one_is_gone(&machine, home.path()).await;
    let server = machine.started(home, config);
    for (name, region, tenant, record) in &tenants {
        let owner = tenant.owner_at(&server);
        assert_eq!(owner.get("/v1/me").await.unwrap()["region"], *region);
        assert_eq!(owner.get(&format!("/v1/records/contacts/{record}")).await.unwrap()["data"]["of"], *name);
        for (_, _, _, other) in tenants.iter().filter(|(other, ..)| other != name) {
            let path = format!("/v1/records/contacts/{other}");
            assert_eq!(send(&owner, Method::GET, &path).await.status, 404);
        }
        owner.post("/v1/records/contacts", &json!({"of": name})).await.unwrap();
        let key = send(&owner, Method::GET, "/v1/audit/key").await.text().trim().parse().unwrap();
        let checkpoint = checkpoint(&owner).await;
        let log = SignedCheckpoint::open(&checkpoint, &key).unwrap().checkpoint().origin.clone();
        assert_eq!(log.region.as_str(), *region);
        verify(&export(&owner).await, &key, &[checkpoint]);
    }
}
