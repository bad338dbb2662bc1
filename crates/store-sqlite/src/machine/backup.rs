//! Taking a backup of everything while writing goes on.

use super::{
    FORMAT, Header, JournalPart, Listing, Part, TenantPart, WHOLE_BACKUP, measure, open_manifest, seal,
};
use crate::EmbeddedStore;
use crate::backup::refused;
use crate::error::Fault;
use crate::journal::{Journal, Snapshot};
use crate::opening::PLATFORM;
use crate::platform::{FileState, PlatformSnapshot};
use crate::tenant::{AtRest, blocking};
use async_trait::async_trait;
use context::Operator;
use env::Timestamp;
use ids::{BackupId, Slug, TenantId};
use secret::SecretBytes;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Carrier, Piece, PieceKind, StoreError, WholeBackup, WholeBackups};

/// How often files that changed in kind meanwhile are copied again before such changes are kept out.
const PASSES: usize = 2;

type Journals = Vec<(Slug, Arc<Journal>)>;

/// What is known of a tenant's file: what it was when it was looked at, and the part that has it, if it has one.
struct Seen {
    state: FileState,
    part: Option<TenantPart>,
    /// Whether the disk did not give it.
    left_out: bool,
}

/// A tenant's file that was copied and not yet carried away.
struct Copied {
    part: TenantPart,
    path: PathBuf,
}

/// What came of a look at a tenant's file.
enum Look {
    NoFile,
    Unchanged(TenantPart),
    Copied(Copied),
}

/// What was there at the moment.
struct Moment {
    at: Timestamp,
    platform: PlatformSnapshot,
    journals: Vec<(Slug, Snapshot)>,
}

struct Taking<'a> {
    store: &'a EmbeddedStore,
    /// Pieces lie at this path with a number behind it.
    scratch: &'a Path,
    staged: usize,
    key: SecretBytes<32>,
    backup: BackupId,
    /// What the earlier backup has.
    last: HashMap<TenantId, TenantPart>,
    seen: BTreeMap<TenantId, Seen>,
    copied: u64,
    carrier: &'a mut dyn Carrier,
}

#[async_trait]
impl WholeBackups for EmbeddedStore {
    async fn back_up_all(
        &self,
        _: &Operator,
        last: &Path,
        carrier: &mut dyn Carrier,
    ) -> Result<WholeBackup, StoreError> {
        let inner = self.inner();
        let master = inner.kms.master_key_id();
        let key = inner.kms.derive(master, &WHOLE_BACKUP).await.map_err(Fault::from)?;
        let known = earlier(last, &key, inner.generation)?;
        carrier.begin().await.map_err(|gone| Fault::Io(gone.to_string()))?;
        let mut taking = Taking {
            store: self,
            scratch: last,
            staged: 0,
            last: known,
            key,
            backup: self.env().id(),
            seen: BTreeMap::new(),
            copied: 0,
            carrier,
        };
        let taken = taking.run(master.to_string()).await;
        for number in 0..=taking.staged {
            crate::files::remove_database(&numbered(last, number))?;
        }
        Ok(taken?)
    }
}

/// What an earlier backup of this server has. One of another generation has nothing that this one could go on
/// from.
fn earlier(
    path: &Path,
    key: &SecretBytes<32>,
    generation: u64,
) -> Result<HashMap<TenantId, TenantPart>, Fault> {
    if std::fs::metadata(path)?.len() == 0 {
        return Ok(HashMap::new());
    }
    match open_manifest(path, key) {
        Ok((header, _)) if header.format != FORMAT || header.generation != generation => Ok(HashMap::new()),
        Ok((_, listing)) => Ok(listing.tenants.into_iter().map(|part| (part.tenant, part)).collect()),
        Err(Fault::Damaged(_)) => Err(refused(
            "The body is no manifest of an earlier backup that this server took under its present master key. \
             Leave it out to take everything.",
        )),
        Err(fault) => Err(fault),
    }
}

fn numbered(scratch: &Path, number: usize) -> PathBuf {
    scratch.with_extension(number.to_string())
}

