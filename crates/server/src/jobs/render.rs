//! The background work on a revision: the waveform measured, the transcript aligned and, where segments are not rendered only when they are
//! asked for, every segment stored.

use std::collections::HashMap;

use echosphere_domain::id::CaptureId;
use echosphere_domain::location::Location;
use echosphere_domain::recording::{Audio, Capture, Recording, Source};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_media::render::Window;
use echosphere_store::{Claim, Purpose, RenderedRevision, StoredSegment};
use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt, TryStreamExt};

use super::{Error, Jobs, payload, unneeded};
use crate::assembly::alignment::Measured;
use crate::error;
use crate::rendering::{self, Analysis, CaptureAnalysis, CaptureRenderer, Error as RenderError, Priority};

/// Segments whose rows are written in one transaction.
const BATCH: usize = 64;

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let (project, id, revision) = payload::part(claim)?;
    let found = jobs.store.recording(&project, id).await?;
    let Some((recording, captures)) = found else { return Ok(jobs.store.complete(&claim.lease).await?) };
    if recording.state.revision != revision {
        return late(jobs, claim, &recording, &captures, revision).await;
    }
    jobs.participants.complete(&recording).await?;
    let job = Job { jobs, recording, captures, revision };
    if let Some(analysis) = job.render().await? {
        return job.finish(analysis, claim).await;
    }
    unneeded::at_once(jobs).await;
    Ok(jobs.store.complete(&claim.lease).await?)
}

/// Ends the rendering of a revision that is not the current one. What an earlier attempt stored of it and did not note is needed by nothing.
async fn late(
    jobs: &Jobs,
    claim: &Claim,
    recording: &Recording,
    captures: &[Capture],
    revision: u32,
) -> Result<(), Error> {
    // An upload's segments are the same in every revision.
    if let Some(log) = captures.iter().find(|capture| capture.source == Source::Recorder) {
        let there = jobs.store.segment_index(recording.id).await?;
        let last = there.iter().filter(|segment| segment.capture == log.id).map(|segment| segment.capture_index).max();
        let (id, aac) = (recording.id, rendering::aac_id());
        let of = |index| StoredSegment {
            index,
            location: Location::part(recording.prefix.segment(log.attempt, aac.as_str(), revision, index), 0, 0),
        };
        let all: Vec<StoredSegment> = (0..=last.unwrap_or(0)).map(of).collect();
        for batch in all.chunks(BATCH) {
            jobs.store.segments_stored(id, &aac, revision, batch, jobs.clock.now()).await?;
        }
        unneeded::at_once(jobs).await;
    }
    Ok(jobs.store.complete(&claim.lease).await?)
}

struct Job<'a> {
    jobs: &'a Jobs,
    recording: Recording,
    captures: Vec<Capture>,
    revision: u32,
}

/// What became of a segment.
struct Done {
    capture: CaptureId,
    window: Result<Window, RenderError>,
    index: u32,
    stored: Option<StoredSegment>,
    frames: u64,
}

