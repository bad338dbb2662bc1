//! Sealing whole files: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, "Online
//! Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015) over AES-256-GCM.
//!
//! ```text
//! "tnstrm01" ‖ salt (32) ‖ length of the header (4) ‖ header ‖ chunk … chunk
//! ```
//! A chunk is up to 64 KiB of content and its tag. All but the last are full. The key is derived from the
//! parent and the random salt, so each stream has its own and the nonce can be the chunk's number and
//! whether it is the last. The header is readable by anyone and authenticated with every chunk. So nothing
//! can be altered, swapped, cut off, appended or moved to another stream unnoticed.

mod open;
mod seal;

pub use open::{ClaimedStream, OpenedStream};
pub use seal::SealingStream;

use crate::aead::{Cipher, NONCE_LENGTH, TAG_LENGTH};
use crate::derivation::{Purpose, derive, framed};
use secret::SecretBytes;
use std::io;

/// Bytes of content in every chunk but the last.
pub const CHUNK_LENGTH: usize = 64 * 1024;
/// The longest header, in bytes.
pub const MAX_HEADER_LENGTH: usize = 64 * 1024;

const MAGIC: &[u8; 8] = b"tnstrm01";
const SALT_LENGTH: usize = 32;
const SEALED_CHUNK_LENGTH: usize = CHUNK_LENGTH + TAG_LENGTH;

/// What is wrong with a stream. Inside an [`io::Error`] where [`io::Read`] or [`io::Write`] demand one.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It does not begin as a sealed stream does.
    #[error("not a sealed stream of a known format")]
    UnknownFormat,
    /// It was altered or cut off, or is under another key.
    #[error("the sealed stream is not authentic")]
    NotAuthentic,
    /// The header is longer than [`MAX_HEADER_LENGTH`].
    #[error("the header is too long")]
    HeaderTooLong,
    /// The content is longer than 2³² chunks, 256 TiB.
    #[error("the content is too long")]
    TooLong,
    /// Reading or writing failed.
    #[error("the stream could not be read or written")]
    Io(#[from] io::Error),
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// One stream's key, what its chunks are bound to, and the number of the next chunk.
struct Chunks {
    cipher: Cipher,
    place: Vec<u8>,
    next: Option<u32>,
}

impl Chunks {
    fn new(parent: &SecretBytes<32>, purpose: &Purpose, salt: &[u8; SALT_LENGTH], header: &[u8]) -> Self {
        const STREAM: Purpose = Purpose::new("stream");
        let context = framed("tenantry stream v1", &[purpose.name().as_bytes(), salt]);
        Self {
            cipher: Cipher::new(&derive(parent, &STREAM, &context)),
            place: framed("tenantry stream header v1", &[header]),
            next: Some(0),
        }
    }

    /// Seven bytes of zero, four of the chunk's number, one that is 1 for the last.
    fn nonce(&mut self, last: bool) -> Result<[u8; NONCE_LENGTH], StreamError> {
        let number = self.next.ok_or(StreamError::TooLong)?;
        self.next = if last { None } else { number.checked_add(1) };
        let mut nonce = [0; NONCE_LENGTH];
        nonce[7..11].copy_from_slice(&number.to_be_bytes());
        nonce[11] = u8::from(last);
        Ok(nonce)
    }

    fn seal(&mut self, content: &mut [u8], last: bool) -> Result<[u8; TAG_LENGTH], StreamError> {
        let nonce = self.nonce(last)?;
        self.cipher.seal_in_place(&nonce, &self.place, content).map_err(|_| StreamError::TooLong)
    }

    /// Opens content and tag in place and gives the content's length.
    fn open(&mut self, sealed: &mut [u8], last: bool) -> Result<usize, StreamError> {
        let nonce = self.nonce(last)?;
        let (content, tag) = sealed.split_last_chunk_mut().ok_or(StreamError::NotAuthentic)?;
        self.cipher
            .open_in_place(&nonce, &self.place, content, tag)
            .map_err(|_| StreamError::NotAuthentic)?;
        Ok(content.len())
    }
}

#[cfg(test)]
mod tests;
