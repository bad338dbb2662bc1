//! Putting a backup of everything back on an empty machine.
//!
//! All of it is laid in a folder of its own inside the one that is wanted, which may be where a disk is mounted,
//! and checked there: every hash on the way, then each tenant. It moves up last, the platform store at the very
//! end, without which there is no server; what is refused leaves nothing behind. The server that was put back does
//! not start until somebody says that the one before is gone.

use super::check::{FailedCheck, check};
use super::{FORMAT, Header, Listing, Part, WHOLE_BACKUP, copy_measured, open_manifest};
use crate::error::Fault;
use crate::files::{DataFolder, create_private, lock, sync_folder_of};
use crate::opening::open_platform;
use crate::store_impl::operator_log;
use crate::{EmbeddedStore, OpenError, Settings};
use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
use env::{Env, Timestamp};
use ids::{BackupId, TenantId};
use kms::Kms;
use kms::stream::ClaimedStream;
use secret::SecretBytes;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::OperatorStore as _;

const RESTORED: Action = Action::new("server.restore");

/// What is put back, and where.
#[derive(Clone, Debug)]
pub struct WholeRestore {
    /// The folder with the parts and manifests.
    pub from: PathBuf,
    /// Which backup; the newest where none is named.
    pub backup: Option<BackupId>,
    /// The folder to make. It may be there, if it is empty.
    pub folder: PathBuf,
    /// Whether tenants of whom not everything goes together stay out of service, and the others are put back.
    pub without_failed: bool,
}

/// What was put back.
#[derive(Clone, Debug, Serialize)]
pub struct PutBack {
    /// The backup.
    pub backup: BackupId,
    /// Everything that was acknowledged before this moment is there, and nothing that came after.
    pub at: Timestamp,
    /// The generation of the server that the backup is of.
    pub generation: u64,
    /// How many tenants there are.
    pub tenants: u64,
    /// How many parts there were.
    pub parts: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many audit events were followed.
    pub events: u64,
    /// Tenants that did not pass the isolation check.
    pub failed: Vec<FailedCheck>,
    /// Whether the folder was made.
    pub in_place: bool,
}

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum PutBackError {
    /// There is something in the folder.
    #[error("{0} is not empty; a server is put back into an empty folder alone")]
    NotEmpty(PathBuf),
    /// There is no finished backup.
    #[error(
        "{0} has no finished backup, or not the one that was named: a backup that was cut off has no manifest"
    )]
    NoBackup(PathBuf),
    /// It is sealed under another master key.
    #[error("the backup is sealed under the master key {backup}, and the key file has {given}")]
    OtherMasterKey {
        /// The backup's.
        backup: String,
        /// The one in the file.
        given: String,
    },
    /// A newer program wrote it.
    #[error("the backup was written by a newer version of this program")]
    Newer,
    /// A part is not there.
    #[error("the backup's part {0} is missing")]
    Missing(String),
    /// Something is not what was written.
    #[error("the backup's {0} was altered or cut off")]
    Altered(String),
    /// There is nothing to be said of this folder.
    #[error("{0} was not restored from a backup, or it was said already that the old server is gone")]
    NotPutBack(PathBuf),
    /// Another process has the folder, or its key is wrong.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file system.
    #[error("the folder cannot be written: {0}")]
    Io(#[from] io::Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<Fault> for PutBackError {
    fn from(fault: Fault) -> Self {
        Self::Other(fault.to_string())
    }
}

/// Puts a backup of everything back. The server does not start before [`confirm_put_back`].
pub async fn put_back(wanted: WholeRestore, kms: Arc<dyn Kms>, env: Env) -> Result<PutBack, PutBackError> {
    if is_filled(&wanted.folder)? {
        return Err(PutBackError::NotEmpty(wanted.folder));
    }
    let manifest = manifest(&wanted)?;
    let master = kms.master_key_id();
    let key = kms.derive(master, &WHOLE_BACKUP).await.map_err(Fault::from)?;
    let (header, listing) = read_manifest(&manifest, &key, &master.to_string())?;
    let was_there = wanted.folder.is_dir();
    let staging = wanted.folder.join(format!(".restoring-{}", hex::encode(env.random::<6>())));
    let laid = lay(&wanted, &header, &listing, &key, &staging, kms, env).await;
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    let in_place = laid.as_ref().is_ok_and(|laid| laid.in_place);
    if !in_place && !was_there && wanted.folder.is_dir() {
        fs::remove_dir(&wanted.folder)?;
    }
    laid
}

