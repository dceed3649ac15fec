//! Rendering: from a capture's kept master to segments, one window at a time.

mod analysis;
mod pool;
mod window;

pub use analysis::{Analysis, CaptureAnalysis};
pub use pool::{Pool, PoolError, Priority};
pub use window::{Error, Source, channel_map};
