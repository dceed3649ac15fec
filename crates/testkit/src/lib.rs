//! Test support: runs the server as a process, sends uploads byte for byte, and has oracles that share no code with what they
//! judge.
//!
//! Blocking on purpose: a test reads from top to bottom.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may, and is where the world is real")]

pub mod aws;
pub mod calls;
pub mod certificates;
pub mod container;
pub mod egress;
pub mod hostile;
pub mod http;
pub mod keys;
pub mod livekit;
pub mod objects;
pub mod proxy;
pub mod publishers;
pub mod redis_server;
pub mod s3;
pub mod senders;
pub mod server;
pub mod session;
pub mod sound;
pub mod speaker;
mod tools;
pub mod webhooks;
