//! Makes live segments, and measures them, while the room goes on: from the chunks in memory, or, when these are no longer there, from storage.

use std::ops::Range;

use echosphere_media::render::{Window, track_range};
use echosphere_recorder::capture::Live;
use echosphere_recorder::sound::LiveSound;
use tokio::sync::SemaphorePermit;

use super::measured::Measured;
use super::session::RoomSession;
use crate::config::Config;
use crate::rendering::capture_log::LAG;
use crate::rendering::{Error, Priority, Wanted};

/// So many segments are made at once while nobody reads the recording: to read the log costs little more for them than for one.
pub(super) const UNREAD: u32 = 6;
/// How late rendering may get, in nanoseconds, before it reads what it needs from storage (6 s).
const MAY_BE_LATE: i64 = 6_000_000_000;

/// What live rendering needs of a capture.
pub(super) fn needs(config: &Config) -> Live {
    let lag = LAG.as_nanos() as i64;
    // The segments that are due, and the one before, which is asked for meanwhile.
    let window = lag + i64::from(UNREAD + 1) * config.segment_duration.as_nanos() as i64 + MAY_BE_LATE;
    Live { lag, window: if config.recorder.live { window } else { 0 } }
}

impl RoomSession {
    /// The sound of segments that are due, if memory does not have it any more from storage. Rooms that are late read a part of their log
    /// again: a few at a time, so that memory stays flat.
    pub(super) async fn sound_due(
        &self,
        known: Option<LiveSound>,
        range: &Range<i64>,
    ) -> Result<(LiveSound, Option<SemaphorePermit<'_>>), Error> {
        if let Some(sound) = known {
            return Ok((sound, None));
        }
        let late = self.recorder.registry.late.acquire().await.ok();
        metrics::counter!("echosphere_live_segments_late_total").increment(1);
        Ok((self.stored_sound(range).await?, late))
    }

    /// Measures what an earlier process rendered, from chunks, so that its turns are found and its waveform is there.
    pub(super) async fn measure_earlier(&self) {
        let mut earlier = Measured::default();
        for number in 0..self.rendered.unwrap_or(0) {
            if self.recorder.stop.is_cancelled() {
                return;
            }
            let frames = self.frames(number);
            match self.measure(number, Wanted::Levels).await {
                Ok(window) => earlier.push(number, &window, frames.end - frames.start),
                Err(error) => {
                    tracing::warn!(recording = %self.recording.id, %error, "what was heard before the restart is not measured until the room has ended");
                    return;
                }
            }
        }
        if earlier.windows() > 0 {
            self.measured().after(earlier);
        }
    }

    /// Measures the window of a segment with its peaks.
    pub(super) async fn peaks(&self, number: u32) -> Result<Window, Error> {
        self.measure(number, Wanted::Measurements).await
    }

    async fn measure(&self, number: u32, wanted: Wanted) -> Result<Window, Error> {
        let frames = self.frames(number);
        let tracks = self.tracks(&track_range(&frames)).await?;
        let pool = &self.recorder.rendering.pool;
        let made = pool
            .run(Priority::Background, move |renderer| wanted.of_tracks(renderer, (&tracks, &[]), (number, frames)));
        Ok(made.await??.1)
    }

    /// The sound of a range of samples of which memory does not have all any more. After a restart that is so of every room: the chunk before is in
    /// storage, and what was heard around the restart is in the one that is being filled.
    pub(super) async fn stored_sound(&self, samples: &Range<i64>) -> Result<LiveSound, Error> {
        let (mut chunks, mut stored) = (Vec::new(), Vec::new());
        {
            let capture = self.capture();
            for number in capture.assembler().live_chunks(samples) {
                match capture.chunk_in_memory(number) {
                    Some(chunk) => chunks.push(chunk),
                    None => stored.push(number),
                }
            }
        }
        chunks.extend(self.chunks(&stored).await?);
        Ok(self.capture().assembler().live_sound(chunks))
    }
}
