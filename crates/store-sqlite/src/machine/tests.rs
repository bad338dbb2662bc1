//! What is in a backup of everything, what the next one takes, and what the isolation check finds.

use super::{PutBack, PutBackError, WholeRestore, confirm_put_back, put_back};
use crate::lifecycle::tests::Embedded;
use crate::tenant::blocking;
use crate::{EmbeddedStore, OpenError, Settings};
use async_trait::async_trait;
use authz::{Role, Scopes};
use context::{IndexedSubject, KeyedHash};
use ids::TenantId;
use kms_file::{FileKms, MasterKey};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Carrier, OperatorLog as _, Piece, PieceKind, TakerGone, WholeBackup, WholeBackups as _};
use store_tests::samples::record;
use store_tests::{World, records};

/// Puts pieces into a folder, as whoever takes a backup does; `leave_after` many it goes away.
struct Shelf {
    folder: PathBuf,
    leave_after: usize,
}

#[async_trait]
impl Carrier for Shelf {
    async fn begin(&mut self) -> Result<(), TakerGone> {
        Ok(())
    }

    async fn carry(&mut self, piece: &Piece) -> Result<(), TakerGone> {
        self.leave_after = self.leave_after.checked_sub(1).ok_or(TakerGone)?;
        let target = match piece.kind {
            PieceKind::Part => self.folder.join("parts").join(&piece.name),
            PieceKind::List => self.folder.join(format!("{}.parts", piece.name)),
            PieceKind::Manifest => self.folder.join(format!("{}.manifest", piece.name)),
        };
        fs::copy(&piece.path, target).unwrap();
        Ok(())
    }
}

/// A world whose tenants have stored something, and a folder for its backups.
struct Stage {
    world: World<Embedded>,
    home: PathBuf,
}

impl Stage {
    async fn set(world: World<Embedded>) -> Self {
        let home = world.backend.place().join("home");
        fs::create_dir_all(home.join("backups/parts")).unwrap();
        let stage = Self { world, home };
        stage.write(1).await;
        stage
    }

    fn shelf(&self) -> PathBuf {
        self.home.join("backups")
    }

    /// A record of each tenant.
    async fn write(&self, number: u8) {
        for (tenant, word) in self.world.tenants() {
            self.write_one(tenant, number, word).await;
        }
    }

    async fn write_one(&self, tenant: TenantId, number: u8, word: &str) {
        let made = record(number, json!({"who": word}));
        let store = self.world.store();
        self.world
            .visit(tenant, async |tenant| drop(records::create(store, &tenant, made).await.unwrap()))
            .await;
    }

    async fn take(&self, last: Option<&WholeBackup>) -> WholeBackup {
        self.try_to_take(last, usize::MAX).await.unwrap()
    }

    async fn try_to_take(
        &self,
        last: Option<&WholeBackup>,
        leave_after: usize,
    ) -> Result<WholeBackup, store::StoreError> {
        let scratch = self.home.join("scratch");
        match last {
            Some(last) => {
                fs::copy(self.shelf().join(format!("{}.manifest", last.backup)), &scratch).unwrap();
            }
            None => fs::write(&scratch, "").unwrap(),
        }
        let mut shelf = Shelf { folder: self.shelf(), leave_after };
        let taken = self.world.store().back_up_all(&self.world.operator, &scratch, &mut shelf).await;
        fs::remove_file(&scratch).unwrap();
        assert_eq!(fs::read_dir(&self.home).unwrap().count(), 1, "pieces are left behind");
        taken
    }

    fn kms(&self) -> Arc<FileKms> {
        let key = MasterKey::load(&self.world.backend.place().join("key")).unwrap();
        Arc::new(FileKms::new(self.world.env(), key, None))
    }

    /// Puts the only backup back, or the one that is named: the clock stands still, so that none is the newest.
    async fn restore(
        &self,
        backup: Option<&WholeBackup>,
        folder: &Path,
        without_failed: bool,
    ) -> Result<PutBack, PutBackError> {
        let backup = backup.map(|backup| backup.backup);
        let wanted = WholeRestore { from: self.shelf(), backup, folder: folder.to_owned(), without_failed };
        put_back(wanted, self.kms(), self.world.env()).await
    }

