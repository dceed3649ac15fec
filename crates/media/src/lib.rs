//! Sound and containers: turns a session's Ogg/Opus into the MPEG-TS segments, playlists, waveform peaks and voice activity of a
//! replay.
//!
//! Everything here is a pure function of bytes: no I/O, no clock, no tokio. [`render::Renderer`] is the primitive: it renders any
//! window of the recording by itself, on one fixed grid of AAC frames, so that windows that are rendered separately join without a
//! click.

pub mod aac;
pub mod activity;
pub mod cmaf;
mod crc;
pub mod grid;
pub mod h264;
pub mod hls;
pub mod loudness;
pub mod offset;
pub mod ogg;
pub mod opus_frames;
pub mod peaks;
pub mod render;
pub mod tracks;
pub mod ts;

/// Samples per second of everything that is decoded and rendered here.
pub const SAMPLE_RATE: u32 = 48_000;
