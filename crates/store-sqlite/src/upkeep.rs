//! What keeps a store in order while it is used: it folds and closes what is idle, and writes down what waits.

use crate::EmbeddedStore;
use crate::error::Fault;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

/// The journal's size beyond which tenants without a file get one, so that it can shrink again: a tenant that nobody
/// has used takes 3 KB in the journal and 140 as a file. A test fills a smaller one.
const FULL_JOURNAL_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };
/// How many tenants' entries one round of maintenance folds.
const FOLD_AT_ONCE: u32 = 200;
/// How many entries of a tenant wait before maintenance folds them. A tenant without a file gets one then: its tables
/// would grow in memory, and be made of all its entries again after a rest.
const FOLD_FROM: u64 = 512;
/// Looking for what waits goes over the whole journal, so it takes one part in so many of the time at most.
const LOOK_SHARE: i64 = 100;
/// The longest that a look is taken to have lasted, whatever the clock did meanwhile.
const LONGEST_LOOK_MILLIS: i64 = 1000;

/// For how long the copy of a tenant's file from before a migration is kept.
const KEPT_COPY_MILLIS: i64 = 7 * DAY_MILLIS;
const DAY_MILLIS: i64 = 24 * 3_600_000;

/// When a file was last written to, in milliseconds since the Unix epoch; `None` where it is not there.
fn modified(path: &Path) -> Result<Option<i64>, Fault> {
    let written = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?.modified()?,
    };
    let since = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    Ok(Some(i64::try_from(since).unwrap_or(i64::MAX)))
}

impl EmbeddedStore {
    /// Folds, closes and writes down what has waited for it. To be called every second or so.
    pub async fn maintain(&self) {
        self.inner().handles.sweep(self.env().now()).await;
        if let Err(fault) = self.fold_backlog().await {
            tracing::error!(%fault, "the journal's backlog could not be folded");
        }
        if let Err(fault) = self.inner().platform.write_due_uses().await {
            tracing::error!(%fault, "the times of last use could not be written");
        }
        if let Err(fault) = self.forget_migration_copies().await {
            tracing::error!(%fault, "copies from before a migration could not be removed");
        }
    }

    /// Removes, once a day, the copies that migrations made of tenants' files, when they have been there long enough
    /// to be gone back to, and the file has been written to since: then the migration was not in vain.
    async fn forget_migration_copies(&self) -> Result<(), Fault> {
        let (now, next) = (self.env().now().millis(), &self.inner().next_tidying);
        if (1..=DAY_MILLIS).contains(&(next.load(Ordering::Relaxed) - now)) {
            return Ok(());
        }
        next.store(now + DAY_MILLIS, Ordering::Relaxed);
        let regions: Vec<_> = self.all_journals().into_iter().map(|(region, _)| region).collect();
        let folder = self.inner().folder.clone();
        crate::tenant::blocking(move || {
            for region in regions {
                for (copy, of) in folder.migration_copies(&region)? {
                    let (Some(kept), Some(written)) = (modified(&copy)?, modified(&of)?) else { continue };
                    if kept < now - KEPT_COPY_MILLIS && written >= kept {
                        crate::files::remove_database(&copy)?;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// Closes what is idle whenever many tenants' databases were opened, so that nobody who opens one waits for
    /// others to be closed. Never ends; to be run beside the rest.
    pub async fn keep_few_open(&self) -> Infallible {
        loop {
            self.inner().handles.crowded().await;
            self.inner().handles.sweep(self.env().now()).await;
        }
    }

    /// Folds and closes everything. After it the folder may be copied.
    pub async fn close(&self) {
        for handle in self.inner().handles.all() {
            let (id, closing) = (handle.id, crate::tenant::blocking(move || handle.close()).await);
            if let Err(fault) = closing {
                tracing::error!(tenant.id = %id, %fault, "a tenant's database did not close");
            }
        }
        if let Err(fault) = self.inner().platform.write_uses().await {
            tracing::error!(%fault, "the times of last use could not be written");
        }
    }

    async fn fold_backlog(&self) -> Result<(), Fault> {
        let begun = self.env().now();
        let wait = self.inner().next_look.load(Ordering::Relaxed) - begun.millis();
        if (1..=LOOK_SHARE * LONGEST_LOOK_MILLIS).contains(&wait) {
            return Ok(());
        }
        let journals: Vec<_> = self.journals().values().cloned().collect();
        let mut looked = 0;
        for journal in journals {
            let asked = self.env().now();
            let reading = journal.clone();
            let (full, backlog) = crate::tenant::blocking(move || {
                Ok((reading.bytes()? > FULL_JOURNAL_BYTES, reading.backlog(FOLD_AT_ONCE)?))
            })
            .await?;
            looked += self.env().now().millis() - asked.millis();
            for (tenant, entries) in backlog {
                if !full && entries < FOLD_FROM {
                    break;
                }
                let folded = match self.handle_of(tenant).await {
                    Ok(handle) => crate::tenant::blocking(move || handle.settle_at_rest()).await,
                    // The tenant was deleted, or never came to be: nobody can read these any more.
                    Err(Fault::KeyGone) => journal.erase(tenant).await.map(drop),
                    Err(fault) => Err(fault),
                };
                // One tenant's damage keeps nobody else's entries waiting.
                if let Err(fault) = folded {
                    tracing::error!(tenant.id = %tenant, %fault, "a tenant's journal could not be folded");
                }
            }
        }
        self.inner()
            .next_look
            .store(begun.millis() + LOOK_SHARE * looked.clamp(0, LONGEST_LOOK_MILLIS), Ordering::Relaxed);
        Ok(())
    }
}
