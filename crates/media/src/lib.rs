//! Sound and containers: from a session's Ogg/Opus to the MPEG-TS segments, playlists, peaks and voice activity that a
//! replay is made of.
//!
//! Everything here is a pure function of bytes: no I/O, no clock, no tokio. [`render::Renderer`] is the primitive: any
//! window of the recording on its own, on one fixed grid of AAC frames, so that windows made apart join without a click.

pub mod aac;
pub mod activity;
pub mod grid;
pub mod hls;
pub mod offset;
pub mod ogg;
pub mod peaks;
pub mod render;
pub mod tracks;
pub mod ts;

/// Samples a second, of everything that is decoded and rendered here.
pub const SAMPLE_RATE: u32 = 48_000;
