//! Renders segments that are requested and not stored, and stores them.

use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::recording::{Capture, Recording, Source};
use echosphere_domain::segment::Segment;
use echosphere_store::{Purpose, StoredSegment};

use super::error::Error;
use super::rendition::aac_id;
use super::{Priority, Rendering};

/// The key of a segment. It follows from what is rendered, so that rendering it twice stores the same bytes at the same key.
pub fn segment_key(recording: &Recording, captures: &[Capture], segment: &Segment) -> ObjectKey {
    let capture = captures.iter().find(|capture| capture.id == segment.capture);
    let attempt = capture.map_or(0, |capture| capture.attempt);
    // What was rendered while a room went on differs from what hindsight makes of it; an upload never changes.
    let is_log = capture.is_some_and(|capture| capture.source == Source::Recorder);
    let revision = if is_log { recording.state.revision } else { 1 };
    recording.prefix.segment(attempt, aac_id().as_str(), revision, segment.capture_index)
}

/// A segment that was rendered on request.
pub enum Rendered {
    /// It is stored there now.
    Stored(ObjectKey),
    /// MPEG-TS of nothing but silence, which is not worth an object.
    Silence(Vec<u8>),
}

impl Rendering {
    /// Renders a segment that somebody waits for, stores it, and returns its key; silence is returned as bytes. `None` when it is
    /// lost.
    pub async fn render_now(
        &self,
        recording: &Recording,
        captures: &[Capture],
        segment: &Segment,
    ) -> Result<Option<Rendered>, Error> {
        let capture = captures.iter().find(|capture| capture.id == segment.capture);
        let renderer = match capture {
            Some(capture) => self.renderer(recording, captures, capture).await?,
            None => None,
        };
        let revision = recording.state.revision;
        let Some(renderer) = renderer else { return Ok(None) };
        let ts = match renderer.render(self, Priority::Interactive, segment.capture_index).await {
            Ok((ts, _)) if renderer.is_silent(segment.capture_index) => return Ok(Some(Rendered::Silence(ts))),
            Ok((ts, _)) => ts,
            Err(error @ Error::MasterLost(_)) => {
                tracing::error!(recording = %recording.id, segment = segment.index, %error, "a segment is lost");
                self.store.segment_lost(recording.id, &aac_id(), revision, segment.index, "storage_lost").await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let key = segment_key(recording, captures, segment);
        let length = ts.len() as u64;
        self.objects.put(recording, Purpose::Segment, &key, ts).await?;
        let stored = [StoredSegment { index: segment.index, location: Location::part(key.clone(), 0, length) }];
        self.store.segments_stored(recording.id, &aac_id(), revision, &stored, self.clock.now()).await?;
        metrics::counter!("echosphere_segments_rendered_on_demand_total").increment(1);
        Ok(Some(Rendered::Stored(key)))
    }
}
