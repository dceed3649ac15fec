//! Work that gives way to whatever else the machine has to do: hearing what is said now, and LiveKit, come first.

/// By how much (setpriority(2), which on Linux is for the calling thread).
pub const NICE: i32 = 10;

/// From now on the calling thread gives way. `what` it does is for the log, should that not be possible.
pub fn give_way(what: &'static str) {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(what, %error, "a thread has the priority of everything else");
    }
}
