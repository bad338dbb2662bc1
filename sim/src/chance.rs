//! Where this program's randomness comes from: the seed, also where nobody asked for any.
//!
//! The order of a `HashMap`, the branch that `tokio::select!` looks at first and the listener of a `watch` that is
//! woken first are drawn from the operating system. The standard library lets a program stand in for that on purpose:
//! it looks `getrandom` up as a weak symbol. So this program has its own, and no secret is ever made in it.

use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// How far the source has come.
static STATE: AtomicU64 = AtomicU64::new(0);

/// Has the source begin anew from this seed.
pub(crate) fn begin(seed: u64) {
    STATE.store(mixed(seed), Ordering::SeqCst);
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn mixed(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

fn next() -> u64 {
    mixed(STATE.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP))
}

/// Takes the place of the C library's function for whatever is linked into this program.
///
/// # Safety
/// As the C library's: `buffer` has room for `length` bytes.
#[expect(unsafe_code, reason = "a symbol of the C library is replaced, whose buffer is a pointer")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    _: libc::c_uint,
) -> libc::ssize_t {
    // SAFETY: the caller says that there is room for so many bytes, and nobody else has them meanwhile.
    let bytes = unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let random = next().to_le_bytes();
        chunk.copy_from_slice(&random[..chunk.len()]);
    }
    libc::ssize_t::try_from(length).unwrap_or(libc::ssize_t::MAX)
}
