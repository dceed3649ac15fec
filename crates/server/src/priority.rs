//! Lowers the priority of threads whose work can wait: receiving live sound, and LiveKit, come first.

/// Their nice value (setpriority(2), which on Linux applies to the calling thread), unless the process has a higher one.
pub const NICE: i32 = 10;

/// Lowers the priority of the calling thread from now on. `what` it does is for the log, if that is not possible.
pub fn give_way(what: &'static str) {
    let current = rustix::process::getpriority_process(None).unwrap_or(0);
    if let Err(error) = rustix::process::setpriority_process(None, current.max(NICE)) {
        tracing::debug!(what, %error, "a thread has the priority of everything else");
    }
}
