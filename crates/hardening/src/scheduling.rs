//! Whose turn it is on a processor.

use std::io;

/// Lets this thread, when somebody wakes it, begin once they have had their turn, not in the middle of it. For a
/// thread that gathers what others hand it: it finds more, and they are not kept from their callers meanwhile.
/// Its share of the processor stays what it was. Elsewhere than on Linux it does nothing.
pub fn give_way() -> Result<(), io::Error> {
    #[cfg(target_os = "linux")]
    batch()?;
    Ok(())
}

/// The policy `SCHED_BATCH` of sched(7), under which nobody is interrupted for this thread.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "neither the standard library nor rustix sets a thread's policy")]
fn batch() -> Result<(), io::Error> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads one value, which lives until it is back, and changes this thread alone.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::give_way;

    /// The 41st field of the thread's `stat`, of which the second may have blanks; see proc_pid_stat(5).
    fn policy() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(38).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_gives_way_for_itself_alone() {
        let before = policy();
        let of_another = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                give_way().unwrap();
                policy()
            });
            other.join().unwrap()
        });
        assert_eq!((of_another, policy()), (libc::SCHED_BATCH, before));
    }
}
