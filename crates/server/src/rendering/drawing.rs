//! Draws a waveform when somebody looks at it for the first time: its peaks take decoding the whole sound, and most recordings are never
//! looked at. It is kept with what else was measured.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::Segment;
use echosphere_media::grid::TICKS_PER_FRAME;
use echosphere_media::render::Window;
use echosphere_store::Purpose;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::capture_renderer::CaptureRenderer;
use super::error::Error;
use super::{Analysis, CaptureAnalysis, Priority, Rendering};

/// How far a waveform is drawn.
#[derive(Debug, Default)]
struct Progress {
    all: AtomicUsize,
    done: AtomicUsize,
}

/// The waveforms that are being drawn.
#[derive(Debug, Default)]
pub struct Drawings {
    under_way: Mutex<HashMap<RecordingId, Arc<Progress>>>,
}

impl Drawings {
    fn under_way(&self) -> MutexGuard<'_, HashMap<RecordingId, Arc<Progress>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rendering {
    /// Begins to draw a recording's waveform, into what was measured of it (`key`), unless it is being drawn; returns how much of it is, from 0
    /// to 1.
    pub fn draw(&self, recording: Recording, captures: Vec<Capture>, key: ObjectKey) -> f64 {
        let mut under_way = self.drawings.under_way();
        if let Some(progress) = under_way.get(&recording.id) {
            let all = progress.all.load(Ordering::Relaxed).max(1);
            return progress.done.load(Ordering::Relaxed) as f64 / all as f64;
        }
        let progress = Arc::new(Progress::default());
        under_way.insert(recording.id, Arc::clone(&progress));
        let rendering = self.clone();
        tokio::spawn(async move {
            if let Err(error) = rendering.drawn(&recording, &captures, &key, &progress).await {
                tracing::warn!(recording = %recording.id, %error, "a waveform cannot be drawn now; who looks at it next begins anew");
            }
            rendering.drawings.under_way().remove(&recording.id);
        });
        0.0
    }

    async fn drawn(
        &self,
        recording: &Recording,
        captures: &[Capture],
        key: &ObjectKey,
        progress: &Progress,
    ) -> Result<(), Error> {
        let segments = self.store.segment_index(recording.id).await?;
        progress.all.store(segments.len(), Ordering::Relaxed);
        let renderers = self.renderers_in_blocks(recording, captures).await?;
        let (mut waiting, mut windows) = (segments.iter(), FuturesOrdered::new());
        let mut drawn: HashMap<CaptureId, CaptureAnalysis> = HashMap::new();
        for segment in &segments {
            while windows.len() < self.pool.workers().max(1)
                && let Some(next) = waiting.next()
            {
                windows.push_back(self.window(next, renderers.get(&next.capture)));
            }
            let Some(window) = windows.next().await else { break };
            let frames = segment.duration.ticks().unsigned_abs() / TICKS_PER_FRAME;
            let capture = drawn.entry(segment.capture).or_insert_with(|| CaptureAnalysis::new(segment.capture));
            capture.push(&window?, frames as usize);
            progress.done.fetch_add(1, Ordering::Relaxed);
        }
        let Some(mut analysis) = Analysis::from_bytes(&self.objects.get(key).await?) else { return Ok(()) };
        for capture in &mut analysis.captures {
            if let Some(drawn) = drawn.remove(&capture.capture) {
                capture.peaks = drawn.peaks;
            }
        }
        Ok(self.objects.put(recording, Purpose::Analysis, key, analysis.to_bytes()).await?)
    }

    /// What is heard of a segment; nothing where it is lost, or silent.
    async fn window(&self, segment: &Segment, renderer: Option<&CaptureRenderer>) -> Result<Window, Error> {
        let Some(renderer) = renderer.filter(|renderer| renderer.is_heard_in(segment)) else {
            return Ok(Window::default());
        };
        match renderer.measure(self, Priority::Background, segment.capture_index).await {
            Err(Error::MasterLost(_)) => Ok(Window::default()),
            measured => measured,
        }
    }
}
