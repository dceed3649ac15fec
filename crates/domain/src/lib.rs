//! What a recording is: its identity, its lifecycle, its clock and its transcript.
//!
//! Nothing here performs I/O, reads a clock or knows about tokio: every decision of EchoSphere that can be wrong
//! is a pure function of this crate or of `echosphere-media`, so that it can be tested without a runtime.

pub mod id;
pub mod key;
pub mod lifecycle;
pub mod name;
pub mod ranges;
pub mod recording;
pub mod segment;
pub mod session;
pub mod time;
pub mod timeline;
pub mod transcript;
