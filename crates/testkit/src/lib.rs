//! For tests only: the server as a process, uploads byte for byte, and oracles that share no code with what they judge.
//!
//! Blocking on purpose: a test reads from top to bottom.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may, and is where the world is real")]

pub mod calls;
pub mod hostile;
pub mod http;
pub mod livekit;
pub mod publishers;
pub mod server;
pub mod session;
pub mod sound;
