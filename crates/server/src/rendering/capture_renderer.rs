//! Renders a capture's sound: one of its segments, or any stretch as samples. What is needed is read from object storage, and
//! rendered on one of the pool's threads.

mod opus;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Audio, Fill, Source};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_media::grid::{Grid, samples};
use echosphere_media::ogg::{OpusIndex, PRE_ROLL};
use echosphere_media::render::{ChannelMap, Renderer, Window, heard_range, source_range, track_range};
use echosphere_media::tracks::{Channel, Patch};
use echosphere_recorder::log::{Packet, chunk};
use echosphere_recorder::sound::Index;

use super::blocks::Blocks;
use super::error::Error;
use super::kept::Kept;
use super::{Made, Priority, Rendering, Wanted};

/// A master with its index: where what of a capture's sound is.
#[derive(Clone)]
enum Indexed {
    /// Ogg in one object.
    Ogg { index: Arc<OpusIndex>, map: ChannelMap },
    /// A capture log in chunks, and the captures that its side gaps are filled from.
    Log { index: Arc<Index>, others: Arc<Vec<(CaptureId, CaptureRenderer)>> },
}

/// A capture that can be rendered.
#[derive(Clone)]
pub struct CaptureRenderer {
    audio: Audio,
    kept: Kept,
    master: Indexed,
    grid: Grid,
}

/// How a source's channels become agent left, everybody else right: a session upload has the user on the left.
pub fn channel_map(source: Source) -> ChannelMap {
    match source {
        Source::Upload => ChannelMap::Swap,
        Source::Egress | Source::Recorder | Source::Import => ChannelMap::Keep,
    }
}

impl CaptureRenderer {
    /// A capture's Ogg audio, where it is kept, and its index.
    pub fn ogg(audio: Audio, kept: Kept, index: OpusIndex, map: ChannelMap) -> Self {
        let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
        Self { audio, kept, master: Indexed::Ogg { index: Arc::new(index), map }, grid }
    }

    /// A capture log, where it is kept, its index, and the captures that fill its side gaps.
    pub fn log(audio: Audio, kept: Kept, index: Index, others: Vec<(CaptureId, Self)>) -> Self {
        let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
        let master = Indexed::Log { index: Arc::new(index), others: Arc::new(others) };
        Self { audio, kept, master, grid }
    }

    /// The same for who goes through all of it, one window after another: what it is made of is read in blocks.
    pub fn in_blocks(&self) -> Self {
        self.through(&Arc::default())
    }

