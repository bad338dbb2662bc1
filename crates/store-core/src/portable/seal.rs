//! The container: a head that anyone can read, and the lines, sealed under a key that comes from the tenant's own. The
//! head has that key, wrapped by the master key: it opens where the same master key is, and nowhere else.

use super::lines::{Line, Summary, Told};
use crate::Fault;
use crate::backup::BackupError;
use crate::keys::{NamedKey, WrappedKeys};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use env::{Env, Timestamp};
use ids::TenantId;
use kms::stream::{ClaimedStream, OpenedStream, SealingStream};
use kms::{Kms, Purpose, WrappedKey};
use secret::SecretBytes;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead as _, BufReader, Read, Write};

/// The version of the container that this program writes.
pub const FORMAT: u32 = 1;
const PURPOSE: Purpose = Purpose::new("tenant on its way");

/// A tenant's wrapped key as the head has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Key {
    name: String,
    wrapped: String,
}

impl Key {
    fn of(key: &NamedKey) -> Self {
        Self { name: key.name.clone(), wrapped: STANDARD.encode(key.wrapped.to_bytes()) }
    }

    fn named(&self) -> Option<NamedKey> {
        let bytes = STANDARD.decode(&self.wrapped).ok()?;
        Some(NamedKey { name: self.name.clone(), wrapped: WrappedKey::from_bytes(&bytes).ok()? })
    }
}

/// What a file says of itself. Readable by anyone, and authenticated with every part of the content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    format: u32,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was written.
    pub written_at: Timestamp,
    /// Which key the index's hashes are made under: where it is another, no credential would be known.
    pub index: String,
    data: Key,
    log: Key,
    layers: Key,
}

impl Head {
    /// What a file that is written now says of itself.
    pub fn new(env: &Env, tenant: TenantId, keys: &WrappedKeys, index_key: &SecretBytes<32>) -> Self {
        let (data, log, layers) = (Key::of(&keys.data), Key::of(&keys.log), Key::of(&keys.layers));
        Self { format: FORMAT, tenant, written_at: env.now(), index: name_of(index_key), data, log, layers }
    }

    /// The tenant's keys, as the head has them.
    pub fn keys(&self) -> Result<WrappedKeys, BackupError> {
        let key = |key: &Key| key.named().ok_or_else(|| BackupError::refused("The file has no such keys."));
        let (data, log, layers) = (key(&self.data)?, key(&self.log)?, key(&self.layers)?);
        Ok(WrappedKeys { data, log, layers, changing: false })
    }
}

/// What an index key is called by, which says nothing of it.
fn name_of(key: &SecretBytes<32>) -> String {
    hex::encode(&kms::derive(key, &Purpose::new("name of an index key"), &[]).expose()[..8])
}

/// Writes a tenant.
pub struct Writer<W: Write> {
    output: SealingStream<W>,
    summary: Summary,
}

impl<W: Write> Writer<W> {
    /// Begins the file of the tenant that `told` is about, sealed under its data key.
    pub fn begin(
        env: &Env,
        (head, told): (&Head, &Told),
        data_key: &SecretBytes<32>,
        output: W,
    ) -> Result<Self, BackupError> {
        let head = serde_json::to_vec(head).map_err(io::Error::other)?;
        let mut output = SealingStream::begin(output, env, data_key, &PURPOSE, &head)?;
        let told = serde_json::to_vec(told).map_err(io::Error::other)?;
        output.write_all(&told)?;
        output.write_all(b"\n")?;
        Ok(Self { output, summary: Summary::default() })
    }

    /// Writes a line. What a call came to that is not over would be known to the deployment that is left alone.
    pub fn put(&mut self, line: &Line) -> Result<(), BackupError> {
        if matches!(line, Line::Call { outcome: None, .. }) {
            let detail = "A call of the tenant is not over. Try again once it is, or has been given up.";
            return Err(BackupError::refused(detail));
        }
        let text = serde_json::to_vec(line).map_err(io::Error::other)?;
        self.summary.add(line, &text);
        self.output.write_all(&text)?;
        Ok(self.output.write_all(b"\n")?)
    }

    /// Ends the file. Without it the file is cut off, and is not taken in.
    pub fn finish(self) -> Result<(W, Summary), BackupError> {
        Ok((self.output.finish()?, self.summary))
    }
}

/// A file that has arrived, and is not opened yet.
pub struct Sealed<R> {
    claimed: ClaimedStream<R>,
    /// What it says of itself. Anyone may have written it.
    head: Head,
}

impl<R: Read> Sealed<R> {
    /// Reads the beginning of a file, which is to be of this tenant.
    pub fn read(tenant: TenantId, input: R) -> Result<Self, BackupError> {
        let claimed = ClaimedStream::read(input)?;
        let head: Head = serde_json::from_slice(claimed.claimed_header())
            .map_err(|_| BackupError::refused("The file is no exported tenant."))?;
        if head.format != FORMAT {
            return Err(BackupError::refused("The file was written by a newer version of this program."));
        }
        if head.tenant != tenant {
            return Err(BackupError::refused("The file is of another tenant."));
        }
        Ok(Self { claimed, head })
    }

    /// The data key that the head has, where this deployment's master key wrapped it and its index key is the same.
    pub async fn data_key(
        &self,
        kms: &dyn Kms,
        index_key: &SecretBytes<32>,
    ) -> Result<SecretBytes<32>, Fault> {
        let keys = self.head.keys()?;
        if keys.need_rewrap(kms) {
            let detail =
                "The tenant was exported under another master key. Both deployments need the same one.";
            return Err(BackupError::refused(detail).into());
        }
        if self.head.index != name_of(index_key) {
            let detail = "The tenant's credentials would not be known here: this deployment has another key of the \
                credential index. `tenantry store init --keys-of` makes one that has the same.";
            return Err(BackupError::refused(detail).into());
        }
        keys.data.unwrap(kms, self.head.tenant).await
    }

    /// Opens the file, which proves its head and its first lines.
    pub fn open(self, data_key: &SecretBytes<32>) -> Result<(Head, Told, Reader<R>), BackupError> {
        let opened = self.claimed.open(data_key, &PURPOSE)?;
        let head = serde_json::from_slice(opened.header()).map_err(|_| altered())?;
        let mut lines = BufReader::new(opened);
        let mut told = String::new();
        lines.read_line(&mut told).map_err(|_| altered())?;
        let told = serde_json::from_str(&told).map_err(|_| altered())?;
        Ok((head, told, Reader { lines, summary: Summary::default(), bytes: 0 }))
    }
}

fn altered() -> BackupError {
    BackupError::refused("The file has been altered or cut off.")
}

/// Reads a tenant's lines. That nothing is missing is known only at the end.
pub struct Reader<R: Read> {
    lines: BufReader<OpenedStream<R>>,
    summary: Summary,
    bytes: u64,
}

impl<R: Read> Reader<R> {
    /// The next line, or that this was all.
    pub fn next_line(&mut self) -> Result<Option<Line>, BackupError> {
        let mut text = String::new();
        if self.lines.read_line(&mut text).map_err(|_| altered())? == 0 {
            return Ok(None);
        }
        let text = text.strip_suffix('\n').ok_or_else(altered)?;
        self.bytes += text.len() as u64;
        let line = serde_json::from_str(text).map_err(|_| altered())?;
        self.summary.add(&line, text.as_bytes());
        Ok(Some(line))
    }

    /// How many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum of what was read.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}
