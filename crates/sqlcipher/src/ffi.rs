//! The calls that rusqlite does not offer: all unsafe code of this crate.

use rusqlite::Connection;
use rusqlite::ffi;
use secret::SecretBytes;
use std::ffi::c_int;
use zeroize::Zeroizing;

/// `x'`, two digits a byte, `'`: how SQLCipher is told that a key is raw and needs no derivation.
const KEY_TEXT_LENGTH: usize = 2 + 64 + 1;

/// Sets what must be set before SQLite starts. Returns SQLite's result code, which is `SQLITE_MISUSE`
/// if it already runs.
#[expect(unsafe_code, reason = "rusqlite has no binding for sqlite3_config")]
pub(crate) fn configure_engine() -> c_int {
    const OFF: c_int = 0;
    // SAFETY: both options take one `int` (sqlite3.h, "Configuration Options"). The call is not
    // thread-safe by itself; `process::init` makes it once, before it or anyone after it opens a handle.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, OFF) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    // SAFETY: as above.
    unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_URI, OFF) }
}

/// Gives the main database its raw key. SQLite's result code; `Ok` does not mean that the key is right,
/// which only the first read shows.
#[expect(unsafe_code, reason = "rusqlite keys by PRAGMA only, which puts the key into SQL text")]
pub(crate) fn set_key(connection: &Connection, key: &SecretBytes<32>) -> Result<(), c_int> {
    let text = key_text(key);
    let length = c_int::try_from(text.len()).map_err(|_| ffi::SQLITE_TOOBIG)?;
    // SAFETY: the handle is open for as long as `connection` is borrowed and is used by this thread
    // alone (`Connection` is not `Sync`). SQLCipher copies `length` bytes before it returns.
    let code = unsafe { ffi::sqlite3_key(connection.handle(), text.as_ptr().cast(), length) };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

/// Bytes of heap that this handle holds: its page cache, its schema and its prepared statements.
#[expect(unsafe_code, reason = "rusqlite has no binding for sqlite3_db_status")]
pub(crate) fn memory_used(connection: &Connection) -> u64 {
    const PARTS: [c_int; 3] =
        [ffi::SQLITE_DBSTATUS_CACHE_USED, ffi::SQLITE_DBSTATUS_SCHEMA_USED, ffi::SQLITE_DBSTATUS_STMT_USED];
    let mut total = 0_u64;
    for part in PARTS {
        let (mut current, mut highest) = (0, 0);
        // SAFETY: the handle is open and used by this thread alone, as in `set_key`; both pointers are
        // to integers that outlive the call.
        let code = unsafe {
            ffi::sqlite3_db_status(connection.handle(), part, &raw mut current, &raw mut highest, 0)
        };
        if code == ffi::SQLITE_OK {
            total += u64::try_from(current).unwrap_or(0);
        }
    }
    total
}

fn key_text(key: &SecretBytes<32>) -> Zeroizing<[u8; KEY_TEXT_LENGTH]> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new([b'\''; KEY_TEXT_LENGTH]);
    text[0] = b'x';
    for (pair, byte) in text[2..KEY_TEXT_LENGTH - 1].chunks_exact_mut(2).zip(key.expose()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::key_text;
    use secret::SecretBytes;

    #[test]
    fn a_raw_key_is_written_as_a_blob_literal() {
        let key = SecretBytes::take(&mut std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        assert_eq!(
            key_text(&key).as_slice(),
            b"x'0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8'"
        );
    }
}
