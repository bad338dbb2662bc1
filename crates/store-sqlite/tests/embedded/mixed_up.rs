//! Tenants' bytes in each other's places: that tenant alone is out of service, and nothing is shown.

use crate::folder::{Embedded, data, open};
use crate::journal_file::JournalFile;
use ids::Id;
use serde_json::json;
use std::fs;
use store::StoreError;
use store_tests::samples::record;
use store_tests::{World, audit_trail, records};

async fn fill(world: &World<Embedded>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                records::create(world.store(), &tenant, record(1, json!({"who": word}))).await.unwrap();
            })
            .await;
    }
}

/// The first tenant is out of service, the second as it was.
async fn only_the_first_is_out(world: &World<Embedded>) {
    for _ in 0..2 {
        let (one, two) = (world.one, world.two);
        let found = world.visit(one, async |tenant| records::get(world.store(), &tenant, 1).await).await;
        assert_eq!(found.err(), Some(StoreError::TenantUnavailable));
        let written = world
            .visit(one, async |tenant| records::create(world.store(), &tenant, record(2, json!({}))).await)
            .await;
        assert!(
            matches!(written, Err(StoreError::TenantUnavailable | StoreError::Unavailable)),
            "{written:?}"
        );
        world
            .visit(two, async |tenant| {
                assert_eq!(records::get(world.store(), &tenant, 1).await.unwrap().data["who"], "bert");
                audit_trail::append(world.store(), &tenant, &["still here"]).await;
                audit_trail::verified(world.store(), &tenant, None).await;
            })
            .await;
        world.store().maintain().await;
    }
}

#[test]
fn an_entry_of_another_tenant_is_refused() {
    World::<Embedded>::run(async |mut world| {
        fill(&world).await;
        let folder = world.backend.folder();
        let journal = JournalFile::open(&folder);
        assert!(journal.entries_of(world.one) > 0);
        // Copied, not moved: the owner keeps what is its own. Nothing was folded yet, as nothing was closed.
        let (one, two) = (world.one.to_bytes(), world.two.to_bytes());
        let copied = journal.change(
            "INSERT INTO entry(tenant, segment, sealed) SELECT ?1, segment, sealed FROM entry WHERE tenant = ?2",
            &[&one, &two],
        );
        assert!(copied > 0);
        drop(journal);
        // The open store would not look; the next one does.
        world = world.reopen().await;
        only_the_first_is_out(&world).await;
    });
}

#[test]
fn an_entry_with_a_flipped_bit_is_refused() {
    World::<Embedded>::run(async |mut world| {
        let image = tempfile::TempDir::new().unwrap();
        fill(&world).await;
        crate::crash::copy(world.backend.place().path(), image.path());
        let journal = JournalFile::open(&data(image.path()));
        // The last byte is in the authentication code.
        journal.change(
            "UPDATE entry SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)
             WHERE tenant = ?1 AND substr(sealed, -1) <> x'00'",
            &[&world.one.to_bytes()],
        );
        drop(journal);
        // What the file has folded already is not read from the journal again, so the file goes too.
        fs::remove_file(data(image.path()).join(format!("regions/local/tenants/{}.db", world.one))).unwrap();
        world.backend = Embedded::at(image, world.env()).await;
        only_the_first_is_out(&world).await;
    });
}

#[test]
fn an_entry_that_is_no_entry_is_refused() {
    World::<Embedded>::run(async |mut world| {
        fill(&world).await;
        let journal = JournalFile::open(&world.backend.folder());
        let one = world.one.to_bytes();
        journal.change("INSERT INTO entry(tenant, segment, sealed) VALUES(?1, 'short', 'text')", &[&one]);
        drop(journal);
        world = world.reopen().await;
        only_the_first_is_out(&world).await;
    });
}

#[test]
fn another_tenants_file_is_refused() {
    World::<Embedded>::run(async |mut world| {
        fill(&world).await;
        world.store().close().await;
        let image = tempfile::TempDir::new().unwrap();
        crate::crash::copy(world.backend.place().path(), image.path());
        let file = |tenant| data(image.path()).join(format!("regions/local/tenants/{tenant}.db"));
        fs::copy(file(world.two), file(world.one)).unwrap();
        world.backend = Embedded::at(image, world.env()).await;
        only_the_first_is_out(&world).await;
    });
}

#[test]
fn a_damaged_file_puts_its_own_tenant_out_and_can_be_erased() {
    World::<Embedded>::run(async |mut world| {
        fill(&world).await;
        world.store().close().await;
        let image = tempfile::TempDir::new().unwrap();
        crate::crash::copy(world.backend.place().path(), image.path());
        let file = data(image.path()).join(format!("regions/local/tenants/{}.db", world.one));
        let mut bytes = fs::read(&file).unwrap();
        bytes.iter_mut().step_by(100).for_each(|byte| *byte ^= 1);
        fs::write(&file, bytes).unwrap();
        world.backend = Embedded::at(image, world.env()).await;
        only_the_first_is_out(&world).await;
        use store::TenantLifecycle as _;
        let receipt = world.store().erase(&world.operator, world.one).await.unwrap();
        assert_eq!((receipt.audit_events, receipt.final_checkpoint.as_str()), (0, ""));
        assert!(!file.exists());
        let place = world.backend.place();
        assert!(open(place.path(), &data(place.path()), world.env()).await.is_err(), "it is in use");
    });
}
