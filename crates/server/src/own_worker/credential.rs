//! [`Credential`]: all that a tenant's own worker is given, as one line of JSON in a file or a pipe.

use super::OwnWorkerError;
use crate::config::TlsConfig;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use store_postgres::OwnHome;
use zeroize::{Zeroize as _, Zeroizing};

const VERSION: u32 = 1;

/// What a tenant's own worker is given.
pub(crate) struct Credential {
    /// The servers that it asks.
    pub(crate) servers: Vec<String>,
    /// What it comes to them with.
    pub(crate) token: SecretText,
    /// The tenant's database, and what opens it.
    pub(crate) home: OwnHome,
    /// Hosts with ports that are open although their addresses are private.
    pub(crate) allow: Vec<String>,
    /// What TLS to the database goes by.
    pub(crate) tls: TlsConfig,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    servers: Vec<String>,
    token: String,
    home: String,
    allow: Vec<String>,
    authorities_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.token.zeroize();
        self.home.zeroize();
    }
}

impl Credential {
    /// As one line.
    pub(crate) fn to_line(&self) -> io::Result<Zeroizing<String>> {
        let home = self.home.to_text().ok_or(io::ErrorKind::InvalidData)?;
        let TlsConfig { authorities_file, certificate_file, key_file } = self.tls.clone();
        let written = Written {
            version: VERSION,
            servers: self.servers.clone(),
            token: self.token.expose().to_owned(),
            home: home.expose().to_owned(),
            allow: self.allow.clone(),
            authorities_file,
            certificate_file,
            key_file,
        };
        let mut line = Zeroizing::new(serde_json::to_string(&written).map_err(io::Error::other)?);
        line.push('\n');
        Ok(line)
    }

    /// Writes it into a file that is not there yet, for its owner alone.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.to_line()?.as_bytes())?;
        file.sync_all()
    }

    /// Reads a line. `whose` is for the person who is told that it is none.
    pub(crate) fn parse(whose: &str, line: &str) -> Result<Self, OwnWorkerError> {
        let unfit = |why| OwnWorkerError::Credential(whose.to_owned(), why);
        let read: Written =
            serde_json::from_str(line).map_err(|_| unfit("it is not one of a tenant's own worker"))?;
        if read.version != VERSION {
            return Err(unfit("it is of another version of this program"));
        }
        let home = OwnHome::from_text(&read.home).ok_or_else(|| unfit("it names no tenant's database"))?;
        let tls = TlsConfig {
            authorities_file: read.authorities_file.clone(),
            certificate_file: read.certificate_file.clone(),
            key_file: read.key_file.clone(),
        };
        let token = SecretText::new(read.token.clone());
        Ok(Self { servers: read.servers.clone(), token, home, allow: read.allow.clone(), tls })
    }

    /// Reads a file that nobody but its owner may read.
    pub(crate) fn load(path: &Path) -> Result<Self, OwnWorkerError> {
        let whose = path.display().to_string();
        let (file, process) = (std::fs::metadata(path)?, std::fs::metadata("/proc/self")?);
        // A service manager that hands it over keeps the file for itself, and shows the right to read it as a group's.
        let open = if file.uid() == process.uid() { 0o077 } else { 0o037 };
        if file.mode() & open != 0 {
            let why = "others than its owner may read it; `chmod 600` it, and give the worker a new one";
            return Err(OwnWorkerError::Credential(whose, why));
        }
        Self::parse(&whose, &Zeroizing::new(std::fs::read_to_string(path)?))
    }
}
