//! The master key and the file that it rests in: 64 hexadecimal digits and a newline.

use env::Env;
use kms::{MasterKeyId, framed};
use secret::SecretBytes;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const DIGITS: usize = 64;
/// The digits, a line's end as any system writes it, and one byte more to notice what is too long.
const LONGEST_READ: u64 = DIGITS as u64 + 3;

/// Why a master key was not read or made. The texts are for the operator, and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file could not be read.
    #[error("the master key file {path} could not be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read or change the file.
    #[error("others can read or change the master key file {path} (mode {mode:04o}): run `chmod 600 {path}`")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error(
        "{path} is not a master key file: it must hold 64 hexadecimal digits and a newline, \
         as `openssl rand -hex 32` writes them"
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be made. One that exists is never written over.
    #[error("the master key file {path} could not be made")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A master key in memory, locked there where the system lets us, and wiped when dropped.
#[derive(Debug)]
pub struct MasterKey {
    id: MasterKeyId,
    key: SecretBytes<32>,
}

impl MasterKey {
    /// Reads the key from a file that its owner alone can read.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let unreadable = |source| MasterKeyError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        refuse_if_open_to_others(&file, path)?;
        // With room for all that is read, so that growing leaves no copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(256));
        file.take(LONGEST_READ).read_to_end(&mut text).map_err(unreadable)?;
        parse(&text).map(Self::new).ok_or_else(|| MasterKeyError::NotAKey { path: path.to_owned() })
    }

    /// Makes a fresh key and its file, which its owner alone can read. For development: the key lies beside
    /// the data it protects. Fails if there is a file already.
    pub fn create_development(path: &Path, env: &Env) -> Result<Self, MasterKeyError> {
        let key = Self::new(SecretBytes::fill_with(|bytes| env.fill(bytes)));
        key.write_new(path)?;
        Ok(key)
    }

    /// Writes the key's file, which its owner alone can read. One that exists is never written over.
    pub(crate) fn write_new(&self, path: &Path) -> Result<(), MasterKeyError> {
        let failed = |source| MasterKeyError::Create { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        write(file, path, &self.key).map_err(|error| {
            // A file without its key would be taken for the key's file at the next start.
            let _ = fs::remove_file(path);
            failed(error)
        })
    }

    /// Which key this is. Does not give the key away.
    pub fn id(&self) -> MasterKeyId {
        self.id
    }

    pub(crate) fn key(&self) -> &SecretBytes<32> {
        &self.key
    }

    pub(crate) fn new(key: SecretBytes<32>) -> Self {
        hardening::keep_in_memory(key.expose());
        let bytes = Zeroizing::new(framed("tenantry master key id v1", &[key.expose()]));
        let mut id = [0; 8];
        id.copy_from_slice(&Sha256::digest(&*bytes)[..8]);
        Self { id: MasterKeyId::from_bytes(id), key }
    }
}

fn refuse_if_open_to_others(file: &File, path: &Path) -> Result<(), MasterKeyError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata =
            file.metadata().map_err(|source| MasterKeyError::Read { path: path.to_owned(), source })?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::OpenToOthers { path: path.to_owned(), mode });
        }
    }
    Ok(())
}

fn parse(text: &[u8]) -> Option<SecretBytes<32>> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
    if digits.len() != DIGITS {
        return None;
    }
    let mut decoded = Ok(());
    let key = SecretBytes::fill_with(|bytes| decoded = hex::decode_to_slice(digits, bytes));
    // A placeholder such as 64 zeros is a file that someone meant to fill in.
    let varied = key.expose().windows(2).any(|pair| pair[0] != pair[1]);
    (decoded.is_ok() && varied).then_some(key)
}

fn write(mut file: File, path: &Path, key: &SecretBytes<32>) -> io::Result<()> {
    let mut text = Zeroizing::new([b'\n'; DIGITS + 1]);
    hex::encode_to_slice(key.expose(), &mut text[..DIGITS]).map_err(io::Error::other)?;
    file.write_all(text.as_slice())?;
    file.sync_all()?;
    // The name must be on the disk before anything is wrapped under the key.
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MasterKey, MasterKeyError};
    use env::{Env, Timestamp};
    use secret::SecretBytes;
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    const GOOD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F";

    fn file(text: &[u8], mode: u32) -> (TempDir, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn digits_with_or_without_a_newline_are_a_key() {
        for end in ["", "\n", "\r\n"] {
            let (_folder, path) = file(format!("{GOOD}{end}").as_bytes(), 0o600);
            let expected: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
            assert_eq!(*MasterKey::load(&path).unwrap().key().expose(), expected);
        }
    }

    #[test]
    fn anything_else_is_no_key() {
        let zeros = "0".repeat(64);
        for text in
            ["", "\n", &GOOD[1..], &format!("{GOOD}0"), &format!("{GOOD}\n\n"), &format!(" {GOOD}"), &zeros]
        {
            let (_folder, path) = file(text.as_bytes(), 0o600);
            assert!(matches!(MasterKey::load(&path), Err(MasterKeyError::NotAKey { .. })), "{text:?}");
        }
        let (_folder, path) = file(&[0xff; 32], 0o600);
        assert!(matches!(MasterKey::load(&path), Err(MasterKeyError::NotAKey { .. })));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_advice() {
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let (_folder, path) = file(GOOD.as_bytes(), mode);
            let advice = MasterKey::load(&path).unwrap_err().to_string();
            assert!(advice.contains(&format!("chmod 600 {}", path.display())), "{advice}");
        }
        let (_folder, path) = file(GOOD.as_bytes(), 0o400);
        assert!(MasterKey::load(&path).is_ok());
    }

    #[test]
    fn a_made_key_is_private_loads_again_and_is_not_written_over() {
        use std::os::unix::fs::PermissionsExt;
        let (env, _) = Env::fixed(Timestamp::from_millis(0), 1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = MasterKey::create_development(&path, &env).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let loaded = MasterKey::load(&path).unwrap();
        assert!(loaded.key() == made.key() && loaded.id() == made.id());
        let again = MasterKey::create_development(&path, &env);
        assert!(matches!(again, Err(MasterKeyError::Create { .. })));
        assert!(MasterKey::load(&path).unwrap().key() == made.key());
    }

    #[test]
    fn a_missing_file_is_not_made_by_loading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        assert!(matches!(MasterKey::load(&path), Err(MasterKeyError::Read { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn the_id_tells_keys_apart_and_stays_what_it_was() {
        let id = |seed| MasterKey::new(SecretBytes::fill_with(|bytes| bytes.fill(seed))).id();
        assert_ne!(id(1), id(2));
        assert_eq!(id(7).to_string(), "731ad8e822af01b3");
    }

    #[test]
    fn a_key_does_not_print() {
        let key = MasterKey::new(SecretBytes::fill_with(|bytes| bytes.fill(0xab)));
        assert!(!format!("{key:?}").contains("ab, ab") && !format!("{key:?}").contains("171"));
    }
}
