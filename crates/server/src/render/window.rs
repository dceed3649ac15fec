//! One segment: the bytes it needs read from object storage, rendered on one of the pool's threads.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{self, Audio};
use echosphere_media::grid::Grid;
use echosphere_media::ogg::OpusIndex;
use echosphere_media::render::{ChannelMap, Window, source_range, track_range};
use echosphere_recorder::log::{Entry, chunk};
use echosphere_recorder::sound::Index;
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

/// Where a capture's sound is.
#[derive(Clone)]
enum Master {
    /// Ogg in one object.
    Ogg { index: Arc<OpusIndex>, map: ChannelMap },
    /// A capture log in chunks.
    Log { index: Arc<Index>, chunks: Arc<Vec<ObjectKey>> },
}

/// A capture that can be rendered.
#[derive(Clone)]
pub struct Source {
    audio: Audio,
    master: Master,
    grid: Grid,
}

/// How a source's channels become agent left, everybody else right: a session upload has the user on the left.
pub fn channel_map(source: recording::Source) -> ChannelMap {
    match source {
        recording::Source::Upload => ChannelMap::Swap,
        recording::Source::Egress | recording::Source::Recorder | recording::Source::Import => ChannelMap::Keep,
    }
}

impl Source {
    /// A capture's Ogg audio with its index.
    pub fn ogg(audio: Audio, index: OpusIndex, map: ChannelMap) -> Self {
        let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
        Self { audio, master: Master::Ogg { index: Arc::new(index), map }, grid }
    }

    /// A capture log with its index, and the keys of its chunks.
    pub fn log(audio: Audio, index: Index, chunks: Vec<ObjectKey>) -> Self {
        let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
        Self { audio, master: Master::Log { index: Arc::new(index), chunks: Arc::new(chunks) }, grid }
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
        match &self.master {
            Master::Ogg { index, map } => {
                let bytes = self.read(objects, source_range(index, &frames)).await?;
                let (index, map) = (Arc::clone(index), *map);
                let rendered = pool.run(priority, move |renderer| {
                    let window = renderer.render(&index, &bytes, map, frames.clone())?;
                    Ok::<_, echosphere_media::render::Error>((window.to_ts(segment, frames.start), window))
                });
                Ok(rendered.await??)
            }
            Master::Log { index, chunks } => {
                let samples = track_range(&frames);
                let entries = read_chunks(objects, chunks, &index.chunks_for(&samples)).await?;
                let index = Arc::clone(index);
                let rendered = pool.run(priority, move |renderer| {
                    let window = renderer.render_tracks(&index.tracks(&entries, &samples), frames.clone())?;
                    Ok::<_, echosphere_media::render::Error>((window.to_ts(segment, frames.start), window))
                });
                Ok(rendered.await??)
            }
        }
    }

    async fn read(&self, objects: &dyn ObjectStore, wanted: Range<u64>) -> Result<Bytes, Error> {
        let length = wanted.end - wanted.start;
        let range = self.audio.offset + wanted.start..self.audio.offset + wanted.end;
        let bytes = whole(objects.get_range(&self.audio.key, range).await)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(Error::MasterLost(self.audio.key.clone())) }
    }
}

fn whole(read: echosphere_storage::Result<Bytes>) -> Result<Bytes, Error> {
    match read {
        Err(echosphere_storage::Error::NotFound(key)) => Err(Error::MasterLost(key)),
        other => Ok(other?),
    }
}

/// The entries of some chunks, in order.
async fn read_chunks(objects: &dyn ObjectStore, keys: &[ObjectKey], numbers: &[u32]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for &number in numbers {
        let Some(key) = keys.get(number as usize) else { continue };
        let bytes = whole(objects.get_range(key, 0..u64::MAX).await)?;
        let chunk = chunk::decode(&bytes).map_err(|_| Error::MasterLost(key.clone()))?;
        entries.extend(chunk.entries);
    }
    Ok(entries)
}
