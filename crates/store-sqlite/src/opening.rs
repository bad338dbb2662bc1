//! What opening needs, and why it may be refused.

use crate::error::Fault;
use crate::files::DataFolder;
use crate::platform::Platform;
use crate::store_impl::operator_log;
use env::Env;
use ids::{Id, Slug};
use kms::{Kms, Purpose};
use sqlcipher::params;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the key of the platform store is for.
pub(crate) const PLATFORM: Purpose = Purpose::new("platform store");

/// How the store is opened.
pub struct Settings {
    /// The data folder, made if it is not there.
    pub folder: PathBuf,
    /// The regions whose data rests here. The first is where the operators' own log is.
    pub regions: Vec<Slug>,
    /// Whether a commit waits for the disk. Without it a power loss may take the last moments.
    pub durable: bool,
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has the folder.
    #[error("another server is using the data folder; two servers on one folder would damage it")]
    InUse,
    /// The platform store does not open under this master key.
    #[error(
        "the platform store does not open with this master key: the key is wrong, or the file is damaged"
    )]
    WrongMasterKey,
    /// It was put back from a backup of everything, and nobody has said that the server before is gone.
    #[error(
        "the data folder was restored from the backup {0}, and two servers with one past must not run. When the \
         old server is gone for good, say so: tenantry restore --old-server-is-gone --data DIR \
         --master-key-file FILE"
    )]
    PutBack(String),
    /// A setting is missing.
    #[error("the store needs at least one region")]
    NoRegion,
    /// Something else stands in the way.
    #[error("the data folder cannot be used: {0}")]
    Unusable(String),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self::Unusable(fault.to_string())
    }
}

/// The regions of a data folder that nobody uses, that of the operators' own log first: whoever opens the folder
/// without its configuration writes into the same log as the server.
pub fn regions_of(folder: &Path) -> Result<Vec<Slug>, OpenError> {
    let folder = DataFolder::at(folder)?;
    let mut regions = folder.regions()?;
    regions.sort();
    let mut home = None;
    for (place, region) in regions.iter().enumerate() {
        if has_operator_log(&folder, region)? {
            home = Some(place);
            break;
        }
    }
    match home {
        Some(place) => regions[..=place].rotate_right(1),
        // The first event of all makes the first operator's key known, so one region is the only one here.
        None if regions.len() < 2 => {}
        None => return Err(OpenError::Unusable("no region has the operators' log".into())),
    }
    Ok(regions)
}

fn has_operator_log(folder: &DataFolder, region: &Slug) -> Result<bool, Fault> {
    if folder.tenant(region, operator_log())?.exists() {
        return Ok(true);
    }
    let options = crate::sqlite::journal_options(false);
    let journal = sqlcipher::open_plain(&folder.journal(region)?, &options)?;
    let select = "SELECT EXISTS(SELECT 1 FROM entry WHERE tenant = ?1)";
    Ok(journal.query_row(select, params![operator_log().to_bytes()], |row| row.get(0))?)
}

/// Opens the platform store, also where the master key was changed since.
pub(crate) async fn open_platform(
    folder: &DataFolder,
    kms: &dyn Kms,
    env: &Env,
) -> Result<Arc<Platform>, OpenError> {
    let path = folder.platform();
    if !path.exists() && !folder.regions().map_err(OpenError::from)?.is_empty() {
        let detail = "there are tenants' files and no platform store, which has their keys";
        return Err(OpenError::Unusable(detail.into()));
    }
    let key = kms.derive(kms.master_key_id(), &PLATFORM).await.map_err(Fault::from)?;
    match Platform::open(&path, &key, env.clone()) {
        Err(Fault::Damaged(_)) => {
            let previous = kms.previous_master_key_id().ok_or(OpenError::WrongMasterKey)?;
            let old = kms.derive(previous, &PLATFORM).await.map_err(Fault::from)?;
            crate::lifecycle::rekey_platform(&path, &old, &key).map_err(|_| OpenError::WrongMasterKey)?;
            Ok(Platform::open(&path, &key, env.clone())?)
        }
        other => Ok(other?),
    }
}
