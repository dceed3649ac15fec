//! Captures as the renderer takes them, and the segments that are rendered for somebody who waits.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use echosphere_domain::id::CaptureId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{self, Audio, Capture, Recording};
use echosphere_domain::segment::{AUDIO_RENDITION, Location, Segment};
use echosphere_media::ogg::OpusIndex;
use echosphere_recorder::sound::Index;
use echosphere_store::{Purpose, StoredSegment};

use crate::app::App;
use crate::clock;
use crate::render::{self, Priority, Source, channel_map};
use crate::work::Error;

/// Indexes that are kept at hand: of an hour each has about 90 KB.
const KEPT: usize = 32;
/// What they may take all together, in bytes.
const KEPT_BYTES: usize = 32 << 20;

/// The captures that were rendered last.
#[derive(Default)]
pub struct Sources {
    /// Each with its size in bytes.
    recent: Mutex<VecDeque<(CaptureId, Source, usize)>>,
}

impl Sources {
    /// What is known of a capture; its sound may have become another one since.
    fn get(&self, capture: CaptureId, audio: &Audio) -> Option<Source> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().find(|(id, source, _)| *id == capture && source.audio() == audio);
        known.map(|(_, source, _)| source.clone())
    }

    fn keep(&self, capture: CaptureId, source: &Source, size: usize) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(id, ..)| *id != capture);
        recent.truncate(KEPT - 1);
        recent.push_front((capture, source.clone(), size));
        while recent.len() > 1 && recent.iter().map(|(.., size)| size).sum::<usize>() > KEPT_BYTES {
            recent.pop_back();
        }
    }
}

/// A capture as the renderer takes it; `None` when it has no sound (any more). Its holes are filled from others of these captures.
pub async fn load(
    app: &App,
    recording: &Recording,
    captures: &[Capture],
    capture: &Capture,
) -> Result<Option<Source>, echosphere_store::Error> {
    let Some(audio) = &capture.audio else { return Ok(None) };
    if let Some(source) = app.sources.get(capture.id, audio) {
        return Ok(Some(source));
    }
    let Some(bytes) = app.store.audio_index(capture.id).await? else { return Ok(None) };
    let corrupt = |reason: String| echosphere_store::Error::Corrupt {
        row: format!("captures.audio_index of {}", capture.id),
        reason,
    };
    let source = if audio.chunks > 0 {
        let index = Index::from_bytes(&bytes).ok_or_else(|| corrupt("not the index of a capture log".to_owned()))?;
        let lenders = lenders(app, recording, captures, audio).await?;
        Source::log(audio.clone(), index, chunks(recording, capture, audio), lenders)
    } else {
        let index = OpusIndex::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))?;
        Source::ogg(audio.clone(), index, channel_map(capture.source))
    };
    app.sources.keep(capture.id, &source, bytes.len());
    Ok(Some(source))
}

/// The captures that fill the holes of a sound.
async fn lenders(
    app: &App,
    recording: &Recording,
    captures: &[Capture],
    audio: &Audio,
) -> Result<Vec<(CaptureId, Source)>, echosphere_store::Error> {
    let mut lenders = Vec::new();
    for other in captures.iter().filter(|other| audio.fills.iter().any(|fill| fill.from == other.id)) {
        // What lends has no holes itself: this goes no deeper.
        let source = Box::pin(load(app, recording, captures, other)).await?;
        lenders.extend(source.map(|source| (other.id, source)));
    }
    Ok(lenders)
}

/// The keys of a capture log's chunks.
pub fn chunks(recording: &Recording, capture: &Capture, audio: &Audio) -> Vec<ObjectKey> {
    (0..audio.chunks).map(|number| recording.prefix.log_chunk(capture.attempt, number)).collect()
}

/// The key of a segment. It follows from what is rendered, so that rendering it twice stores the same bytes at the same key.
pub fn segment_key(recording: &Recording, captures: &[Capture], segment: &Segment) -> ObjectKey {
    let capture = captures.iter().find(|capture| capture.id == segment.capture);
    let attempt = capture.map_or(0, |capture| capture.attempt);
    // What was rendered while a room went on is not what hindsight makes of it; an upload never changes.
    let is_log = capture.is_some_and(|capture| capture.source == recording::Source::Recorder);
    let revision = if is_log { recording.state.revision } else { 1 };
    recording.prefix.segment(attempt, AUDIO_RENDITION, revision, segment.capture_index)
}

/// A segment that was rendered for somebody who waits.
pub enum Rendered {
    /// It is stored there now.
    Stored(ObjectKey),
    /// MPEG-TS of nothing but silence, which is not worth an object.
    Silence(Vec<u8>),
}

/// Renders a segment for somebody who waits, stores it, and says where it is now; silence is handed on. `None` when it is lost.
pub async fn render_now(
    app: &App,
    recording: &Recording,
    captures: &[Capture],
    segment: &Segment,
) -> Result<Option<Rendered>, Error> {
    let capture = captures.iter().find(|capture| capture.id == segment.capture);
    let source = match capture {
        Some(capture) => load(app, recording, captures, capture).await?,
        None => None,
    };
    let revision = recording.state.revision;
    let Some(source) = source else { return Ok(None) };
    let objects = app.objects.as_ref();
    let ts = match source.render(objects, &app.renderers, Priority::Interactive, segment.capture_index).await {
        Ok((ts, _)) if source.is_silent(segment.capture_index) => return Ok(Some(Rendered::Silence(ts))),
        Ok((ts, _)) => ts,
        Err(error @ render::Error::MasterLost(_)) => {
            tracing::error!(recording = %recording.id, segment = segment.index, %error, "a segment is lost");
            app.store.segment_lost(recording.id, AUDIO_RENDITION, revision, segment.index, "storage_lost").await?;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let key = segment_key(recording, captures, segment);
    let announced = std::slice::from_ref(&key);
    app.store.announce(&recording.project, Some(recording.id), Purpose::Segment, announced, clock::now()).await?;
    let length = ts.len() as u64;
    app.put(recording.id, &key, ts.into()).await?;
    let stored = StoredSegment { index: segment.index, key: key.clone(), offset: 0, length };
    app.store.segments_stored(recording.id, AUDIO_RENDITION, revision, &[stored], clock::now()).await?;
    metrics::counter!("echosphere_segments_rendered_on_demand_total").increment(1);
    Ok(Some(Rendered::Stored(key)))
}

/// Where a segment's bytes are, if they are stored.
pub fn stored_key(segment: &Segment) -> Option<&ObjectKey> {
    match &segment.location {
        Location::Stored { key, .. } => Some(key),
        Location::Renderable | Location::Missing { .. } => None,
    }
}
