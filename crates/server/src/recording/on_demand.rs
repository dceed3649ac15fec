//! Makes a segment of a room that goes on when somebody asks for it. Where its streams lie was fixed in the log when it was due
//! (`horizon`), so it is the same whenever it is made.

use std::ops::Range;

use echosphere_domain::id::RecordingId;
use echosphere_media::cmaf;
use echosphere_media::grid::{Grid, samples};
use echosphere_media::render::voices_range;
use echosphere_media::tracks::Track;

use super::registry::Registry;
use super::session::RoomSession;
use crate::rendering::{Error, Priority};

impl Registry {
    /// A listed segment of a room in Opus: fragmented MP4. `None` when this process does not record the room.
    pub async fn opus_segment(&self, recording: RecordingId, number: u32) -> Option<Result<Vec<u8>, Error>> {
        let session = self.session(recording)?;
        Some(session.opus_segment(number).await)
    }
}

impl RoomSession {
    async fn opus_segment(&self, number: u32) -> Result<Vec<u8>, Error> {
        let frames = Grid::live_segment(self.segment_ms(), number);
        let stretch = cmaf::voices_stretch(&samples(&frames), i64::MAX);
        let tracks = self.tracks(&voices_range(&stretch)).await?;
        let made = self.recorder.rendering.pool.run(Priority::Interactive, move |renderer| {
            let cut = renderer.voices(tracks, &[], &stretch)?;
            Ok::<_, echosphere_media::render::Error>(cmaf::segment(
                number.saturating_add(1),
                cut.decode_time(),
                &cut.samples,
            ))
        });
        Ok(made.await??)
    }

    /// The tracks of a range of samples, all that came of them.
    async fn tracks(&self, range: &Range<i64>) -> Result<Vec<Track>, Error> {
        let (tracks, is_open) = {
            let capture = self.capture();
            let is_open = || capture.assembler().live_chunks(range).contains(&capture.number());
            (capture.live_tracks(range), is_open())
        };
        if let Some(tracks) = tracks {
            return Ok(tracks);
        }
        if is_open {
            self.cut().await.map_err(crate::error::Error::io("keep a chunk"))?;
        }
        self.tracks_of_chunks(range).await
    }
}
