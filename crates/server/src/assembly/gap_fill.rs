//! Fills side gaps of the recorder's captures with the sound of sessions of the same room.
//!
//! A session has the agent and one user, each on a side of its own. So each side is filled by itself, and only where nobody of that
//! side was heard: anybody else who was on it is then still missing, which the gaps go on saying. Where the sound lies in the
//! session is found by ear ([`offset`]); its clock is another machine's. Nothing moves: the timeline stays, and only grows at its
//! end.

mod offset;

use std::ops::Range;

use echosphere_domain::id::CaptureId;
use echosphere_domain::ranges::{common, joined, without};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Fill, Source as CaptureSource};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Role;
use echosphere_domain::transcript::align::lay;
use echosphere_recorder::sound::{Index, SideGap};

use self::offset::Offset;
use super::Assembly;
use super::alignment::{levels, of_levels};
use super::capture_input::CaptureInput;
use super::missing::{SHORTEST, SHORTEST_END, is_after_end, is_end_filled, media, unfilled};
use crate::redaction::RedactionSpans;
use crate::rendering::{CaptureRenderer, Error};

/// A session that may have what is missing.
struct FillSource {
    capture: CaptureId,
    started_at: WallTime,
    renderer: CaptureRenderer,
    /// What it has itself, in its own samples: neither lost nor in redaction spans.
    has: Vec<Range<i64>>,
}

impl FillSource {
    fn of(input: &CaptureInput, spans: &RedactionSpans) -> Option<Self> {
        let capture = &input.capture;
        let is_kept = matches!(capture.status, CaptureStatus::Complete | CaptureStatus::Partial);
        let renderer = input.renderer.clone().filter(|_| is_kept && capture.source == CaptureSource::Upload)?;
        let started_at = capture.started_at?;
        let sound = 0..i64::try_from(renderer.audio().samples).unwrap_or(i64::MAX);
        let lost = input.gaps.iter().map(|gap| {
            let start = gap.start.as_samples_48k();
            start..start.saturating_add(gap.duration.as_samples_48k())
        });
        let missing = joined(lost.chain(spans.of_sound(started_at)));
        let has = without(&[sound], &missing);
        Some(Self { capture: capture.id, started_at, renderer, has })
    }
}

/// Fills the side gaps of the recorder's captures among `inputs` from the sessions among them, and sets in each input what is still
/// missing and what has to be rendered again. Returns the captures whose sound is another one than before.
pub async fn fill(
    assembly: &Assembly,
    inputs: &mut [CaptureInput],
    spans: &RedactionSpans,
) -> Result<Vec<(CaptureId, Audio)>, Error> {
    let sessions: Vec<FillSource> = inputs.iter().filter_map(|input| FillSource::of(input, spans)).collect();
    let mut changed = Vec::new();
    for input in inputs.iter_mut().filter(|input| has_log(&input.capture)) {
        let (Some(renderer), Some(started_at)) = (input.renderer.clone(), input.capture.started_at) else { continue };
        let (Some(index), Some(audio)) = (renderer.log_index(), input.capture.audio.as_mut()) else { continue };
        let fills = fills(assembly, &renderer, index, started_at, &sessions).await?;
        let differ = audio.fills.iter().filter(|fill| !fills.contains(fill));
        let differ = differ.chain(fills.iter().filter(|fill| !audio.fills.contains(fill)));
        let differ: Vec<Range<MediaTime>> = differ.map(|fill| media(&fill.range())).collect();
        if differ.is_empty() {
            continue;
        }
        input.improved.extend(differ);
        input.gaps = unfilled(index, &fills);
        input.is_end_filled = is_end_filled(index, &fills);
        let end = fills.iter().map(|fill| fill.range().end).max().unwrap_or(0);
        audio.samples = index.samples.max(u64::try_from(end).unwrap_or(0));
        audio.fills = fills;
        changed.push((input.capture.id, audio.clone()));
    }
    Ok(changed)
}

/// Whether a capture is one of the recorder's, and its log is still there.
fn has_log(capture: &Capture) -> bool {
    capture.source == CaptureSource::Recorder && capture.audio.as_ref().is_some_and(Audio::has_log)
}

async fn fills(
    assembly: &Assembly,
    room: &CaptureRenderer,
    index: &Index,
    started_at: WallTime,
    sessions: &[FillSource],
) -> Result<Vec<Fill>, Error> {
    let mut fills: Vec<Fill> = Vec::new();
    for session in sessions {
        // Where the session has what lies at our first sample, as far as clocks can be believed.
        let lag = MediaTime::from_nanos(started_at.since(session.started_at)).as_samples_48k();
        let by_clock = fill_from(assembly, room, index, session, lag, &mut fills).await?;
        if !by_clock && let Some(off) = clock_offset(assembly, room, started_at, session).await? {
            fill_from(assembly, room, index, session, lag - off, &mut fills).await?;
        }
    }
    fills.sort_by_key(|fill| (fill.start, fill.agent));
    Ok(fills)
}

/// By how much a session's clock is off the room's, in samples: found in the whole of both sounds, however much it is.
async fn clock_offset(
    assembly: &Assembly,
    room: &CaptureRenderer,
    started_at: WallTime,
    session: &FillSource,
) -> Result<Option<i64>, Error> {
    let ours = of_levels(started_at, &levels(assembly, room).await?);
    let theirs = of_levels(session.started_at, &levels(assembly, &session.renderer).await?);
    let laid = lay(&theirs, &ours);
    tracing::debug!(session = %session.capture, ?laid, "a session was looked for in the whole of its room");
    Ok(laid.map(|laid| MediaTime::from_nanos(laid.offset(Role::Agent, session.started_at).0).as_samples_48k()))
}

/// Fills what this session has, if it lies there. False when something is to be filled and the session matches at no side gap.
async fn fill_from(
    assembly: &Assembly,
    room: &CaptureRenderer,
    index: &Index,
    session: &FillSource,
    lag: i64,
    fills: &mut Vec<Fill>,
) -> Result<bool, Error> {
    let mut offset = Offset::new(room, index.is_mixed, &session.renderer, lag);
    let (mut is_wanted, mut is_found) = (false, false);
    for side_gap in &index.side_gaps {
        let filled = fills.iter().filter(|fill| fill.agent == side_gap.agent).map(Fill::range);
        let left = without(&[side_gap.range()], &joined(filled));
        is_wanted |= !left.is_empty();
        if left.is_empty() || !session.may_have(side_gap, lag) {
            continue;
        }
        let Some(shift) = offset.near(&assembly.rendering, side_gap).await? else { continue };
        is_found = true;
        let has = session.has.iter().map(|has| has.start.saturating_sub(shift)..has.end.saturating_sub(shift));
        let has: Vec<Range<i64>> = has.collect();
        let parts = common(&left, &has);
        let shortest = if is_after_end(index, side_gap) { SHORTEST_END } else { SHORTEST };
        for part in parts.into_iter().filter(|part| part.end - part.start >= shortest) {
            let (start, samples) = (part.start, part.end - part.start);
            fills.push(Fill { start, samples, agent: side_gap.agent, from: session.capture, at: start + shift });
        }
    }
    Ok(is_found || !is_wanted)
}

impl FillSource {
    /// Whether it was going on about then.
    fn may_have(&self, side_gap: &SideGap, lag: i64) -> bool {
        let from = side_gap.start + lag - offset::WIDEST;
        let to = side_gap.range().end + lag + offset::WIDEST;
        self.has.iter().any(|has| has.start < to && has.end > from)
    }
}