impl Taking<'_> {
    async fn run(&mut self, master: String) -> Result<WholeBackup, Fault> {
        let inner = self.store.inner();
        let journals: Journals = self.store.all_journals();
        let holds: Vec<_> = journals.iter().map(|(_, journal)| journal.hold()).collect();
        for _ in 0..PASSES {
            for (id, state) in self.changed().await? {
                if let Some(copied) = self.look(id, state).await? {
                    self.take(copied).await?;
                }
            }
        }
        let (moment, late) = {
            // From here to the moment no file becomes another one: what did until now is copied again.
            let _whole = inner.whole_files.write().await;
            let mut late = Vec::new();
            for (id, state) in self.changed().await? {
                late.extend(self.look(id, state).await?);
            }
            (moment(self.store, journals).await?, late)
        };
        for copied in late {
            self.take(copied).await?;
        }
        let at = moment.at;
        let listing = self.listing(moment).await?;
        // The journals' copies have what the hold kept.
        drop(holds);
        self.finish(master, at, listing).await
    }

    /// Tenants whose file is not known, or is another one by now. What is gone is forgotten.
    async fn changed(&mut self) -> Result<Vec<(TenantId, FileState)>, Fault> {
        let inner = self.store.inner();
        let (platform, home) = (inner.platform.clone(), inner.home.clone());
        let now = blocking(move || platform.all_files(&home)).await?;
        self.seen.retain(|id, _| now.contains_key(id));
        let known =
            |id: &TenantId, state: &FileState| self.seen.get(id).is_some_and(|seen| seen.state == *state);
        Ok(now.into_iter().filter(|(id, state)| !known(id, state)).collect())
    }

    /// Looks at a tenant's file, and copies it where the earlier backup has another.
    async fn look(&mut self, id: TenantId, state: FileState) -> Result<Option<Copied>, Fault> {
        self.staged += 1;
        let target = numbered(self.scratch, self.staged);
        let last = self.last.get(&id).cloned();
        let path = self.store.inner().folder.tenant(&state.region, id)?;
        let handle = match self.store.handle_of(id).await {
            Ok(handle) => Some(handle),
            // Erased just now.
            Err(Fault::KeyGone) => return Ok(None),
            Err(fault) => {
                tracing::error!(tenant.id = %id, %fault, "a tenant's file is copied without being read");
                None
            }
        };
        let (wanted, name) = (state.clone(), part_name(self.store));
        let looked = blocking(move || {
            let same = |found: &AtRest| last.as_ref().is_some_and(|last| is_same(last, found, &wanted));
            let copied = match handle {
                Some(handle) => handle.copy_at_rest(&target, |found| !same(found))?,
                None if path.exists() => {
                    std::fs::copy(&path, &target)?;
                    Some((AtRest { folded: None, key: wanted.key.clone() }, true))
                }
                // Without a key nobody knows what the journal has of it.
                None => None,
            };
            Ok(match (copied, last) {
                (None, _) => Look::NoFile,
                (Some((_, false)), Some(last)) => Look::Unchanged(last),
                (Some((AtRest { folded, key }, _)), _) => {
                    let (bytes, sha256) = measure(&target)?;
                    let part = Part { name, bytes, sha256 };
                    let FileState { restores, region, .. } = wanted;
                    Look::Copied(Copied {
                        part: TenantPart { tenant: id, region, restores, key, folded, part },
                        path: target,
                    })
                }
            })
        });
        let mut left_out = false;
        let (part, copied) = match looked.await {
            Err(Fault::KeyGone) => return Ok(None),
            Err(fault @ (Fault::DiskFull | Fault::Stopped)) => return Err(fault),
            // One tenant's damage keeps nobody else out of the backup.
            Err(fault) => {
                tracing::error!(tenant.id = %id, %fault, "a tenant's file cannot be copied");
                left_out = true;
                (None, None)
            }
            Ok(Look::NoFile) => (None, None),
            Ok(Look::Unchanged(part)) => (Some(part), None),
            Ok(Look::Copied(copied)) => (Some(copied.part.clone()), Some(copied)),
        };
        self.seen.insert(id, Seen { state, part, left_out });
        Ok(copied)
    }

    async fn take(&mut self, copied: Copied) -> Result<(), Fault> {
        self.copied += 1;
        self.carry(PieceKind::Part, copied.part.part.name, copied.path).await
    }

    async fn carry(&mut self, kind: PieceKind, name: String, path: PathBuf) -> Result<(), Fault> {
        let piece = Piece { kind, name, path };
        self.carrier.carry(&piece).await.map_err(|gone| Fault::Io(gone.to_string()))?;
        crate::files::remove_if_there(&piece.path).map(drop)
    }

    /// Copies, seals and carries away what was there at the moment.
    async fn listing(&mut self, moment: Moment) -> Result<Listing, Fault> {
        let inner = self.store.inner();
        let folded: Arc<HashMap<_, _>> =
            Arc::new(self.parts().filter_map(|tenant| Some((tenant.tenant, tenant.folded?))).collect());
        let mut journals = Vec::new();
        for (region, snapshot) in moment.journals {
            let folded = folded.clone();
            let part = self.sealed(move |target| snapshot.copy(target, &folded)).await?;
            journals.push(JournalPart { region, part });
        }
        let key = inner.kms.derive(inner.kms.master_key_id(), &PLATFORM).await?;
        let platform = self.sealed(move |target| moment.platform.copy(target, &key)).await?;
        let tenants = self.parts().cloned().collect();
        let left_out = self.seen.iter().filter(|(_, seen)| seen.left_out).map(|(id, _)| *id).collect();
        Ok(Listing { platform, home: inner.home.clone(), journals, tenants, left_out })
    }

    fn parts(&self) -> impl Iterator<Item = &TenantPart> {
        self.seen.values().filter_map(|seen| seen.part.as_ref())
    }

    /// Writes a file, and carries it away sealed.
    async fn sealed(
        &mut self,
        write: impl FnOnce(&Path) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Part, Fault> {
        self.staged += 2;
        let plain = numbered(self.scratch, self.staged - 1);
        let target = numbered(self.scratch, self.staged);
        let (name, key, env, path) =
            (part_name(self.store), self.key.clone(), self.store.env(), target.clone());
        let part = blocking(move || {
            write(&plain)?;
            seal(&mut File::open(&plain)?, &target, name.as_bytes(), &key, &env)?;
            crate::files::remove_database(&plain)?;
            let (bytes, sha256) = measure(&target)?;
            Ok(Part { name, bytes, sha256 })
        })
        .await?;
        self.carry(PieceKind::Part, part.name.clone(), path).await?;
        Ok(part)
    }

    /// The list of the parts, and last the manifest.
    async fn finish(
        &mut self,
        master: String,
        at: Timestamp,
        listing: Listing,
    ) -> Result<WholeBackup, Fault> {
        self.staged += 2;
        let list = numbered(self.scratch, self.staged - 1);
        let manifest = numbered(self.scratch, self.staged);
        let generation = self.store.inner().generation;
        let header = Header { format: FORMAT, backup: self.backup, at, generation, master };
        let header = serde_json::to_vec(&header).map_err(|_| Fault::Damaged("a manifest"))?;
        let text = serde_json::to_vec(&listing).map_err(|_| Fault::Damaged("a manifest"))?;
        let lines: String = listing
            .parts()
            .map(|Part { name, bytes, sha256 }| format!("{name} {bytes} {sha256}\n"))
            .collect();
        let (key, env) = (self.key.clone(), self.store.env());
        let (to_list, to_manifest) = (list.clone(), manifest.clone());
        blocking(move || {
            std::fs::write(&to_list, lines)?;
            seal(&mut text.as_slice(), &to_manifest, &header, &key, &env)
        })
        .await?;
        let unreadable = self.parts().filter(|tenant| tenant.folded.is_none());
        let mut unreadable: Vec<_> = unreadable.map(|tenant| tenant.tenant).collect();
        unreadable.extend(&listing.left_out);
        // The operators' own log is no tenant's.
        let tenants = (self.seen.len() as u64).saturating_sub(1);
        let unchanged = (listing.tenants.len() as u64).saturating_sub(self.copied);
        self.carry(PieceKind::List, self.backup.to_string(), list).await?;
        self.carry(PieceKind::Manifest, self.backup.to_string(), manifest).await?;
        let (backup, copied) = (self.backup, self.copied);
        Ok(WholeBackup { backup, at, generation, tenants, copied, unchanged, unreadable })
    }
}

