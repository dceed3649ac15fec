//! Gives up rendered segments that were kept for `rendering.keep`: they are rendered again when somebody asks for them.
//!
//! The playlist goes back to our own route first. The objects stay for as long as an address may be used that was given out before: a segment
//! that answers 404 ends a player for good.

use echosphere_domain::master::Master;
use echosphere_domain::recording::{Audio, Capture, Recording};

use super::{Error, Jobs};
use crate::config::RenderWhen;
use crate::playback::url_life;
use crate::rendering::aac_id;

/// Recordings that are looked through per query.
const BATCH: u32 = 100;

/// Gives up what is old enough, and can be rendered again.
pub(super) async fn give_up(jobs: &Jobs) -> Result<(), Error> {
    if jobs.config.render_when == RenderWhen::Always {
        return Ok(());
    }
    let before = jobs.clock.now().before(jobs.config.render_keep);
    let mut after = None;
    loop {
        let found = jobs.store.with_old_segments(before, after, BATCH).await?;
        let Some((_, last)) = found.last() else { return Ok(()) };
        after = Some(*last);
        for (project, id) in found {
            if jobs.stop.is_cancelled() {
                return Ok(());
            }
            let Some((recording, captures)) = jobs.store.recording(&project, id).await? else { continue };
            let given_up = give_up_of(jobs, &recording, &captures).await?;
            if given_up > 0 {
                metrics::counter!("echosphere_segments_given_up_total").increment(given_up);
                tracing::info!(recording = %id, segments = given_up, "segments that were rendered long ago are given up");
            }
        }
    }
}

async fn give_up_of(jobs: &Jobs, recording: &Recording, captures: &[Capture]) -> Result<u64, Error> {
    let is_renderable = |audio: &Audio| matches!(audio.master, Master::Ogg(_) | Master::Log { is_gone: false, .. });
    let renderable = captures.iter().filter(|capture| capture.audio.as_ref().is_some_and(is_renderable));
    let renderable: Vec<_> =
        renderable.filter(|capture| !jobs.config.renders_at_once(capture.source)).map(|capture| capture.id).collect();
    if renderable.is_empty() {
        return Ok(0);
    }
    let now = jobs.clock.now();
    let gone = now.after(url_life(jobs.config.url_ttl, recording.duration));
    let before = now.before(jobs.config.render_keep);
    Ok(jobs.store.give_up_segments(recording.id, &aac_id(), &renderable, before, gone).await?)
}