async fn lay(
    wanted: &WholeRestore,
    header: &Header,
    listing: &Listing,
    key: &SecretBytes<32>,
    staging: &Path,
    kms: Arc<dyn Kms>,
    env: Env,
) -> Result<PutBack, PutBackError> {
    let laying = Laying { parts: wanted.from.join("parts"), folder: DataFolder::at(staging)?, key };
    laying.all(listing)?;
    let mut regions = vec![listing.home.clone()];
    regions.extend(listing.journals.iter().map(|journal| journal.region.clone()));
    let settings = Settings { folder: staging.to_owned(), regions, durable: true };
    let store = EmbeddedStore::open(settings, kms, env).await?;
    let mut tenants = vec![operator_log()];
    let mut after = None;
    loop {
        let rows = store.inner().platform.tenant_rows(after, 500).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        tenants.extend(rows.iter().map(|row| row.id));
    }
    // Erased after its file was copied, and before the moment.
    for gone in listing.tenants.iter().filter(|part| tenants.binary_search(&part.tenant).is_err()) {
        store.remove_remains(gone.tenant, &gone.region).await?;
    }
    let left_out = |tenant: &TenantId| FailedCheck {
        tenant: *tenant,
        reason: "its file could not be read when the backup was taken, and is not in it".to_owned(),
    };
    let present: Vec<_> = tenants.iter().copied().filter(|id| !listing.left_out.contains(id)).collect();
    let mut checked = check(&store, &present).await;
    checked.failed.extend(listing.left_out.iter().filter(|id| tenants.contains(id)).map(left_out));
    let in_place = checked.failed.is_empty() || wanted.without_failed;
    if in_place {
        store.close().await;
        for failed in &checked.failed {
            keep_out(&store, failed.tenant).await?;
        }
        store.inner().platform.put_back(&header.backup.to_string(), &listing.home)?;
        drop(store);
        for name in ["regions", "platform.db"] {
            fs::rename(staging.join(name), wanted.folder.join(name))?;
            File::open(&wanted.folder)?.sync_all()?;
        }
    }
    Ok(PutBack {
        backup: header.backup,
        at: header.at,
        generation: header.generation,
        tenants: tenants.len() as u64 - 1,
        parts: listing.parts().count() as u64,
        bytes: listing.parts().map(|part| part.bytes).sum(),
        events: checked.events,
        failed: checked.failed,
        in_place,
    })
}

/// Lets a tenant's file be none, so that the tenant is out of service; what it was stays beside it.
async fn keep_out(store: &EmbeddedStore, tenant: TenantId) -> Result<(), Fault> {
    let inner = store.inner();
    let region = match inner.platform.tenant_row(tenant).await? {
        Some(row) => row.region,
        None => inner.home.clone(),
    };
    let path = inner.folder.tenant(&region, tenant)?;
    if path.exists() {
        fs::rename(&path, path.with_extension("failed-check"))?;
    }
    let mut output = create_private(&path)?;
    output.write_all("This tenant did not pass the isolation check of a restore.\n".repeat(80).as_bytes())?;
    output.sync_all()?;
    sync_folder_of(&path)
}

/// Says that the server before is gone: the one in this folder may start, under a later generation. `beyond`
/// is the highest generation that any server is known to have had, where that is above the backup's. Gives back
/// the generation. The server may start once the event that says so is durable; where that failed, it is to be said
/// again.
pub async fn confirm_put_back(
    folder: &Path,
    beyond: u64,
    kms: Arc<dyn Kms>,
    env: Env,
) -> Result<u64, PutBackError> {
    if !folder.join("platform.db").exists() {
        return Err(PutBackError::NotPutBack(folder.to_owned()));
    }
    let (from, home) = {
        let data = DataFolder::at(folder)?;
        let _lock = lock(&data.lock())?.ok_or(OpenError::InUse)?;
        let platform = open_platform(&data, kms.as_ref(), &env).await?;
        let from = platform.server()?.put_back;
        let from = from.ok_or_else(|| PutBackError::NotPutBack(folder.to_owned()))?;
        platform.begin_generation(beyond)?;
        from
    };
    let settings = Settings { folder: folder.to_owned(), regions: vec![home], durable: true };
    let store = EmbeddedStore::open_put_back(settings, kms, env).await?;
    let generation = store.inner().generation;
    // The first event of the log that begins: the one before has ended with the backup.
    let told = store.append_outsiders_events(vec![event(&from, generation)]).await;
    let released = match told {
        Ok(_) => store.inner().platform.release().map_err(PutBackError::from),
        Err(error) => Err(PutBackError::Other(error.to_string())),
    };
    store.close().await;
    released.map(|()| generation)
}

