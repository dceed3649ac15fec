//! Measures levels of windows, from packets where these say enough.

use std::ops::Range;

use super::{ChannelMap, Error, Renderer, Window, track_range};
use crate::aac::AacEncoder;
use crate::loudness;
use crate::ogg::OpusIndex;
use crate::tracks::{Patch, Track};

impl<E: AacEncoder> Renderer<E> {
    /// As [`Renderer::measure`], but from the packets where they say enough: then there are no peaks.
    pub fn levels(
        &mut self,
        index: &OpusIndex,
        bytes: &[u8],
        map: ChannelMap,
        frames: Range<u64>,
    ) -> Result<Window, Error> {
        match loudness::of_file(index, bytes, map, &frames) {
            Some(window) => Ok(window),
            None => self.measure(index, bytes, map, frames),
        }
    }

    /// As [`Renderer::measure_tracks`], but from the packets where they say enough: then there are no peaks.
    pub fn levels_of_tracks(
        &mut self,
        tracks: &[Track],
        patches: &[Patch],
        frames: Range<u64>,
    ) -> Result<Window, Error> {
        // What another source fills has no packets here.
        if !patches.is_empty() {
            return self.measure_tracks(tracks, patches, frames);
        }
        let (said, unsure) = loudness::of_tracks(tracks, &frames);
        if unsure.is_empty() {
            return Ok(said);
        }
        let range = track_range(&frames);
        let unsure: Vec<Track> = unsure.into_iter().filter_map(|track| track.within(&range)).collect();
        let mut window = self.measure_tracks(&unsure, &[], frames)?;
        if !said.tracks.is_empty() {
            for (level, new) in window.levels.iter_mut().zip(&said.levels) {
                *level = (*level).max(*new);
            }
            window.tracks.extend(said.tracks);
            window.peaks.clear();
        }
        Ok(window)
    }
}
