//! Makes a segment of a room that goes on when somebody asks for it. Where its streams lie was fixed in the log when it was due
//! (`horizon`), so it is the same whenever it is made.

use std::ops::Range;

use echosphere_domain::id::RecordingId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::Recording;
use echosphere_domain::segment::Segment;
use echosphere_media::cmaf;
use echosphere_media::grid::samples;
use echosphere_media::render::{track_range, voices_range};
use echosphere_media::tracks::Track;

use super::registry::Registry;
use super::session::RoomSession;
use crate::rendering::{Error, Priority, Rendered, aac_id};

impl Registry {
    /// A listed segment of a room in Opus: fragmented MP4. `None` when this process does not record the room.
    pub async fn opus_segment(&self, recording: RecordingId, number: u32) -> Option<Result<Vec<u8>, Error>> {
        let session = self.session(recording)?;
        Some(session.opus_segment(number).await)
    }

    /// Renders a listed segment of a room (AAC in MPEG-TS), and stores it. `None` when this process does not record the room.
    pub async fn aac_segment(&self, recording: &Recording, segment: &Segment) -> Option<Result<Rendered, Error>> {
        let session = self.session(recording.id)?;
        Some(session.aac_segment(recording, segment).await)
    }
}

impl RoomSession {
    async fn aac_segment(&self, recording: &Recording, segment: &Segment) -> Result<Rendered, Error> {
        let rendering = &self.recorder.rendering;
        let key = self.segment_key(segment.capture_index);
        let _turn = rendering.turn(&key).await;
        if rendering.is_made(recording, segment, &key).await? {
            return Ok(Rendered::Stored(key));
        }
        let (number, frames) = (segment.capture_index, self.frames(segment.capture_index));
        let tracks = self.tracks(&track_range(&frames)).await?;
        let made = rendering.pool.run(Priority::Interactive, move |renderer| {
            let window = renderer.render_tracks(&tracks, &[], frames.clone())?;
            Ok::<_, echosphere_media::render::Error>(window.to_ts(number, frames.start))
        });
        rendering.keep(recording, segment.index, &key, made.await??).await?;
        Ok(Rendered::Stored(key))
    }

    /// The key of a segment that is rendered while the room goes on.
    pub(super) fn segment_key(&self, number: u32) -> ObjectKey {
        self.recording.prefix.segment(self.attempt, aac_id().as_str(), 1, number)
    }

    async fn opus_segment(&self, number: u32) -> Result<Vec<u8>, Error> {
        let stretch = cmaf::voices_stretch(&samples(&self.frames(number)), i64::MAX);
        let tracks = self.tracks(&voices_range(&stretch)).await?;
        let made = self.recorder.rendering.pool.run(Priority::Interactive, move |renderer| {
            let cut = renderer.voices(tracks, &[], &stretch)?;
            Ok::<_, echosphere_media::render::Error>(cut.segment(number))
        });
        Ok(made.await??)
    }

    /// The tracks of a range of samples, all that came of them.
    pub(super) async fn tracks(&self, range: &Range<i64>) -> Result<Vec<Track>, Error> {
        let known = self.capture().live_sound(range);
        if let Some(sound) = known {
            return Ok(sound.tracks(range));
        }
        let is_open = {
            let capture = self.capture();
            capture.assembler().live_chunks(range).contains(&capture.number())
        };
        if is_open {
            self.cut().await.map_err(crate::error::Error::io("keep a chunk"))?;
        }
        Ok(self.stored_sound(range).await?.tracks(range))
    }
}