    async fn open(&self, folder: &Path) -> Result<EmbeddedStore, OpenError> {
        let regions = vec!["local".parse().unwrap()];
        let settings = Settings { folder: folder.to_owned(), regions, durable: true };
        EmbeddedStore::open(settings, self.kms(), self.world.env()).await
    }

    /// The word that a tenant's record says in this store.
    async fn word(&self, store: &EmbeddedStore, tenant: TenantId, number: u8) -> Option<String> {
        let read = self.world.visit(tenant, async |tenant| records::get(store, &tenant, number).await).await;
        read.ok().map(|found| found.data["who"].as_str().unwrap().to_owned())
    }
}

#[test]
fn the_next_backup_takes_what_was_folded_since_and_the_restored_server_starts_when_told() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        let first = stage.take(None).await;
        assert_eq!((first.tenants, first.copied, first.unchanged), (2, 2, 0));
        // What one writes is in the journal's copy, whether or not its file has folded it.
        let (one, two) = (stage.world.one, stage.world.two);
        stage.write_one(one, 2, "second").await;
        let handle = stage.world.store().handle_of(one).await.unwrap();
        blocking(move || handle.settle()).await.unwrap();
        let second = stage.take(Some(&first)).await;
        assert_eq!((second.copied, second.unchanged), (1, 1));
        let third = stage.take(Some(&second)).await;
        assert_eq!((third.copied, third.unchanged), (0, 2));
        // Another key and a restore make another file of it, though nothing was folded.
        stage.world.store().change_data_key(two).await.unwrap();
        let fourth = stage.take(Some(&third)).await;
        assert_eq!((fourth.copied, fourth.unchanged), (1, 1));
        stage.write_one(two, 3, "late").await;
        let fifth = stage.take(Some(&fourth)).await;
        stage.write_one(two, 4, "lost").await;

        let folder = stage.world.backend.place().join("next");
        let done = stage.restore(Some(&fifth), &folder, false).await.unwrap();
        assert_eq!((done.backup, done.tenants, done.failed.len()), (fifth.backup, 2, 0));
        assert!(matches!(stage.open(&folder).await, Err(OpenError::PutBack(_))));
        let generation = confirm_put_back(&folder, 0, stage.kms(), stage.world.env()).await.unwrap();
        assert!(generation > 1);
        let again = confirm_put_back(&folder, 0, stage.kms(), stage.world.env()).await;
        assert!(matches!(again, Err(PutBackError::NotPutBack(_))));
        let next = stage.open(&folder).await.unwrap();
        assert_eq!(stage.word(&next, one, 2).await.as_deref(), Some("second"));
        assert_eq!(stage.word(&next, two, 3).await.as_deref(), Some("late"));
        assert_eq!(stage.word(&next, two, 4).await, None);
        let handle = next.handle_of(two).await.unwrap();
        let (size, checkpoint) = blocking(move || handle.checkpoint()).await.unwrap();
        let log = format!("/local/{generation}\n0\n");
        assert_eq!((size, checkpoint.contains(&log)), (0, true), "{checkpoint}");
        assert!(checkpoint.contains(&format!("\ngeneration {generation}\n")));
    });
}

#[test]
fn whoever_takes_a_backup_and_leaves_has_none_and_holds_nothing() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        for pieces in 0..5 {
            assert!(stage.try_to_take(None, pieces).await.is_err(), "{pieces}");
        }
        let nothing = stage.restore(None, &stage.world.backend.place().join("next"), false).await;
        assert!(matches!(nothing, Err(PutBackError::NoBackup(_))));
        // The journal forgets again.
        let (store, one) = (stage.world.store(), stage.world.one);
        stage.write(2).await;
        let handle = store.handle_of(one).await.unwrap();
        blocking(move || handle.settle()).await.unwrap();
        store.probe_journals().await.unwrap();
        let journal = store.journal(&"local".parse().unwrap()).unwrap();
        assert!(journal.entries(one, 0, 500).unwrap().is_empty());
    });
}

