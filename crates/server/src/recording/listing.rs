//! Lists live segments while the room goes on, a few seconds after they were spoken. They are rendered and put into object storage then, or when
//! somebody asks for them (`on_demand`). While nobody reads the recording, several are made at once, and are listed every five minutes.

use std::ops::Range;
use std::time::Duration;

use echosphere_domain::location::Location;
use echosphere_domain::recording::{Participant, Source};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_media::grid::samples;
use echosphere_media::ogg::PRE_ROLL;
use echosphere_media::render::{self, track_range};
use echosphere_store::Purpose;

use super::live_renderer::UNREAD;
use super::session::RoomSession;
use crate::assembly::segment_index::media_time;
use crate::rendering::{Error, Priority, Wanted, aac, capture_log};

/// The most segments that are made at once.
const MOST: u32 = 15;
/// So many segments are listed at once while nobody reads the recording: with segments of 4 s every five minutes.
const UNLISTED: usize = 75;
/// How long a reader waits for what is due to be listed.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is made of a room, and listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The first segment that is not made.
    pub(super) next: u32,
    /// Segments that are made, and not listed yet.
    pub(super) unlisted: Vec<Segment>,
    /// Who took part, as listed last.
    participants: Vec<Participant>,
}

impl Listing {
    /// Everything before this segment is listed.
    pub(super) fn before(next: u32) -> Self {
        Self { next, ..Self::default() }
    }
}

impl RoomSession {
    /// Makes and lists the segments that are due; `listing` says what is made and listed, whatever happens.
    pub(super) async fn list_due(&self, listing: &mut Listing) -> Result<(), Error> {
        let is_encoded = self.recorder.config.renders_at_once(Source::Recorder);
        loop {
            let is_read = is_encoded || self.readers.are_there();
            if !listing.unlisted.is_empty() && (is_read || listing.unlisted.len() >= UNLISTED) {
                self.append(listing).await?;
            }
            let due = self.due(listing.next, if is_read { 1 } else { UNREAD }, if is_encoded { 1 } else { MOST });
            if due == 0 {
                return Ok(());
            }
            let numbers = listing.next..listing.next + due;
            self.make(numbers, is_encoded, listing).await?;
            // Who listens asks for a segment right after it is listed: the last one stays in memory.
            let kept = if is_read { listing.next - 1 } else { listing.next };
            self.capture().rendered(track_range(&self.frames(kept)).start - PRE_ROLL as i64);
        }
    }

    /// Somebody reads the recording: what is due is listed at once, and from now on as soon as it is due. Waits until it is, but not for long.
    pub(super) async fn catch_up(&self) {
        if self.rendered.is_none() {
            return;
        }
        self.readers.come();
        let mut listed = self.listed.subscribe();
        let next = *listed.borrow();
        let due = next + self.due(next, 1, 2 * UNLISTED as u32);
        let _ = tokio::time::timeout(PATIENCE, listed.wait_for(|listed| *listed >= due)).await;
    }

    /// Makes segments: what is written into their rows later, and what is measured of them.
    async fn make(&self, numbers: Range<u32>, is_encoded: bool, listing: &mut Listing) -> Result<(), Error> {
        self.place(numbers.start);
        let windows: Vec<(u32, Range<u64>)> = numbers.clone().map(|number| (number, self.frames(number))).collect();
        let range = track_range(&(self.frames(numbers.start).start..self.frames(numbers.end - 1).end));
        let known = self.capture().live_sound(&range);
        let (sound, _late) = self.sound_due(known, &range).await?;
        let wanted = match (is_encoded, self.onlookers.are_there()) {
            (true, _) => Wanted::Segment,
            (false, true) => Wanted::Measurements,
            (false, false) => Wanted::Levels,
        };
        let made = self.recorder.rendering.pool.run(Priority::Live, move |renderer| {
            let tracks = sound.tracks(&range);
            let made = windows
                .into_iter()
                .map(|(number, frames)| wanted.of_tracks(renderer, (&tracks, &[]), (number, frames)));
            made.collect::<Result<Vec<_>, render::Error>>()
        });
        for (number, (ts, window)) in numbers.zip(made.await??) {
            listing.unlisted.push(self.segment(number, ts).await?);
            let frames = self.frames(number);
            self.measured().push(number, &window, frames.end - frames.start);
            listing.next = number + 1;
        }
        Ok(())
    }

    /// A segment as it is listed; what is encoded of it already is put into storage.
    async fn segment(&self, number: u32, ts: Option<Vec<u8>>) -> Result<Segment, Error> {
        let state = match ts {
            Some(ts) => {
                let (key, length) = (self.segment_key(number), ts.len() as u64);
                self.recorder.objects.put(&self.recording, Purpose::Segment, &key, ts).await?;
                SegmentState::Stored(Location::part(key, 0, length))
            }
            None => SegmentState::Renderable,
        };
        let frames = self.frames(number);
        let (start, end) = (media_time(frames.start), media_time(frames.end));
        let capture = self.capture();
        let assembler = capture.assembler();
        let zero = WallTime::from_nanos(assembler.zero().unwrap_or_default());
        Ok(Segment {
            capture: self.capture_id,
            capture_index: number,
            index: number,
            discontinuity: assembler.restarts_before(samples(&frames).start),
            media_start: start,
            duration: end - start,
            wall_start: zero.plus_nanos(start.as_nanos()),
            codecs: aac().codecs,
            state,
        })
    }

    /// Writes what is made into the rows, and who takes part, if that has changed.
    async fn append(&self, listing: &mut Listing) -> Result<(), Error> {
        let Self { recorder, recording, .. } = self;
        let (seen, sid) = {
            let capture = self.capture();
            let assembler = capture.assembler();
            (capture_log::participants(assembler), assembler.room().map(|room| room.room_sid.clone()))
        };
        let participants =
            recorder.participants.with_named(&recording.project, recording.id, sid.as_deref(), seen).await?;
        let new: &[Participant] = if participants == listing.participants { &[] } else { &participants };
        let segments = &listing.unlisted;
        let end = segments.last().map_or(MediaTime::ZERO, |last| last.media_start + last.duration);
        recorder.store.append_segments(self.room(), &aac(), segments, end, new, recorder.clock.now()).await?;
        metrics::counter!("echosphere_live_segments_total").increment(segments.len() as u64);
        listing.participants = participants;
        listing.unlisted.clear();
        self.listed.send_replace(listing.next);
        Ok(())
    }
}
