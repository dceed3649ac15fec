//! Cuts a recording's segments from masters that are Opus, without decoding them.

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::Segment;

use super::Rendering;
use super::capture_renderer::CaptureRenderer;
use super::error::Error;

/// What cuts the segments of a recording.
pub struct Opus {
    /// Of each capture that is heard; its place is the number of its init section.
    captures: Vec<(CaptureId, CaptureRenderer)>,
}

impl Rendering {
    /// What cuts these segments of a recording; `None` when one of them cannot be cut.
    pub async fn opus(
        &self,
        recording: &Recording,
        captures: &[Capture],
        segments: &[Segment],
    ) -> Result<Option<Opus>, super::Error> {
        let mut found: Vec<(CaptureId, CaptureRenderer)> = Vec::new();
        for segment in segments {
            if found.iter().any(|(id, _)| *id == segment.capture) {
                continue;
            }
            let Some(capture) = captures.iter().find(|capture| capture.id == segment.capture) else { return Ok(None) };
            let renderer = self.renderer(recording, captures, capture).await?;
            let Some(renderer) = renderer.filter(|renderer| renderer.init().is_some()) else { return Ok(None) };
            found.push((segment.capture, renderer));
        }
        Ok((!found.is_empty()).then_some(Opus { captures: found }))
    }
}

impl Opus {
    fn renderer(&self, segment: &Segment) -> Option<&CaptureRenderer> {
        self.captures.iter().find(|(id, _)| *id == segment.capture).map(|(_, renderer)| renderer)
    }

    /// The number of a segment's init section.
    pub fn init_of(&self, segment: &Segment) -> Option<usize> {
        self.captures.iter().position(|(id, _)| *id == segment.capture)
    }

    /// The init section with a number.
    pub fn init(&self, number: usize) -> Option<Vec<u8>> {
        self.captures.get(number)?.1.init()
    }

    /// The length of a segment, in ticks of 90 kHz: it begins and ends where packets do.
    pub fn ticks(&self, segment: &Segment) -> Option<u64> {
        let stretch = self.renderer(segment)?.cut_stretch(segment.capture_index)?;
        Some((stretch.end - stretch.start).max(0).unsigned_abs() * 15 / 8)
    }

    /// A segment.
    pub async fn segment(&self, rendering: &Rendering, segment: &Segment) -> Result<Option<Vec<u8>>, Error> {
        match self.renderer(segment) {
            Some(renderer) => renderer.cut(rendering, segment.capture_index).await,
            None => Ok(None),
        }
    }
}
