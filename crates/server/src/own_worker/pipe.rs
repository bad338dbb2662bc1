//! The pipe by which a launcher hands a worker its credential. It stays open for as long as the launcher wants the worker,
//! so that no worker outlives its launcher, whatever that dies of.

use secret::SecretText;
use std::io;
use std::os::fd::AsFd as _;
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

/// The longest credential.
const MOST: usize = 64 * 1024;

/// Standard input, where it is a pipe.
pub(super) struct Pipe(Receiver);

impl Pipe {
    pub(super) fn of_stdin() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(Receiver::from_owned_fd(input)?))
    }

    /// The first line.
    pub(super) async fn line(&mut self) -> io::Result<SecretText> {
        let mut line = Zeroizing::new(vec![0; MOST]);
        let mut length = 0;
        loop {
            self.0.readable().await?;
            let Some(rest) = line.get_mut(length..).filter(|rest| !rest.is_empty()) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the credential is too long"));
            };
            match self.0.try_read(rest) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if line.get(length.saturating_sub(1)) == Some(&b'\n') {
                let text = line.get(..length - 1).and_then(|bytes| std::str::from_utf8(bytes).ok());
                let text = text.ok_or(io::ErrorKind::InvalidData)?;
                return Ok(SecretText::new(text.to_owned()));
            }
        }
    }

    /// Ready when the other end is closed. Never, where there is no pipe.
    pub(super) async fn closed(pipe: Option<&mut Self>) {
        let Some(Self(pipe)) = pipe else { return std::future::pending().await };
        let mut nothing = [0];
        loop {
            if pipe.readable().await.is_err() {
                return;
            }
            match pipe.try_read(&mut nothing) {
                Ok(0) => return,
                // Nobody says anything more.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
