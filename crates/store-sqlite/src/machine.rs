//! The machine as a whole: a backup of everything at one moment, and putting it back on an empty one.
//!
//! The journal is the commit point of every tenant's writes, so what is taken is each tenant's file as it rests,
//! and at the moment itself what the journals and the platform store have. A tenant's file and the journal's
//! entries beyond it are what the tenant had at the moment. Files that have not changed since an earlier backup
//! are taken from that one.
//!
//! A backup is a set of parts, each under a name of its own, and a manifest that lists them with their hashes.
//! Parts that are not encrypted under a tenant's key are sealed under one that comes from the master key, and so
//! is the manifest, which is written last: without it there is no backup.

mod backup;
mod check;
mod restore;

pub use check::FailedCheck;
pub use restore::{PutBack, PutBackError, WholeRestore, confirm_put_back, put_back};

use crate::error::Fault;
use env::{Env, Timestamp};
use ids::{BackupId, Slug, TenantId};
use kms::Purpose;
use kms::stream::{ClaimedStream, SealingStream};
use secret::SecretBytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// What seals the parts that no tenant's key encrypts, and the manifest.
const WHOLE_BACKUP: Purpose = Purpose::new("backup of everything");
const FORMAT: u32 = 1;
const PIECE_BYTES: usize = 256 * 1024;

/// What a manifest says to anyone, authenticated with what it lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: u32,
    backup: BackupId,
    at: Timestamp,
    generation: u64,
    /// The id of the master key that it is sealed under.
    master: String,
}

/// A part of a backup, as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    name: String,
    bytes: u64,
    sha256: String,
}

/// A tenant's file, as it was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TenantPart {
    tenant: TenantId,
    region: Slug,
    /// How often the tenant had been restored.
    restores: u64,
    /// The name of the data key that it is under.
    key: String,
    /// The last journal entry that it contains; `None` where it could not be read.
    folded: Option<u64>,
    part: Part,
}

/// A region's journal at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct JournalPart {
    region: Slug,
    part: Part,
}

/// What a manifest lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listing {
    platform: Part,
    /// Where the operators' own log is.
    home: Slug,
    journals: Vec<JournalPart>,
    tenants: Vec<TenantPart>,
    /// Tenants whose file the disk did not give. What the journal has of them is not what they are.
    left_out: Vec<TenantId>,
}

impl Listing {
    fn parts(&self) -> impl Iterator<Item = &Part> {
        let journals = self.journals.iter().map(|journal| &journal.part);
        [&self.platform].into_iter().chain(journals).chain(self.tenants.iter().map(|tenant| &tenant.part))
    }
}

/// Copies what is read; gives back how many bytes there were, and their hash.
fn copy_measured(input: &mut impl Read, output: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0u64, vec![0; PIECE_BYTES]);
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, hex::encode(hash.finalize())));
        }
        bytes += read as u64;
        hash.update(&piece[..read]);
        output.write_all(&piece[..read])?;
    }
}

/// A file's length and hash.
fn measure(path: &Path) -> io::Result<(u64, String)> {
    copy_measured(&mut File::open(path)?, &mut io::sink())
}

/// Seals what is read into a new file.
fn seal(
    input: &mut impl Read,
    target: &Path,
    header: &[u8],
    key: &SecretBytes<32>,
    env: &Env,
) -> Result<(), Fault> {
    let output = BufWriter::new(crate::files::create_private(target)?);
    let mut sealing = SealingStream::begin(output, env, key, &WHOLE_BACKUP, header)?;
    io::copy(input, &mut sealing)?;
    sealing.finish()?.flush()?;
    Ok(())
}

/// Opens a manifest; its header and what it lists are authentic.
fn open_manifest(path: &Path, key: &SecretBytes<32>) -> Result<(Header, Listing), Fault> {
    let damaged = || Fault::Damaged("a manifest");
    let mut opened = ClaimedStream::read(BufReader::new(File::open(path)?))
        .and_then(|claimed| claimed.open(key, &WHOLE_BACKUP))
        .map_err(|_| damaged())?;
    let header = serde_json::from_slice(opened.header()).map_err(|_| damaged())?;
    let mut text = Vec::new();
    opened.read_to_end(&mut text).map_err(|_| damaged())?;
    Ok((header, serde_json::from_slice(&text).map_err(|_| damaged())?))
}

#[cfg(test)]
mod tests;
