//! One segment: the bytes it needs read from object storage, rendered on one of the pool's threads.

use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{self, Audio};
use echosphere_media::grid::Grid;
use echosphere_media::ogg::OpusIndex;
use echosphere_media::render::{ChannelMap, Window, source_range};
use echosphere_storage::ObjectStore;

use super::{Pool, PoolError, Priority};

/// Why a segment could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master is gone, or is not what was indexed: trying again is of no use.
    #[error("the master {0} is gone or damaged")]
    MasterLost(ObjectKey),
    /// The master cannot be read now.
    #[error(transparent)]
    Storage(#[from] echosphere_storage::Error),
    /// The pool cannot take it now.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The codecs failed.
    #[error(transparent)]
    Codec(#[from] echosphere_media::render::Error),
}

/// A capture that can be rendered.
#[derive(Clone)]
pub struct Source {
    audio: Audio,
    index: Arc<OpusIndex>,
    grid: Grid,
    map: ChannelMap,
}

/// How a source's channels become agent left, everybody else right: a session upload has the user on the left.
pub fn channel_map(source: recording::Source) -> ChannelMap {
    match source {
        recording::Source::Upload => ChannelMap::Swap,
        recording::Source::Egress | recording::Source::Recorder | recording::Source::Import => ChannelMap::Keep,
    }
}

impl Source {
    /// A capture's audio with its index, on a grid of segments of about `target_ms`.
    pub fn new(audio: Audio, index: OpusIndex, target_ms: u64, map: ChannelMap) -> Self {
        let grid = Grid::new(audio.samples, target_ms);
        Self { audio, index: Arc::new(index), grid, map }
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Renders the segment with this position on the grid; returns it as MPEG-TS, with what was measured.
    pub async fn render(
        &self,
        objects: &dyn ObjectStore,
        pool: &Pool,
        priority: Priority,
        segment: u32,
    ) -> Result<(Vec<u8>, Window), Error> {
        let frames = self.grid.segment(segment);
        let wanted = source_range(&self.index, &frames);
        let length = wanted.end - wanted.start;
        let range = self.audio.offset + wanted.start..self.audio.offset + wanted.end;
        let bytes = match objects.get_range(&self.audio.key, range).await {
            Err(echosphere_storage::Error::NotFound(key)) => return Err(Error::MasterLost(key)),
            other => other?,
        };
        if bytes.len() as u64 != length {
            return Err(Error::MasterLost(self.audio.key.clone()));
        }
        let (index, map) = (Arc::clone(&self.index), self.map);
        let rendered = pool.run(priority, move |renderer| {
            let window = renderer.render(&index, &bytes, map, frames.clone())?;
            Ok::<_, echosphere_media::render::Error>((window.to_ts(segment, frames.start), window))
        });
        Ok(rendered.await??)
    }
}
