//! What this process asks of the system: to keep its memory out of core files, debuggers and swap, as far as it
//! lets us, and to let threads that gather work give way to those who bring it.
//!
//! Root, and whoever may load a kernel module, can read any memory: this is against files that are left
//! behind and against other users and processes of the same machine.

mod scheduling;

pub use scheduling::give_way;

use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::c_void;
use std::io;
use std::sync::Once;

/// The system refused to protect the process.
#[derive(Debug, thiserror::Error)]
pub enum ProtectionError {
    /// Core files could not be turned off.
    #[error("core files could not be turned off")]
    CoreFiles(#[source] io::Error),
    /// Other processes of this user could not be shut out.
    #[error("the process could not be marked as not dumpable")]
    Dumpable(#[source] io::Error),
}

/// Turns core files off for this process and its children, and on Linux keeps other processes of the same
/// user from attaching to it and from reading its memory. Call it first, before any key is read.
pub fn protect_process() -> Result<(), ProtectionError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| ProtectionError::CoreFiles(error.into()))?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| ProtectionError::Dumpable(error.into()))?;
    Ok(())
}

/// Asks the system to keep the pages under `secret` in memory, never in swap, and tells whether it does.
/// Refusal is no failure, since a limit on locked memory (`ulimit -l`) is the operator's to set: the first
/// one is logged. The pages stay locked after `secret` is freed and serve the next secret there, so the
/// sum is bounded by the most secrets held at one time.
#[expect(unsafe_code, reason = "mlock takes an address, and rustix therefore has it as unsafe")]
pub fn keep_in_memory(secret: &[u8]) -> bool {
    static REPORTED: Once = Once::new();
    let start = secret.as_ptr().cast::<c_void>().cast_mut();
    // SAFETY: the range is borrowed and so is mapped for the length of the call. Locking neither reads
    // nor writes it, nor changes what any address means.
    match unsafe { rustix::mm::mlock(start, secret.len()) } {
        Ok(()) => true,
        Err(error) => {
            REPORTED.call_once(|| {
                tracing::warn!(
                    error = %io::Error::from(error),
                    "keys may be written to swap: raise the limit on locked memory (LimitMEMLOCK)"
                );
            });
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{keep_in_memory, protect_process};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    #[test]
    fn a_protected_process_leaves_no_core_file() {
        protect_process().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        protect_process().expect("protecting twice is no mistake");
    }

    #[cfg(target_os = "linux")]
    fn locked_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_locked_secret_counts_as_locked_and_a_refusal_is_told() {
        let secret = vec![7_u8; 64 * 1024];
        let before = locked_kib();
        if keep_in_memory(&secret) {
            assert!(locked_kib() >= before + 64, "{before} to {}", locked_kib());
        } else {
            assert_eq!(locked_kib(), before, "this machine lets no one lock memory");
        }
        // Root is not held by the limit, so that the refusal itself can be seen by other users only.
        let limit = Rlimit { current: Some(0), maximum: getrlimit(Resource::Memlock).maximum };
        setrlimit(Resource::Memlock, limit).unwrap();
        let more = vec![7_u8; 64 * 1024];
        let by_root = rustix::process::geteuid().is_root();
        assert!(by_root || !keep_in_memory(&more));
    }
}