#[test]
fn a_manifest_of_another_key_is_not_gone_on_from() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        let taken = stage.take(None).await;
        let manifest = stage.shelf().join(format!("{}.manifest", taken.backup));
        let mut altered = fs::read(&manifest).unwrap();
        *altered.last_mut().unwrap() ^= 1;
        fs::write(&manifest, altered).unwrap();
        let refused = stage.try_to_take(Some(&taken), usize::MAX).await;
        assert!(matches!(refused, Err(store::StoreError::BackupRefused(_))), "{refused:?}");
    });
}

#[test]
fn a_tenant_whose_log_is_not_whole_is_named_and_stays_out_of_service_alone() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        let (one, two) = (stage.world.one, stage.world.two);
        let handle = stage.world.store().handle_of(one).await.unwrap();
        blocking(move || {
            handle.with_database(|database| {
                let change = "UPDATE audit_event SET leaf = CAST(replace(CAST(leaf AS TEXT), 'success', 'failure') AS BLOB)";
                database.connection.execute(change, [])?;
                Ok(())
            })
        })
        .await
        .unwrap();
        stage.take(None).await;
        let folder = stage.world.backend.place().join("next");
        let found = stage.restore(None, &folder, false).await.unwrap();
        assert_eq!((found.failed[0].tenant, found.failed.len(), found.in_place), (one, 1, false));
        assert!(!folder.exists());
        assert!(stage.restore(None, &folder, true).await.unwrap().in_place);
        confirm_put_back(&folder, 6, stage.kms(), stage.world.env()).await.unwrap();
        let next = stage.open(&folder).await.unwrap();
        assert!(next.inner().generation > 6, "above every generation that was named");
        assert_eq!(stage.word(&next, one, 1).await, None);
        assert!(stage.word(&next, two, 1).await.is_some());
    });
}

#[test]
fn a_file_that_the_disk_does_not_give_keeps_nobody_else_out() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        let (one, two) = (stage.world.one, stage.world.two);
        stage.world.store().close().await;
        let file = stage.world.store().inner().folder.tenant(&"local".parse().unwrap(), one).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(stage.take(None).await.unreadable, [one]);
        let folder = stage.world.backend.place().join("next");
        let found = stage.restore(None, &folder, false).await.unwrap();
        assert_eq!((found.failed[0].tenant, found.failed.len(), folder.exists()), (one, 1, false));
        stage.restore(None, &folder, true).await.unwrap();
        confirm_put_back(&folder, 0, stage.kms(), stage.world.env()).await.unwrap();
        let next = stage.open(&folder).await.unwrap();
        assert_eq!(stage.word(&next, one, 1).await, None);
        assert!(stage.word(&next, two, 1).await.is_some());
        let made = record(9, json!({"who": "nobody"}));
        let write =
            stage.world.visit(one, async |tenant| records::create(&next, &tenant, made).await.is_err());
        assert!(write.await, "it does not begin anew");
    });
}

#[test]
fn a_file_of_another_tenant_is_found() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        let (one, two) = (stage.world.one, stage.world.two);
        stage.world.store().close().await;
        let folder = &stage.world.store().inner().folder;
        let local = "local".parse().unwrap();
        fs::copy(folder.tenant(&local, two).unwrap(), folder.tenant(&local, one).unwrap()).unwrap();
        let taken = stage.take(None).await;
        assert_eq!(taken.unreadable, [one]);
        let found = stage.restore(None, &stage.world.backend.place().join("next"), false).await.unwrap();
        let failed: Vec<_> = found.failed.iter().map(|failed| failed.tenant).collect();
        assert_eq!(failed, [one]);
    });
}

