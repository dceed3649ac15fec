//! Makes a renderer for a capture from what is stored of it, and caches those that were used last.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use echosphere_domain::id::CaptureId;
use echosphere_domain::master::Master;
use echosphere_domain::recording::{Audio, Capture, Recording};
use echosphere_media::ogg::OpusIndex;
use echosphere_recorder::sound::Index;

use super::Rendering;
use super::capture_renderer::{CaptureRenderer, channel_map};
use super::kept::Kept;
use crate::error::Error;

/// How many captures' indexes are kept in memory: one of an hour has about 90 KB.
const KEPT: usize = 32;
/// How much they may take all together, in bytes.
const KEPT_BYTES: usize = 32 << 20;

/// The renderers of the captures that were rendered last.
#[derive(Default)]
pub struct RenderCache {
    /// Each with the size of its index in bytes.
    recent: Mutex<VecDeque<(CaptureId, CaptureRenderer, usize)>>,
}

impl RenderCache {
    /// The renderer of a capture, if there is one for this sound: the capture's may have changed since.
    fn get(&self, capture: CaptureId, audio: &Audio) -> Option<CaptureRenderer> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().find(|(id, renderer, _)| *id == capture && renderer.audio() == audio);
        known.map(|(_, renderer, _)| renderer.clone())
    }

    fn insert(&self, capture: CaptureId, renderer: &CaptureRenderer, size: usize) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(id, ..)| *id != capture);
        recent.truncate(KEPT - 1);
        recent.push_front((capture, renderer.clone(), size));
        while recent.len() > 1 && recent.iter().map(|(.., size)| size).sum::<usize>() > KEPT_BYTES {
            recent.pop_back();
        }
    }
}

impl Rendering {
    /// The renderer of a capture; `None` when it has no sound (any more). Its side gaps are filled from others of these captures.
    pub async fn renderer(
        &self,
        recording: &Recording,
        captures: &[Capture],
        capture: &Capture,
    ) -> Result<Option<CaptureRenderer>, Error> {
        let Some(audio) = &capture.audio else { return Ok(None) };
        if let Some(renderer) = self.cache.get(capture.id, audio) {
            return Ok(Some(renderer));
        }
        let Some(bytes) = self.store.audio_index(capture.id).await? else { return Ok(None) };
        let corrupt = |reason: String| echosphere_store::Error::Corrupt {
            row: format!("captures.audio_index of {}", capture.id),
            reason,
        };
        let Some(kept) = Kept::of(recording, capture) else { return Ok(None) };
        let renderer = if let Master::Log { .. } = audio.master {
            let index =
                Index::from_bytes(&bytes).ok_or_else(|| corrupt("not the index of a capture log".to_owned()))?;
            let fills = self.filling(recording, captures, audio).await?;
            CaptureRenderer::log(audio.clone(), kept, index, fills)
        } else {
            let index = OpusIndex::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))?;
            CaptureRenderer::ogg(audio.clone(), kept, index, channel_map(capture.source))
        };
        self.cache.insert(capture.id, &renderer, bytes.len());
        Ok(Some(renderer))
    }

    /// The renderers of those captures that have sound, for who goes through all of it.
    pub async fn renderers_in_blocks(
        &self,
        recording: &Recording,
        captures: &[Capture],
    ) -> Result<HashMap<CaptureId, CaptureRenderer>, Error> {
        let mut renderers = HashMap::new();
        for capture in captures {
            if let Some(renderer) = self.renderer(recording, captures, capture).await? {
                renderers.insert(capture.id, renderer.in_blocks());
            }
        }
        Ok(renderers)
    }

    /// The captures that fill the side gaps of a sound.
    async fn filling(
        &self,
        recording: &Recording,
        captures: &[Capture],
        audio: &Audio,
    ) -> Result<Vec<(CaptureId, CaptureRenderer)>, Error> {
        let mut filling = Vec::new();
        for other in captures.iter().filter(|other| audio.fills.iter().any(|fill| fill.from == other.id)) {
            // A capture that fills has no side gaps itself: this recursion goes no deeper.
            let renderer = Box::pin(self.renderer(recording, captures, other)).await?;
            filling.extend(renderer.map(|renderer| (other.id, renderer)));
        }
        Ok(filling)
    }
}
