//! Renders segments that are requested and not stored, and stores them.

use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::recording::{Capture, Recording, Source};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_store::{Purpose, StoredSegment};

use super::error::Error;
use super::rendition::aac_id;
use super::turns::Turn;
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

/// How many segments are rendered after the one that somebody asks for: who listens asks for them next.
const AHEAD: u32 = 3;

impl Rendering {
    /// Renders a segment that somebody waits for, stores it, and returns its key; silence is returned as bytes. `None` when it is
    /// lost. Who asks for what is being rendered waits for it.
    pub async fn render_now(
        &self,
        recording: &Recording,
        captures: &[Capture],
        segment: &Segment,
        priority: Priority,
    ) -> Result<Option<Rendered>, Error> {
        let key = segment_key(recording, captures, segment);
        let _turn = self.turn(&key).await;
        if self.is_made(recording, segment, &key).await? {
            return Ok(Some(Rendered::Stored(key)));
        }
        let capture = captures.iter().find(|capture| capture.id == segment.capture);
        let renderer = match capture {
            Some(capture) => self.renderer(recording, captures, capture).await?,
            None => None,
        };
        let revision = recording.state.revision;
        let Some(renderer) = renderer else { return Ok(None) };
        let ts = match renderer.render(self, priority, segment.capture_index).await {
            Ok((ts, _)) if renderer.is_silent(segment.capture_index) => return Ok(Some(Rendered::Silence(ts))),
            Ok((ts, _)) => ts,
            Err(error @ Error::MasterLost(_)) => {
                tracing::error!(recording = %recording.id, segment = segment.index, %error, "a segment is lost");
                self.store.segment_lost(recording.id, &aac_id(), revision, segment.index, "storage_lost").await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.keep(recording, segment.index, &key, ts).await?;
        Ok(Some(Rendered::Stored(key)))
    }

    /// Waits for one's turn to render a segment.
    pub async fn turn(&self, key: &ObjectKey) -> Turn<'_> {
        self.turns.of(key).await
    }

    /// Whether a segment was made while one waited for one's turn.
    pub async fn is_made(&self, recording: &Recording, segment: &Segment, key: &ObjectKey) -> Result<bool, Error> {
        let now = self.store.segment(recording.id, &aac_id(), segment.index).await?;
        let is_stored = now.is_some_and(|now| now.state.own() == Some(key));
        // Only of what was stored before may somebody have found that it is gone.
        let is_new = segment.state.own() != Some(key);
        Ok(is_stored && (is_new || self.objects.head(key).await?.is_some()))
    }

    /// Stores a segment that was rendered because somebody asked for it.
    pub async fn keep(&self, recording: &Recording, index: u32, key: &ObjectKey, ts: Vec<u8>) -> Result<(), Error> {
        let length = ts.len() as u64;
        self.objects.put(recording, Purpose::Segment, key, ts).await?;
        let stored = [StoredSegment { index, location: Location::part(key.clone(), 0, length) }];
        let revision = recording.state.revision;
        self.store.segments_stored(recording.id, &aac_id(), revision, &stored, self.clock.now()).await?;
        metrics::counter!("echosphere_segments_rendered_on_demand_total").increment(1);
        Ok(())
    }

    /// Begins to render the segments after one that somebody listens to, so that they are there when they are asked for.
    pub fn render_ahead(&self, recording: Recording, captures: Vec<Capture>, index: u32) {
        let rendering = self.clone();
        tokio::spawn(async move {
            for next in index.saturating_add(1)..=index.saturating_add(AHEAD) {
                let found = rendering.store.segment(recording.id, &aac_id(), next).await;
                let made = match found {
                    Ok(Some(segment)) if segment.state == SegmentState::Renderable => {
                        rendering.render_now(&recording, &captures, &segment, Priority::Live).await.map(|_| ())
                    }
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => return,
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = made {
                    tracing::debug!(recording = %recording.id, segment = next, %error, "a segment is not rendered ahead of its listener");
                    return;
                }
            }
        });
    }
}
