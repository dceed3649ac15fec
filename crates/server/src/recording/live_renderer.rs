//! Lists live segments while the room goes on, a few seconds after they were spoken. They are rendered and put into object storage then, or
//! when somebody asks for them (`on_demand`).

use std::ops::Range;

use echosphere_domain::location::Location;
use echosphere_domain::recording::Source;
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::WallTime;
use echosphere_media::grid::Grid;
use echosphere_media::ogg::PRE_ROLL;
use echosphere_media::render::{Renderer, Window, track_range};
use echosphere_media::tracks::Track;
use echosphere_recorder::capture::Live;
use echosphere_recorder::sound;
use echosphere_store::Purpose;
use tokio::sync::SemaphorePermit;

use super::horizon::Due;
use super::measured::Measured;
use super::session::RoomSession;
use crate::assembly::segment_index::media_time;
use crate::config::Config;
use crate::rendering::capture_log::{self, LAG};
use crate::rendering::{Error, Priority, aac};

/// How late rendering may get, in nanoseconds, before it reads what it needs from chunks (6 s).
const MAY_BE_LATE: i64 = 6_000_000_000;

/// What live rendering needs of a capture.
pub(super) fn needs(config: &Config) -> Live {
    let lag = LAG.as_nanos() as i64;
    // The segment that is due, and the one before, which is asked for meanwhile.
    let window = lag + 2 * config.segment_duration.as_nanos() as i64 + MAY_BE_LATE;
    Live { lag, window: if config.recorder.live { window } else { 0 } }
}

/// Measures a window of tracks: its levels, and its peaks if they are wanted.
fn measured(
    renderer: &mut Renderer,
    tracks: &[Track],
    frames: Range<u64>,
    has_peaks: bool,
) -> Result<Window, echosphere_media::render::Error> {
    if has_peaks {
        renderer.measure_tracks(tracks, &[], frames)
    } else {
        renderer.levels_of_tracks(tracks, &[], frames)
    }
}

impl RoomSession {
    /// Renders the segments that are due, from `next` on; `next` stays the first that is not rendered yet, whatever happens.
    pub(super) async fn render_due(&self, next: &mut u32) -> Result<(), Error> {
        while let Some(due) = self.due(*next) {
            self.render(due).await?;
            *next += 1;
            // Who listens asks for a segment right after it is listed: the last one stays in memory.
            let last = Grid::live_segment(self.segment_ms(), *next - 1);
            self.capture().rendered(track_range(&last).start - PRE_ROLL as i64);
        }
        Ok(())
    }

    async fn render(&self, due: Due) -> Result<(), Error> {
        let Self { recorder, recording, capture_id, .. } = self;
        let first = due.samples().start;
        let Due { number, frames, zero } = due;
        let (tracks, seen, restarts, sid) = {
            let capture = self.capture();
            let assembler = capture.assembler();
            let (seen, restarts) = (capture_log::participants(assembler), assembler.restarts_before(first));
            let sid = assembler.room().map(|room| room.room_sid.clone());
            (capture.live_tracks(&track_range(&frames)), seen, restarts, sid)
        };
        let (tracks, _late) = self.tracks_due(tracks, &frames).await?;
        let (window, rendition) = (frames.clone(), aac());
        let is_encoded = recorder.config.renders_at_once(Source::Recorder);
        let is_watched = self.onlookers.are_there();
        let rendered = recorder.rendering.pool.run(Priority::Live, move |renderer| {
            if !is_encoded {
                return Ok((None, measured(renderer, &tracks, window, is_watched)?));
            }
            let rendered = renderer.render_tracks(&tracks, &[], window.clone())?;
            Ok::<_, echosphere_media::render::Error>((Some(rendered.to_ts(number, window.start)), rendered))
        });
        let (ts, rendered) = rendered.await??;
        let state = match ts {
            Some(ts) => {
                let (key, length) = (self.segment_key(number), ts.len() as u64);
                recorder.objects.put(recording, Purpose::Segment, &key, ts).await?;
                SegmentState::Stored(Location::part(key, 0, length))
            }
            None => SegmentState::Renderable,
        };
        let (start, end) = (media_time(frames.start), media_time(frames.end));
        let segment = Segment {
            capture: *capture_id,
            capture_index: number,
            index: number,
            discontinuity: restarts,
            media_start: start,
            duration: end - start,
            wall_start: WallTime::from_nanos(zero).plus_nanos(start.as_nanos()),
            codecs: rendition.codecs.clone(),
            state,
        };
        let participants =
            recorder.participants.with_named(&recording.project, recording.id, sid.as_deref(), seen).await?;
        recorder
            .store
            .append_segments(self.room(), &rendition, &[segment], end, &participants, recorder.clock.now())
            .await?;
        self.measured().push(number, &rendered, frames.end - frames.start);
        metrics::counter!("echosphere_live_segments_total").increment(1);
        Ok(())
    }

    /// The tracks of a window that is due, if memory does not have them any more from chunks. Rooms that are late read a part of their log
    /// again: a few at a time, so that memory stays flat.
    async fn tracks_due(
        &self,
        known: Option<Vec<Track>>,
        frames: &Range<u64>,
    ) -> Result<(Vec<Track>, Option<SemaphorePermit<'_>>), Error> {
        if let Some(tracks) = known {
            return Ok((tracks, None));
        }
        let late = self.recorder.registry.late.acquire().await.ok();
        metrics::counter!("echosphere_live_segments_late_total").increment(1);
        Ok((self.tracks_of_chunks(&track_range(frames)).await?, late))
    }

    /// Measures what an earlier process rendered, from chunks, so that its turns are found and its waveform is there.
    pub(super) async fn measure_earlier(&self) {
        let mut earlier = Measured::default();
        for number in 0..self.rendered.unwrap_or(0) {
            if self.recorder.stop.is_cancelled() {
                return;
            }
            let frames = Grid::live_segment(self.segment_ms(), number);
            let count = frames.end - frames.start;
            match self.measure(frames, false).await {
                Ok(window) => earlier.push(number, &window, count),
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

    /// Measures a window: from its packets where they say enough, unless its peaks are wanted.
    pub(super) async fn measure(&self, frames: Range<u64>, has_peaks: bool) -> Result<Window, Error> {
        let tracks = self.tracks(&track_range(&frames)).await?;
        let pool = &self.recorder.rendering.pool;
        let measured = pool.run(Priority::Background, move |renderer| measured(renderer, &tracks, frames, has_peaks));
        Ok(measured.await??)
    }

    /// The tracks of a range of samples that memory does not have any more.
    pub(super) async fn tracks_of_chunks(&self, samples: &Range<i64>) -> Result<Vec<Track>, Error> {
        let numbers = self.capture().assembler().live_chunks(samples);
        let last = self.capture().number();
        // What is not cut yet came too late for a segment that is rendered as soon as it is due; it is rendered anew when the room has
        // ended.
        let numbers: Vec<u32> = numbers.into_iter().filter(|&number| number < last).collect();
        let entries = self.entries(&numbers).await?;
        Ok(self.capture().assembler().live_tracks(sound::packets(&entries), samples))
    }
}