#[test]
fn a_credential_that_its_tenant_does_not_have_is_found_and_named() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        let (one, two) = (stage.world.one, stage.world.two);
        let made = stage.world.env().id::<TenantId>();
        stage.world.create(made, None).await.unwrap();
        let platform = stage.world.store().inner().platform.clone();
        let first = stage.take(None).await;
        let folder = |name: &str| stage.world.backend.place().join(name);
        let found = stage.restore(Some(&first), &folder("good"), false).await.unwrap();
        assert_eq!(found.failed, []);
        // Somebody lets the key of the one in at the other: no such row is there.
        let id = stage.world.env().id();
        let foreign =
            IndexedSubject::ApiKey { id, role: Role::Owner, scopes: Scopes::everything(), agent: None };
        platform.add_credential(KeyedHash([7; 32]), Some(two), foreign, None).await.unwrap();
        // Somebody lets a key do more than its row says.
        let (subject, end) = platform.lines_of(made).await.unwrap().remove(0);
        let IndexedSubject::ApiKey { id: more, scopes, agent, .. } = subject else { panic!("{subject:?}") };
        platform.remove_credential(made, more.to_string()).await.unwrap();
        let raised = IndexedSubject::ApiKey { id: more, role: Role::Viewer, scopes, agent };
        platform.add_credential(KeyedHash([8; 32]), Some(made), raised, end).await.unwrap();
        let second = stage.take(Some(&first)).await;
        let found = stage.restore(Some(&second), &folder("bad"), false).await.unwrap();
        assert!(!found.in_place);
        for (tenant, key) in [(two, id.to_string()), (made, more.to_string())] {
            let failed = found.failed.iter().find(|failed| failed.tenant == tenant).unwrap();
            assert!(failed.reason.contains(&key), "{failed:?}");
        }
        assert!(found.failed.len() == 2 && found.failed.iter().all(|failed| failed.tenant != one));
    });
}

#[test]
fn two_servers_from_one_backup_go_on_as_different_ones() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        stage.take(None).await;
        let mut seen = Vec::new();
        for name in ["first", "second", "third"] {
            let folder = stage.world.backend.place().join(name);
            stage.restore(None, &folder, false).await.unwrap();
            let generation = confirm_put_back(&folder, 0, stage.kms(), stage.world.env()).await.unwrap();
            let store = stage.open(&folder).await.unwrap();
            let handle = store.handle_of(stage.world.one).await.unwrap();
            let (_, checkpoint) = blocking(move || handle.checkpoint()).await.unwrap();
            seen.push((generation, checkpoint.lines().next().unwrap().to_owned()));
        }
        for (place, (generation, log)) in seen.iter().enumerate() {
            assert!(seen[..place].iter().all(|(other, of)| other != generation && of != log), "{seen:?}");
        }
        let folder = stage.world.backend.place().join("beyond");
        stage.restore(None, &folder, false).await.unwrap();
        let refused = confirm_put_back(&folder, 1 << 40, stage.kms(), stage.world.env()).await;
        assert!(matches!(refused, Err(PutBackError::Other(_))), "{refused:?}");
        confirm_put_back(&folder, 7000, stage.kms(), stage.world.env()).await.unwrap();
    });
}

#[test]
fn the_server_starts_once_it_is_durable_who_let_it() {
    World::<Embedded>::run(async |world| {
        let stage = Stage::set(world).await;
        stage.take(None).await;
        let folder = stage.world.backend.place().join("next");
        stage.restore(None, &folder, false).await.unwrap();
        // The confirmation ends, as by a crash, after the generation has begun and before its event is written.
        let (journal, aside) = (folder.join("regions/local/journal.db"), folder.join("aside"));
        fs::rename(&journal, &aside).unwrap();
        fs::create_dir(&journal).unwrap();
        assert!(confirm_put_back(&folder, 0, stage.kms(), stage.world.env()).await.is_err());
        fs::remove_dir(&journal).unwrap();
        fs::rename(&aside, &journal).unwrap();
        assert!(matches!(stage.open(&folder).await, Err(OpenError::PutBack(_))));
        let generation = confirm_put_back(&folder, 0, stage.kms(), stage.world.env()).await.unwrap();
        let next = stage.open(&folder).await.unwrap();
        assert_eq!(next.inner().generation, generation);
        assert_eq!(next.operator_checkpoint().await.unwrap().0, 1, "the event is the log's first");
    });
}
