//! Writing a sealed stream.

use super::{CHUNK_LENGTH, Chunks, MAGIC, MAX_HEADER_LENGTH, SALT_LENGTH, StreamError};
use crate::derivation::Purpose;
use env::Env;
use secret::SecretBytes;
use std::io::{self, Write};
use zeroize::Zeroizing;

/// Seals what is written to it. Without [`SealingStream::finish`] the stream is cut off, and does not open.
pub struct SealingStream<W> {
    output: W,
    chunks: Chunks,
    /// Content that is not sealed yet: the last chunk is known only when there is no more.
    waiting: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealingStream<W> {
    /// Begins a stream with this header, which anyone can read and nobody can alter.
    pub fn begin(
        mut output: W,
        env: &Env,
        parent: &SecretBytes<32>,
        purpose: &Purpose,
        header: &[u8],
    ) -> Result<Self, StreamError> {
        if header.len() > MAX_HEADER_LENGTH {
            return Err(StreamError::HeaderTooLong);
        }
        let length = u32::try_from(header.len()).map_err(|_| StreamError::HeaderTooLong)?;
        let salt = env.random::<SALT_LENGTH>();
        output.write_all(MAGIC)?;
        output.write_all(&salt)?;
        output.write_all(&length.to_be_bytes())?;
        output.write_all(header)?;
        let waiting = Zeroizing::new(Vec::with_capacity(CHUNK_LENGTH));
        Ok(Self { output, chunks: Chunks::new(parent, purpose, &salt, header), waiting })
    }

    /// Seals the last chunk, flushes, and gives the output back.
    pub fn finish(mut self) -> Result<W, StreamError> {
        self.seal_waiting(true)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn seal_waiting(&mut self, last: bool) -> Result<(), StreamError> {
        let tag = self.chunks.seal(&mut self.waiting, last)?;
        self.output.write_all(&self.waiting)?;
        self.output.write_all(&tag)?;
        self.waiting.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingStream<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        if self.waiting.len() == CHUNK_LENGTH && !content.is_empty() {
            self.seal_waiting(false)?;
        }
        let taken = content.len().min(CHUNK_LENGTH - self.waiting.len());
        self.waiting.extend_from_slice(&content[..taken]);
        Ok(taken)
    }

    /// Flushes what is sealed. A chunk that is not full waits on.
    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
