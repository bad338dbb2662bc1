//! Reading a sealed stream.

use super::{CHUNK_LENGTH, Chunks, MAGIC, MAX_HEADER_LENGTH, SALT_LENGTH, SEALED_CHUNK_LENGTH, StreamError};
use crate::derivation::Purpose;
use secret::SecretBytes;
use std::io::{self, Read};
use zeroize::Zeroizing;

/// A stream whose header was read, and not proved: it says which key to try, and nothing more.
pub struct ClaimedStream<R> {
    input: R,
    salt: [u8; SALT_LENGTH],
    header: Vec<u8>,
}

impl<R: Read> ClaimedStream<R> {
    /// Reads a stream's beginning.
    pub fn read(mut input: R) -> Result<Self, StreamError> {
        let mut magic = [0; MAGIC.len()];
        let (mut salt, mut length) = ([0; SALT_LENGTH], [0; 4]);
        for part in [&mut magic[..], &mut salt, &mut length] {
            read_beginning(&mut input, part)?;
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if magic != *MAGIC || length > MAX_HEADER_LENGTH {
            return Err(StreamError::UnknownFormat);
        }
        let mut header = vec![0; length];
        read_beginning(&mut input, &mut header)?;
        Ok(Self { input, salt, header })
    }

    /// The header as it stands there. Anyone may have written it.
    pub fn claimed_header(&self) -> &[u8] {
        &self.header
    }

    /// Opens the stream, which proves the header and the first chunk.
    pub fn open(self, parent: &SecretBytes<32>, purpose: &Purpose) -> Result<OpenedStream<R>, StreamError> {
        let mut stream = OpenedStream {
            chunks: Chunks::new(parent, purpose, &self.salt, &self.header),
            input: self.input,
            header: self.header,
            buffer: Zeroizing::new(vec![0; SEALED_CHUNK_LENGTH + 1]),
            ahead: None,
            content: 0..0,
            state: State::Reading,
        };
        stream.next_chunk()?;
        Ok(stream)
    }
}

fn read_beginning(input: &mut impl Read, part: &mut [u8]) -> Result<(), StreamError> {
    input.read_exact(part).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StreamError::UnknownFormat,
        _ => StreamError::Io(error),
    })
}

enum State {
    Reading,
    Ended,
    Failed,
}

/// A stream under its key. What is read from it is authentic; **that nothing is missing is known only when
/// a read gives zero bytes**, so act on the content after that.
pub struct OpenedStream<R> {
    input: R,
    chunks: Chunks,
    header: Vec<u8>,
    buffer: Zeroizing<Vec<u8>>,
    /// The first byte of the next chunk, whose presence says that this chunk is not the last.
    ahead: Option<u8>,
    content: std::ops::Range<usize>,
    state: State,
}

impl<R: Read> OpenedStream<R> {
    /// The header, authentic.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    fn next_chunk(&mut self) -> Result<(), StreamError> {
        // A failed stream stays failed, also where the caller reads on.
        let before = std::mem::replace(&mut self.state, State::Failed);
        if matches!(before, State::Failed) {
            return Err(StreamError::NotAuthentic);
        }
        let mut filled = 0;
        if let Some(first) = self.ahead.take() {
            self.buffer[0] = first;
            filled = 1;
        }
        while filled < self.buffer.len() {
            match self.input.read(&mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let last = filled <= SEALED_CHUNK_LENGTH;
        if !last {
            self.ahead = Some(self.buffer[SEALED_CHUNK_LENGTH]);
            filled = SEALED_CHUNK_LENGTH;
        }
        let length = self.chunks.open(&mut self.buffer[..filled], last)?;
        debug_assert!(last || length == CHUNK_LENGTH);
        self.content = 0..length;
        self.state = if last { State::Ended } else { State::Reading };
        Ok(())
    }
}

impl<R: Read> Read for OpenedStream<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if self.content.is_empty() && !output.is_empty() && !matches!(self.state, State::Ended) {
            self.next_chunk()?;
        }
        let taken = output.len().min(self.content.len());
        let end = self.content.start + taken;
        output[..taken].copy_from_slice(&self.buffer[self.content.start..end]);
        self.content.start = end;
        Ok(taken)
    }
}
