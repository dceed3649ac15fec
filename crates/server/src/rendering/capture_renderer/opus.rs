//! Cuts a capture's segments from its master: Opus in fragmented MP4. What cannot be cut is rendered as Opus, for as long as it lasts.

use std::ops::Range;
use std::sync::Arc;

use echosphere_domain::id::CaptureId;
use echosphere_media::cmaf::{self, Layout};
use echosphere_media::ogg::OpusIndex;
use echosphere_media::render::{ChannelMap, heard_as_voices, voices_range};
use echosphere_recorder::sound::Index;

use super::{CaptureRenderer, Indexed, patches};
use crate::rendering::{Error, Priority, Rendering};

/// The most bytes of a master that a segment is cut from: Opus at its highest rate has 0.3 MB in 4 s.
const LARGEST_CUT: u64 = 8 << 20;

impl CaptureRenderer {
    /// The init section of what is cut from its master; `None` when nothing can be: it is an Ogg file that is a chain of several streams,
    /// has another pre-skip than all that libopus writes, or is played louder or quieter than it was sent.
    pub fn init(&self) -> Option<Vec<u8>> {
        let Indexed::Ogg { index, map } = &self.master else { return Some(cmaf::init(Layout::Voices, 0)) };
        let [link] = index.links() else { return None };
        let is_all = link.heard().start == 0 && link.heard().end.unsigned_abs() == index.total_samples();
        if !is_all || u32::from(link.pre_skip()) != cmaf::EDIT {
            return None;
        }
        let layout = match (link.channels(), map) {
            (1, _) => Layout::Mono,
            (_, ChannelMap::Keep) => Layout::Stereo,
            (_, ChannelMap::Swap) => Layout::Swapped,
        };
        (link.gain() == 0).then(|| cmaf::init(layout, 0))
    }

    /// Where the segment with this position on the grid begins and ends when it is cut, in samples of its media time.
    fn stretch(&self, segment: u32) -> Range<i64> {
        let window = self.window(segment);
        match &self.master {
            Indexed::Ogg { index, .. } => {
                let total = i64::try_from(index.total_samples()).unwrap_or(i64::MAX);
                let start = if window.start == 0 { 0 } else { index.edge(window.start) };
                start..if window.end >= total { window.end } else { index.edge(window.end) }
            }
            Indexed::Log { index, .. } => {
                cmaf::voices_stretch(&window, i64::try_from(index.samples).unwrap_or(i64::MAX))
            }
        }
    }

    /// The samples of a segment, and those that a playlist says it has ([`cmaf::listed_stretch`]).
    pub fn listed(&self, segment: u32) -> (Range<i64>, Range<i64>) {
        let is_last = segment.saturating_add(1) >= self.grid.segments();
        (self.window(segment), cmaf::listed_stretch(&self.stretch(segment), is_last))
    }

    /// Cuts the segment with this position on the grid: Opus in fragmented MP4. `None` when there is no such segment, or it cannot be cut.
    pub async fn cut(&self, rendering: &Rendering, segment: u32) -> Result<Option<Vec<u8>>, Error> {
        let window = self.window(segment);
        if window.is_empty() {
            return Ok(None);
        }
        if self.audio.is_gone() {
            return Err(self.kept.lost(0));
        }
        match &self.master {
            Indexed::Ogg { index, .. } => self.packets(rendering, index, segment, window).await,
            Indexed::Log { index, others } => self.voices(rendering, index, others, segment).await.map(Some),
        }
    }

    /// Cuts a segment from an Ogg file.
    async fn packets(
        &self,
        rendering: &Rendering,
        index: &Arc<OpusIndex>,
        segment: u32,
        window: Range<i64>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let range = index.byte_range(window.clone());
        if range.end - range.start > LARGEST_CUT {
            return Ok(None);
        }
        let bytes = self.kept.ogg(rendering, range).await?;
        let index = Arc::clone(index);
        let made =
            rendering.pool.run(Priority::Interactive, move |_| cmaf::cut(&index, &bytes, window).segment(segment));
        Ok(Some(made.await?))
    }

    /// Puts a segment together from the tracks of a room, or renders it where that is not possible.
    async fn voices(
        &self,
        rendering: &Rendering,
        index: &Arc<Index>,
        others: &[(CaptureId, Self)],
        segment: u32,
    ) -> Result<Vec<u8>, Error> {
        let stretch = self.stretch(segment);
        let needed = voices_range(&stretch);
        let packets = self.log_packets(rendering, &index.chunks_for(&needed)).await?;
        let fills = self.fills(rendering, others, &heard_as_voices(&stretch)).await?;
        let index = Arc::clone(index);
        let made = rendering.pool.run(Priority::Interactive, move |renderer| {
            let patches = patches(&fills, renderer, index.is_mixed)?;
            let cut = renderer.voices(index.tracks(packets, &needed), &patches, &stretch)?;
            Ok::<_, echosphere_media::render::Error>(cut.segment(segment))
        });
        Ok(made.await??)
    }
}
