//! The other half of a room: what was heard goes into object storage, as chunks of the log and as live segments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::lifecycle::Status;
use echosphere_domain::segment::{AUDIO_RENDITION, Location, Segment};
use echosphere_domain::time::WallTime;
use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;
use echosphere_media::render::track_range;
use echosphere_recorder::capture::Chunk;
use echosphere_recorder::clock::nanos;
use echosphere_recorder::room::Command;
use echosphere_store::Purpose;
use tokio::sync::oneshot;

use super::{LAG, Session};
use crate::clock;
use crate::render::Priority;
use crate::work::compose::{CODECS, media_time};
use crate::work::{self, settle};

/// How often to look whether something is due.
const LOOK: Duration = Duration::from_millis(200);
/// How often a chunk is cut.
const CHUNK: Duration = Duration::from_secs(2);
/// Keys that are announced in one transaction.
const ANNOUNCED: u32 = 64;
/// Chunks that wait in memory while object storage does not take them; the journal has them all.
const MAX_WAITING: usize = 256;
/// How often what waits is tried again in the end, a second apart.
const LAST_TRIES: u32 = 30;

struct Keeper {
    session: Arc<Session>,
    waiting: Vec<Chunk>,
    announced: u32,
    cut_at: Instant,
    next_segment: u32,
    is_joined: bool,
    is_heard: bool,
}