fn event(from: &str, generation: u64) -> Draft {
    let actor = Actor {
        kind: ActorKind::System,
        id: "restore".to_owned(),
        on_behalf_of: Vec::new(),
        auth: AuthMethod::Internal,
    };
    let resource = Resource { kind: "backup".into(), id: from.to_owned() };
    let mut draft = Draft::new(actor, RESTORED, resource, Outcome::Success);
    draft.details.insert("generation".into(), json!(generation));
    draft
}

fn is_filled(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(mut entries) => Ok(entries.next().is_some()),
    }
}

/// The manifest of the backup that is wanted. Backups' ids are in the order of their time.
fn manifest(wanted: &WholeRestore) -> Result<PathBuf, PutBackError> {
    let none = || PutBackError::NoBackup(wanted.from.clone());
    let found: Vec<BackupId> = fs::read_dir(&wanted.from)
        .map_err(|_| none())?
        .filter_map(|file| file.ok()?.file_name().to_str()?.strip_suffix(".manifest")?.parse().ok())
        .collect();
    let backup = match wanted.backup {
        Some(backup) => found.into_iter().find(|found| *found == backup),
        None => found.into_iter().max(),
    };
    Ok(wanted.from.join(format!("{}.manifest", backup.ok_or_else(none)?)))
}

fn read_manifest(path: &Path, key: &SecretBytes<32>, given: &str) -> Result<(Header, Listing), PutBackError> {
    let altered = || PutBackError::Altered("manifest".to_owned());
    let claimed = ClaimedStream::read(BufReader::new(File::open(path)?)).map_err(|_| altered())?;
    let claims: Header = serde_json::from_slice(claimed.claimed_header()).map_err(|_| altered())?;
    if claims.format != FORMAT {
        return Err(PutBackError::Newer);
    }
    if claims.master != given {
        return Err(PutBackError::OtherMasterKey { backup: claims.master, given: given.to_owned() });
    }
    open_manifest(path, key).map_err(|_| altered())
}

/// Lays parts where they belong.
struct Laying<'a> {
    parts: PathBuf,
    folder: DataFolder,
    key: &'a SecretBytes<32>,
}

impl Laying<'_> {
    fn all(&self, listing: &Listing) -> Result<(), PutBackError> {
        self.unsealed(&listing.platform, &self.folder.platform())?;
        for journal in &listing.journals {
            self.unsealed(&journal.part, &self.folder.journal(&journal.region)?)?;
        }
        let mut regions = BTreeSet::new();
        for tenant in &listing.tenants {
            let path = self.folder.tenant(&tenant.region, tenant.tenant)?;
            self.checked(&tenant.part, &path)?;
            regions.insert(&tenant.region);
        }
        for region in regions {
            sync_folder_of(&self.folder.tenant(region, operator_log())?)?;
        }
        Ok(sync_folder_of(&self.folder.platform())?)
    }

    /// Copies a part, and refuses it where it is not what was written.
    fn checked(&self, part: &Part, target: &Path) -> Result<(), PutBackError> {
        let mut input = match File::open(self.parts.join(&part.name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PutBackError::Missing(part.name.clone()));
            }
            input => input?,
        };
        let mut output = create_private(target)?;
        let (bytes, sha256) = copy_measured(&mut input, &mut output)?;
        if bytes != part.bytes || sha256 != part.sha256 {
            return Err(PutBackError::Altered(format!("part {}", part.name)));
        }
        Ok(output.sync_all()?)
    }

    /// Copies a sealed part, and opens it where it belongs.
    fn unsealed(&self, part: &Part, target: &Path) -> Result<(), PutBackError> {
        let sealed = target.with_extension("sealed");
        self.checked(part, &sealed)?;
        let altered = |_| PutBackError::Altered(format!("part {}", part.name));
        let claimed = ClaimedStream::read(BufReader::new(File::open(&sealed)?)).map_err(altered)?;
        let mut opened = claimed.open(self.key, &WHOLE_BACKUP).map_err(altered)?;
        if opened.header() != part.name.as_bytes() {
            return Err(PutBackError::Altered(format!("part {}", part.name)));
        }
        let mut output = create_private(target)?;
        io::copy(&mut opened, &mut output)
            .map_err(|_| PutBackError::Altered(format!("part {}", part.name)))?;
        output.sync_all()?;
        Ok(fs::remove_file(&sealed)?)
    }
}