impl Job<'_> {
    /// `None` when another revision was published meanwhile.
    async fn render(&self) -> Result<Option<Analysis>, Error> {
        let (jobs, id) = (self.jobs, self.recording.id);
        let segments = jobs.store.segment_index(id).await?;
        let renderers = jobs.rendering.renderers_in_blocks(&self.recording, &self.captures).await?;
        self.announce(&segments, &renderers).await?;
        // A few more than the pool's threads, so that storing one segment never keeps a thread from the next.
        let at_once = jobs.rendering.pool.workers() * 3;
        let mut waiting = segments.iter();
        let mut results = FuturesOrdered::new();
        let mut analysis = Analysis::default();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            // Segments are begun one by one: two days have 43,200 of them.
            while results.len() < at_once
                && let Some(segment) = waiting.next()
            {
                results.push_back(self.one(segment, renderers.get(&segment.capture)));
            }
            let Some(done) = results.next().await else { break };
            if jobs.stop.is_cancelled() {
                self.note(&mut batch).await?;
                return Err(error::Error::Stopping.into());
            }
            self.take(done?, &mut analysis, &mut batch).await?;
            if batch.len() >= BATCH && !self.note(&mut batch).await? {
                // What is being stored at this moment is announced, and is condemned with all else that came too late.
                let rest: Vec<Done> = results.try_collect().await?;
                batch.extend(rest.into_iter().filter_map(|done| done.stored));
                self.note(&mut batch).await?;
                return Ok(None);
            }
        }
        Ok(self.note(&mut batch).await?.then_some(analysis))
    }

    async fn announce(
        &self,
        segments: &[Segment],
        renderers: &HashMap<CaptureId, CaptureRenderer>,
    ) -> Result<(), Error> {
        let wanted = segments
            .iter()
            .filter(|segment| self.is_stored(segment) && !is_silent(segment, renderers.get(&segment.capture)));
        let keys: Vec<_> = wanted.map(|segment| self.key(segment)).collect();
        for keys in keys.chunks(512) {
            self.jobs.objects.announce(&self.recording, Purpose::Segment, keys).await?;
        }
        Ok(())
    }

    /// Whether a segment is rendered and stored now; others are only measured.
    fn is_stored(&self, segment: &Segment) -> bool {
        segment.state == SegmentState::Renderable && self.is_at_once(segment.capture)
    }

    /// Whether all of a capture is decoded now, and rendered where it is not stored yet.
    fn is_at_once(&self, capture: CaptureId) -> bool {
        let source = self.captures.iter().find(|known| known.id == capture).map(|known| known.source);
        source.is_some_and(|source| self.jobs.config.renders_at_once(source))
    }

    fn key(&self, segment: &Segment) -> echosphere_domain::key::ObjectKey {
        rendering::segment_key(&self.recording, &self.captures, segment)
    }

    async fn one(&self, segment: &Segment, renderer: Option<&CaptureRenderer>) -> Result<Done, Error> {
        let (capture, index) = (segment.capture, segment.index);
        let frames = segment.duration.ticks().unsigned_abs() / echosphere_media::grid::TICKS_PER_FRAME;
        let mut done = Done { capture, window: Ok(Window::default()), index, stored: None, frames };
        // Silence that is only claimed costs nothing: it is rendered on demand, and its measurements are known.
        let Some(renderer) = renderer.filter(|renderer| renderer.is_heard_in(segment)) else {
            return Ok(done);
        };
        let (rendering, number) = (&self.jobs.rendering, segment.capture_index);
        let made = if self.is_stored(segment) {
            renderer.render(rendering, Priority::Background, number).await.map(|(ts, window)| (Some(ts), window))
        } else if self.is_at_once(segment.capture) {
            renderer.measure(rendering, Priority::Background, number).await.map(|window| (None, window))
        } else {
            renderer.levels(rendering, Priority::Background, number).await.map(|window| (None, window))
        };
        match made {
            Ok((ts, window)) => {
                done.window = Ok(window);
                if let Some(ts) = ts {
                    let (key, length) = (self.key(segment), ts.len() as u64);
                    self.jobs.objects.put_announced(self.recording.id, &key, ts).await?;
                    done.stored = Some(StoredSegment { index, location: Location::part(key, 0, length) });
                }
                Ok(done)
            }
            Err(error @ RenderError::MasterLost(_)) => {
                done.window = Err(error);
                Ok(done)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn take(&self, done: Done, analysis: &mut Analysis, batch: &mut Vec<StoredSegment>) -> Result<(), Error> {
        if analysis.captures.last().is_none_or(|last| last.capture != done.capture) {
            analysis.captures.push(CaptureAnalysis::new(done.capture));
        }
        let window = match done.window {
            Ok(window) => window,
            Err(error) => {
                tracing::error!(recording = %self.recording.id, segment = done.index, %error, "a segment is lost");
                let (id, revision) = (self.recording.id, self.revision);
                self.jobs.store.segment_lost(id, &rendering::aac_id(), revision, done.index, "storage_lost").await?;
                Window::default()
            }
        };
        if let Some(last) = analysis.captures.last_mut() {
            last.push(&window, done.frames as usize);
        }
        batch.extend(done.stored);
        Ok(())
    }

    /// A capture whose log was given up can no longer be measured: what an earlier revision measured of it stays.
    async fn with_former(&self, mut analysis: Analysis) -> Result<Analysis, Error> {
        let is_gone = |id: CaptureId| {
            let audio =
                self.captures.iter().find(|capture| capture.id == id).and_then(|capture| capture.audio.as_ref());
            audio.is_some_and(Audio::is_gone)
        };
        let attempt = self.captures.first().map_or(1, |capture| capture.attempt);
        for mine in analysis.captures.iter_mut().filter(|levels| is_gone(levels.capture)) {
            for revision in (1..self.revision).rev() {
                let key = self.recording.prefix.analysis(attempt, revision);
                let Some(bytes) = self.jobs.objects.find(&key).await? else { continue };
                let former = Analysis::from_bytes(&bytes).into_iter().flat_map(|former| former.captures);
                if let Some(former) = former.into_iter().find(|former| former.capture == mine.capture) {
                    *mine = former;
                    break;
                }
            }
        }
        Ok(analysis)
    }

    /// Notes which segments are stored; false when the revision is no longer the current one.
    async fn note(&self, batch: &mut Vec<StoredSegment>) -> Result<bool, Error> {
        if batch.is_empty() {
            return Ok(true);
        }
        let (id, revision, now) = (self.recording.id, self.revision, self.jobs.clock.now());
        let is_current = self.jobs.store.segments_stored(id, &rendering::aac_id(), revision, batch, now).await?;
        batch.clear();
        Ok(is_current)
    }

    async fn finish(&self, mut analysis: Analysis, claim: &Claim) -> Result<(), Error> {
        let (jobs, recording) = (self.jobs, &self.recording);
        for measured in &mut analysis.captures {
            // What was not decoded has no peaks; where some was, the rest is missing.
            if !self.is_at_once(measured.capture) {
                measured.peaks.clear();
            }
        }
        let mut analysis = self.with_former(analysis).await?;
        let measured = Measured::of(&jobs.assembly, recording, &self.captures).await?;
        measured.listen(&mut analysis).await?;
        let attempt = self.captures.first().map_or(1, |capture| capture.attempt);
        let key = recording.prefix.analysis(attempt, self.revision);
        jobs.objects.put(recording, Purpose::Analysis, &key, analysis.to_bytes()).await?;
        let transcripts = measured.align(&analysis).await?;
        let rendered = RenderedRevision {
            recording: recording.id,
            revision: self.revision,
            analysis: key,
            transcripts,
            now: jobs.clock.now(),
        };
        jobs.store.finish_render(&rendered, &claim.lease).await?;
        unneeded::at_once(jobs).await;
        tracing::info!(recording = %recording.id, revision = self.revision, "a recording is measured whole");
        Ok(())
    }
}

fn is_silent(segment: &Segment, renderer: Option<&CaptureRenderer>) -> bool {
    renderer.is_some_and(|renderer| renderer.is_silent(segment.capture_index))
}
