//! Cuts a recording's segments from what is Opus already, without decoding it: masters, and rooms that go on.

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::Segment;
use echosphere_media::cmaf::{self, Layout};
use echosphere_media::grid::{Grid, samples};
use echosphere_media::hls;

use super::Rendering;
use super::capture_renderer::CaptureRenderer;
use super::error::Error;

/// What cuts the segments of a recording.
pub struct Opus {
    /// Of each capture that is heard; its place is the number of its init section.
    captures: Vec<(CaptureId, Source)>,
}

/// What the segments of a capture are cut from.
enum Source {
    /// Its master.
    Master(Box<CaptureRenderer>),
    /// A room that goes on, in segments of this target length (ms).
    Room(u64),
}

/// A segment in Opus.
pub enum Cut {
    /// It is there.
    Made(Vec<u8>),
    /// It is of a room that goes on: who records it makes its segment with this number.
    Live(u32),
}

impl Rendering {
    /// What cuts these segments of a recording; `None` when one of them cannot be cut. `live_ms` is the target length of the segments of
    /// rooms that go on.
    pub async fn opus(
        &self,
        recording: &Recording,
        captures: &[Capture],
        segments: &[Segment],
        live_ms: u64,
    ) -> Result<Option<Opus>, super::Error> {
        let mut found: Vec<(CaptureId, Source)> = Vec::new();
        for segment in segments {
            if found.iter().any(|(id, _)| *id == segment.capture) {
                continue;
            }
            let Some(capture) = captures.iter().find(|capture| capture.id == segment.capture) else { return Ok(None) };
            let source = if capture.is_going_on() {
                Source::Room(live_ms)
            } else {
                let renderer = self.renderer(recording, captures, capture).await?;
                let Some(renderer) = renderer.filter(|renderer| renderer.init().is_some()) else { return Ok(None) };
                Source::Master(Box::new(renderer))
            };
            found.push((segment.capture, source));
        }
        Ok((!found.is_empty()).then_some(Opus { captures: found }))
    }
}

impl Opus {
    fn find(&self, segment: &Segment) -> Option<(usize, &Source)> {
        let number = self.captures.iter().position(|(id, _)| *id == segment.capture)?;
        Some((number, &self.captures[number].1))
    }

    /// The capture that an init section is of.
    pub fn capture(&self, init: usize) -> Option<CaptureId> {
        self.captures.get(init).map(|(id, _)| *id)
    }

    /// The init section with a number.
    pub fn init(&self, number: usize) -> Option<Vec<u8>> {
        match &self.captures.get(number)?.1 {
            Source::Master(renderer) => renderer.init(),
            Source::Room(_) => Some(cmaf::init(Layout::Voices, 0)),
        }
    }

    /// What a playlist says of a segment, from what it says of the same in AAC: it begins and ends where packets do.
    pub fn listed(&self, segment: &Segment, aac: hls::Segment) -> hls::Segment {
        let Some((number, source)) = self.find(segment) else { return aac };
        let (window, listed) = match source {
            Source::Master(renderer) => renderer.listed(segment.capture_index),
            Source::Room(live_ms) => {
                let window = samples(&Grid::live_segment(*live_ms, segment.capture_index));
                (window.clone(), cmaf::listed_stretch(&cmaf::voices_stretch(&window, i64::MAX), false))
            }
        };
        hls::Segment {
            ticks: (listed.end - listed.start).max(0).unsigned_abs() * 15 / 8,
            wall_millis: aac.wall_millis + (listed.start - window.start) / 48,
            map: Some(number),
            ..aac
        }
    }

    /// A segment.
    pub async fn segment(&self, rendering: &Rendering, segment: &Segment) -> Result<Option<Cut>, Error> {
        match self.find(segment) {
            Some((_, Source::Master(renderer))) => {
                Ok(renderer.cut(rendering, segment.capture_index).await?.map(Cut::Made))
            }
            Some((_, Source::Room(_))) => Ok(Some(Cut::Live(segment.capture_index))),
            None => Ok(None),
        }
    }
}