/// Keeps until it is told how the room ended: true when it is over, false when another process goes on. Then keeps the
/// rest, and says that the room has ended, if it has.
pub(super) async fn keep(session: Arc<Session>, mut end: oneshot::Receiver<bool>) {
    let mut keeper = Keeper::new(session);
    let id = keeper.session.recording.id;
    let ended = loop {
        tokio::select! {
            ended = &mut end => break ended.unwrap_or(false),
            () = tokio::time::sleep(LOOK) => {}
        }
        if let Err(error) = keeper.look().await {
            tracing::warn!(recording = %id, %error, "what was heard cannot be kept in object storage now");
            metrics::counter!("echosphere_live_storage_failures_total").increment(1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    for attempt in 0..LAST_TRIES {
        match keeper.last(ended).await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(recording = %id, attempt, %error, "the end of a room cannot be kept now");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    keeper.session.app.work.wake();
}

impl Keeper {
    fn new(session: Arc<Session>) -> Self {
        Self {
            waiting: Vec::new(),
            announced: 0,
            cut_at: Instant::now(),
            next_segment: session.rendered,
            is_joined: false,
            is_heard: session.recording.state.status == Status::Active,
            session,
        }
    }

    async fn look(&mut self) -> Result<(), work::Error> {
        self.note_room().await?;
        if self.cut_at.elapsed() >= CHUNK {
            self.cut_at = Instant::now();
            self.cut();
            self.put().await?;
        }
        if self.session.app.config.recorder.live {
            self.render_due().await?;
        }
        Ok(())
    }

    async fn last(&mut self, ended: bool) -> Result<(), work::Error> {
        self.note_room().await?;
        self.cut();
        self.put().await?;
        if ended {
            self.session.app.store.room_ended(self.session.recording.id, clock::now()).await?;
        }
        Ok(())
    }

    /// Tells the rows what was found out about the room.
    async fn note_room(&mut self) -> Result<(), work::Error> {
        let (app, id) = (Arc::clone(&self.session.app), self.session.recording.id);
        if !self.is_joined {
            let sid = self.session.capture().assembler().room().map(|room| room.room_sid.clone());
            if let Some(sid) = sid {
                if let Some(other) = app.store.room_joined(id, &sid).await? {
                    tracing::warn!(recording = %id, %other, "the room is recorded already; this recording is given up");
                    let _ = self.session.commands.try_send(Command::Stop);
                }
                self.is_joined = true;
            }
        }
        loop {
            let next = self.session.left_out().first().copied();
            let Some(who) = next else { break };
            app.store.note_left_out(id, who).await?;
            self.session.left_out().remove(0);
        }
        if !self.is_heard {
            let zero = self.session.capture().assembler().zero();
            if let Some(zero) = zero {
                app.store.heard(id, WallTime::from_nanos(zero)).await?;
                self.is_heard = true;
            }
        }
        Ok(())
    }

    fn cut(&mut self) {
        if self.waiting.len() < MAX_WAITING
            && let Some(chunk) = self.session.capture().cut()
        {
            self.waiting.push(chunk);
        }
        metrics::gauge!("echosphere_live_chunks_waiting").set(self.waiting.len() as f64);
    }

    /// Puts what waits into object storage, in order.
    async fn put(&mut self) -> Result<(), work::Error> {
        let session = Arc::clone(&self.session);
        let Session { app, recording, attempt, .. } = &*session;
        while let Some(chunk) = self.waiting.first() {
            let number = chunk.number;
            if number >= self.announced {
                let keys: Vec<_> =
                    (number..number + ANNOUNCED).map(|number| recording.prefix.log_chunk(*attempt, number)).collect();
                app.store.announce(&recording.project, Some(recording.id), Purpose::Log, &keys, clock::now()).await?;
                self.announced = number + ANNOUNCED;
            }
            let key = recording.prefix.log_chunk(*attempt, number);
            app.objects.put(&key, chunk.bytes.clone().into()).await?;
            self.session.capture().kept(chunk);
            self.waiting.remove(0);
        }
        Ok(())
    }

    /// Renders the segments whose time has come.
    async fn render_due(&mut self) -> Result<(), work::Error> {
        let target = self.session.app.config.segment_duration.as_millis() as u64;
        loop {
            let Some(zero) = self.session.capture().assembler().zero() else { return Ok(()) };
            let frames = Grid::live_segment(target, self.next_segment);
            let end = zero + nanos((frames.end * FRAME as u64) as i64);
            let now = Instant::now();
            if self.session.capture().clock().at(now) < end + LAG.as_nanos() as i64 {
                return Ok(());
            }
            self.render(frames, zero, now).await?;
            self.next_segment += 1;
        }
    }

    async fn render(&self, frames: std::ops::Range<u64>, zero: i64, now: Instant) -> Result<(), work::Error> {
        let Session { app, recording, attempt, capture_id, .. } = &*self.session;
        let number = self.next_segment;
        let (first, samples) = ((frames.start * FRAME as u64) as i64, track_range(&frames));
        let (tracks, participants, restarts) = {
            let mut capture = self.session.capture();
            capture.follow_clocks(first, now);
            let assembler = capture.assembler();
            (capture.live_tracks(&samples), settle::participants(assembler), assembler.restarts_before(first))
        };
        let window = frames.clone();
        let rendered = app.renderers.run(Priority::Interactive, move |renderer| {
            renderer.render_tracks(&tracks, window.clone()).map(|rendered| rendered.to_ts(number, window.start))
        });
        let ts = rendered.await.map_err(crate::render::Error::from)?.map_err(crate::render::Error::from)?;
        let key = recording.prefix.segment(*attempt, AUDIO_RENDITION, 1, number);
        let announced = std::slice::from_ref(&key);
        app.store.announce(&recording.project, Some(recording.id), Purpose::Segment, announced, clock::now()).await?;
        let length = ts.len() as u64;
        app.objects.put(&key, ts.into()).await?;
        let (start, end) = (media_time(frames.start), media_time(frames.end));
        let segment = Segment {
            capture: *capture_id,
            capture_index: number,
            index: number,
            discontinuity: restarts,
            media_start: start,
            duration: end - start,
            wall_start: WallTime::from_nanos(zero).plus_nanos(start.as_nanos()),
            codecs: CODECS.to_owned(),
            location: Location::Stored { key, offset: 0, length },
        };
        app.store.append_segments(recording.id, &[segment], end, &participants, clock::now()).await?;
        metrics::counter!("echosphere_live_segments_total").increment(1);
        Ok(())
    }
}
