//! Work on a data folder whose server is stopped, for the commands that need it.

use async_trait::async_trait;
use cli::Offline;
use std::path::Path;

/// The embedded store's folder.
pub(crate) struct DataFolder;

#[async_trait]
impl Offline for DataFolder {
    async fn rewrap_keys(&self, _: &Path, _: &Path, _: &Path) -> Result<u64, String> {
        Err("keys cannot be wrapped anew yet".to_owned())
    }
}