/// The moment: nothing is written to the platform store or to any journal while their views begin.
async fn moment(store: &EmbeddedStore, journals: Journals) -> Result<Moment, Fault> {
    let inner = store.inner();
    let key = inner.kms.derive(inner.kms.master_key_id(), &PLATFORM).await?;
    let (platform, env) = (inner.platform.clone(), store.env());
    blocking(move || {
        let view = platform.for_snapshot(&key)?;
        let views = journals
            .iter()
            .map(|(region, journal)| Ok((region.clone(), journal.for_snapshot()?)))
            .collect::<Result<Vec<_>, Fault>>()?;
        let _still = platform.lock();
        let _pauses = journals.iter().map(|(_, journal)| journal.pause()).collect::<Result<Vec<_>, _>>()?;
        let begun = views.into_iter().map(|(region, view)| Ok((region, Snapshot::begin(view)?)));
        Ok(Moment {
            at: env.now(),
            platform: PlatformSnapshot::begin(view)?,
            journals: begun.collect::<Result<_, Fault>>()?,
        })
    })
    .await
}

/// Whether the earlier backup has the file as it is: it is under the same key, was not restored since, and has
/// folded nothing more. What is beyond it is in the journal.
fn is_same(last: &TenantPart, found: &AtRest, state: &FileState) -> bool {
    found.folded.is_some()
        && last.folded == found.folded
        && last.key == found.key
        && last.restores == state.restores
        && last.region == state.region
}

fn part_name(store: &EmbeddedStore) -> String {
    hex::encode(store.env().random::<16>())
}
