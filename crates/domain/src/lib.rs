//! The domain model: a recording's identity, lifecycle, clocks and transcript.
//!
//! Nothing here performs I/O, reads a clock or knows about tokio: the decisions of EchoSphere that can be wrong are
//! pure functions, in this crate or another one without I/O (such as `echosphere-media`), so that they can be tested
//! without a runtime.

pub mod backoff;
pub mod id;
pub mod key;
pub mod lifecycle;
pub mod location;
pub mod master;
pub mod name;
pub mod options;
pub mod ranges;
pub mod recording;
pub mod rendition;
pub mod rule;
pub mod segment;
pub mod session;
pub mod time;
pub mod timeline;
pub mod transcript;
