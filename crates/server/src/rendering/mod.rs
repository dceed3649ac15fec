//! Renders segments from a capture's stored master, one window at a time.

mod analysis;
mod blocks;
pub mod capture_log;
mod capture_renderer;
mod capture_sources;
mod drawing;
mod error;
mod kept;
mod on_demand;
mod opus;
mod pool;
mod rendition;
mod turns;
mod wanted;

use std::sync::Arc;

use echosphere_store::Store;

pub use self::analysis::{Analysis, CaptureAnalysis};
pub use self::capture_renderer::{CaptureRenderer, channel_map};
pub use self::capture_sources::RenderCache;
use self::drawing::Drawings;
pub use self::error::Error;
pub use self::kept::Kept;
pub use self::on_demand::{Rendered, segment_key};
pub use self::opus::{Cut, Opus};
pub use self::pool::{Pool, PoolError, Priority};
pub use self::rendition::{aac, aac_id, opus, opus_id};
use self::turns::Turns;
pub use self::wanted::{Made, Wanted};
use crate::clock::Clock;
use crate::objects::Objects;

/// What rendering needs.
#[derive(Clone)]
pub struct Rendering {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The stored objects.
    pub objects: Objects,
    /// The threads that render.
    pub pool: Arc<Pool>,
    /// The renderers of the captures that were rendered last.
    pub cache: Arc<RenderCache>,
    /// What is rendered because somebody asked for it.
    turns: Arc<Turns>,
    /// The waveforms that are being drawn.
    drawings: Arc<Drawings>,
    /// The time of day.
    pub clock: Clock,
}

impl Rendering {
    /// Rendering on these threads, with an empty cache.
    pub fn new(store: Arc<dyn Store>, objects: Objects, pool: Pool, clock: Clock) -> Self {
        Self {
            store,
            objects,
            pool: Arc::new(pool),
            cache: Arc::default(),
            turns: Arc::default(),
            drawings: Arc::default(),
            clock,
        }
    }
}
