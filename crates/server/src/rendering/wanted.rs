//! What is made of the window of a segment.

use std::ops::Range;

use echosphere_media::ogg::OpusIndex;
use echosphere_media::render::{ChannelMap, Error, Renderer, Window, track_range};
use echosphere_media::tracks::{Patch, Track};

/// What is made of the window of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// MPEG-TS, and all that can be measured.
    Segment,
    /// All that can be measured.
    Measurements,
    /// Levels, from packets where these say enough; there may be no peaks.
    Levels,
}

/// A window as MPEG-TS, if that is wanted, and what was measured of it.
pub type Made = (Option<Vec<u8>>, Window);

impl Wanted {
    /// Makes it of a file, from the bytes that [`echosphere_media::render::source_range`] names.
    pub fn of_file(
        self,
        renderer: &mut Renderer,
        (index, bytes, map): (&OpusIndex, &[u8], ChannelMap),
        (segment, frames): (u32, Range<u64>),
    ) -> Result<Made, Error> {
        let first = frames.start;
        let window = match self {
            Self::Segment => renderer.render(index, bytes, map, frames)?,
            Self::Measurements => renderer.measure(index, bytes, map, frames)?,
            Self::Levels => renderer.levels(index, bytes, map, frames)?,
        };
        Ok(self.made(window, segment, first))
    }

    /// Makes it of several tracks, of which at least the packets in [`echosphere_media::render::track_range`] are there, and of what fills them.
    pub fn of_tracks(
        self,
        renderer: &mut Renderer,
        (tracks, patches): (&[Track], &[Patch]),
        (segment, frames): (u32, Range<u64>),
    ) -> Result<Made, Error> {
        let (first, range) = (frames.start, track_range(&frames));
        let heard = || tracks.iter().filter_map(|track| track.within(&range)).collect::<Vec<Track>>();
        let window = match self {
            Self::Segment => renderer.render_tracks(&heard(), patches, frames)?,
            Self::Measurements => renderer.measure_tracks(&heard(), patches, frames)?,
            Self::Levels => renderer.levels_of_tracks(tracks, patches, frames)?,
        };
        Ok(self.made(window, segment, first))
    }

    fn made(self, window: Window, segment: u32, first_frame: u64) -> Made {
        ((self == Self::Segment).then(|| window.to_ts(segment, first_frame)), window)
    }
}