    fn through(&self, blocks: &Arc<Blocks>) -> Self {
        let mut through = Self { kept: self.kept.in_blocks(blocks), ..self.clone() };
        if let Indexed::Log { others, .. } = &mut through.master {
            *others = Arc::new(others.iter().map(|(id, other)| (*id, other.through(blocks))).collect());
        }
        through
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The sound that it was made for.
    pub fn audio(&self) -> &Audio {
        &self.audio
    }

    /// Where the sound of an Ogg file lies.
    pub fn ogg_index(&self) -> Option<&OpusIndex> {
        match &self.master {
            Indexed::Ogg { index, .. } => Some(index),
            Indexed::Log { .. } => None,
        }
    }

    /// Where the sound of a capture log lies.
    pub fn log_index(&self) -> Option<&Index> {
        match &self.master {
            Indexed::Log { index, .. } => Some(index),
            Indexed::Ogg { .. } => None,
        }
    }

    /// The samples of a segment.
    fn window(&self, segment: u32) -> Range<i64> {
        samples(&self.grid.segment(segment))
    }

    /// Whether the segment with this position on the grid is known to be nothing but silence: it need not be stored, as rendering
    /// it costs next to nothing. Never known of a capture log.
    pub fn is_silent(&self, segment: u32) -> bool {
        match &self.master {
            Indexed::Ogg { index, .. } => index.is_silent(heard_range(&self.grid.segment(segment))),
            Indexed::Log { .. } => false,
        }
    }

    /// Whether there is something to be heard in one of its segments: it is not lost, and not known to be silent.
    pub fn is_heard_in(&self, segment: &Segment) -> bool {
        let is_missing = matches!(segment.state, SegmentState::Missing { .. });
        !is_missing && !self.audio.is_gone() && !self.is_silent(segment.capture_index)
    }

    /// Renders the segment with this position on the grid; returns it as MPEG-TS, with what was measured.
    pub async fn render(
        &self,
        rendering: &Rendering,
        priority: Priority,
        segment: u32,
    ) -> Result<(Vec<u8>, Window), Error> {
        let (ts, window) = self.make(rendering, priority, segment, Wanted::Segment).await?;
        Ok((ts.unwrap_or_default(), window))
    }

    /// Measures the segment with this position on the grid, without encoding it.
    pub async fn measure(&self, rendering: &Rendering, priority: Priority, segment: u32) -> Result<Window, Error> {
        Ok(self.make(rendering, priority, segment, Wanted::Measurements).await?.1)
    }

    /// Measures the levels of the segment with this position on the grid, from its packets where they say enough, else from what is decoded.
    /// There may be no peaks.
    pub async fn levels(&self, rendering: &Rendering, priority: Priority, segment: u32) -> Result<Window, Error> {
        let (_, window) = self.make(rendering, priority, segment, Wanted::Levels).await?;
        let by = if window.peaks.is_empty() { "packets" } else { "decoding" };
        metrics::counter!("echosphere_windows_measured_total", "by" => by).increment(1);
        Ok(window)
    }

    async fn make(
        &self,
        rendering: &Rendering,
        priority: Priority,
        segment: u32,
        wanted: Wanted,
    ) -> Result<Made, Error> {
        let frames = self.grid.segment(segment);
        if self.audio.is_gone() {
            return Err(self.kept.lost(0));
        }
        match &self.master {
            Indexed::Ogg { index, map } => {
                let bytes = self.kept.ogg(rendering, source_range(index, &frames)).await?;
                let (index, map) = (Arc::clone(index), *map);
                let made = rendering
                    .pool
                    .run(priority, move |renderer| wanted.of_file(renderer, (&index, &bytes, map), (segment, frames)));
                Ok(made.await??)
            }
            Indexed::Log { index, others } => {
                let samples = track_range(&frames);
                let packets = self.log_packets(rendering, &index.chunks_for(&samples)).await?;
                let fills = self.fills(rendering, others, &heard_range(&frames)).await?;
                let index = Arc::clone(index);
                let made = rendering.pool.run(priority, move |renderer| {
                    let patches = patches(&fills, renderer, index.is_mixed)?;
                    let tracks = index.tracks(packets, &samples);
                    wanted.of_tracks(renderer, (&tracks, &patches), (segment, frames))
                });
                Ok(made.await??)
            }
        }
    }

    /// The interleaved stereo of any stretch, agents on the left: what this capture itself has, and silence where it has nothing.
    pub async fn listen(&self, rendering: &Rendering, samples: Range<i64>) -> Result<Vec<i16>, Error> {
        let pool = &rendering.pool;
        match &self.master {
            Indexed::Ogg { index, map } => {
                let bytes = self.kept.ogg(rendering, index.byte_range(samples.clone())).await?;
                let (index, map) = (Arc::clone(index), *map);
                let heard =
                    pool.run(Priority::Background, move |renderer| renderer.listen(&index, &bytes, map, samples));
                Ok(heard.await??)
            }
            Indexed::Log { index, .. } => {
                let needed = samples.start - PRE_ROLL as i64..samples.end;
                let packets = self.log_packets(rendering, &index.chunks_for(&needed)).await?;
                let index = Arc::clone(index);
                let heard = pool.run(Priority::Background, move |renderer| {
                    renderer.listen_tracks(&index.tracks(packets, &needed), samples)
                });
                Ok(heard.await??)
            }
        }
    }

    /// What a window needs of other captures.
    async fn fills(
        &self,
        rendering: &Rendering,
        others: &[(CaptureId, CaptureRenderer)],
        window: &Range<i64>,
    ) -> Result<Vec<FillSource>, Error> {
        let mut fills = Vec::new();
        for fill in &self.audio.fills {
            fills.extend(FillSource::read(rendering, fill, others, window).await?);
        }
        Ok(fills)
    }

    /// The packets of some chunks of its log, in order.
    async fn log_packets(&self, rendering: &Rendering, numbers: &[u32]) -> Result<Vec<Packet>, Error> {
        let mut packets = Vec::new();
        for &number in numbers {
            let bytes = self.kept.needed_chunk(rendering, number).await?;
            packets.extend(chunk::packets(&bytes).map_err(|_| self.kept.lost(number))?);
        }
        Ok(packets)
    }
}

/// The samples of what fills a window.
fn patches(
    fills: &[FillSource],
    renderer: &mut Renderer,
    is_mixed: bool,
) -> Result<Vec<Patch>, echosphere_media::render::Error> {
    fills.iter().map(|fill| fill.patch(renderer, is_mixed)).collect()
}

/// What a window needs of another capture to fill a side gap.
struct FillSource {
    fill: Fill,
    /// As much of the side gap as the window needs.
    part: Range<i64>,
    index: Arc<OpusIndex>,
    map: ChannelMap,
    bytes: Bytes,
}

impl FillSource {
    /// `None` when the window needs nothing of it, or when the other capture's sound is gone: then the side gap is silent.
    async fn read(
        rendering: &Rendering,
        fill: &Fill,
        others: &[(CaptureId, CaptureRenderer)],
        window: &Range<i64>,
    ) -> Result<Option<Self>, Error> {
        let side_gap = fill.range();
        let part = side_gap.start.max(window.start)..side_gap.end.min(window.end);
        let Some((_, other)) = others.iter().find(|(id, _)| *id == fill.from) else { return Ok(None) };
        let (false, Indexed::Ogg { index, map }) = (part.is_empty(), &other.master) else { return Ok(None) };
        let mut source = Self { fill: fill.clone(), part, index: Arc::clone(index), map: *map, bytes: Bytes::new() };
        match other.kept.ogg(rendering, index.byte_range(source.range())).await {
            Ok(bytes) => source.bytes = bytes,
            Err(Error::MasterLost(key)) => {
                tracing::error!(%key, "a side gap cannot be filled: the sound that filled it is gone");
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        Ok(Some(source))
    }

    /// The part, where it lies in the other capture.
    fn range(&self) -> Range<i64> {
        let shift = self.fill.at - self.fill.start;
        self.part.start + shift..self.part.end + shift
    }

    fn patch(&self, renderer: &mut Renderer, is_mixed: bool) -> Result<Patch, echosphere_media::render::Error> {
        let stereo = renderer.listen(&self.index, &self.bytes, self.map, self.range())?;
        let side = usize::from(!self.fill.agent);
        let channel = match (is_mixed, self.fill.agent) {
            (true, _) => Channel::Both,
            (false, true) => Channel::Left,
            (false, false) => Channel::Right,
        };
        let samples = stereo.as_chunks::<2>().0.iter().map(|pair| pair[side]).collect();
        Ok(Patch { channel, stretch: self.fill.range(), start: self.part.start, samples })
    }
}
