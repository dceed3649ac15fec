//! Puts the packets of several tracks together into packets of two voices, without decoding them: the agent's and everybody else's,
//! each a stream of its own.
//!
//! Packets cannot be cut, so all of them lie on one grid of 20 ms that begins at media time zero: each goes to the nearest place, up to
//! 10 ms from where it was spoken ([`on_grid`]). What cannot be put together so (two voices on one side at once, frames of more than 20 ms, frames
//! of different kinds within 20 ms) has to be rendered.

mod on_grid;

use std::ops::Range;

pub use self::on_grid::on_grid;

use super::packet::{SILENT, append_silence_of};
use super::{Cut, EDIT, Sample};
use crate::opus_frames::{Frames, is_celt, packet_of_two};
use crate::tracks::Track;

/// How long a packet of two voices lasts, in samples (20 ms).
pub const SLOT: i64 = 960;

/// Where the packets of a window begin and end, in samples of media time: on the grid of packets, but the last window, in which the sound
/// ends (at `end`), has its own end.
pub fn voices_stretch(window: &Range<i64>, end: i64) -> Range<i64> {
    let edge = |moment: i64| (moment + SLOT - 1).div_euclid(SLOT) * SLOT;
    edge(window.start)..if window.end >= end { window.end } else { edge(window.end) }
}

/// How many packets a stretch has.
pub(crate) fn slots(stretch: &Range<i64>) -> i64 {
    (stretch.end - stretch.start + SLOT - 1).max(0) / SLOT
}

/// The packets of a stretch ([`voices_stretch`]) from the tracks that are heard in it, [`on_grid`]. `None` when they cannot be put
/// together, so that the stretch has to be rendered. The first stretch, which begins at zero, has what the edit list hides as well.
pub fn put_together(tracks: &[Track], stretch: &Range<i64>) -> Option<Cut> {
    let left = side(tracks, stretch, 0)?;
    let right = side(tracks, stretch, 1)?;
    let packets = left.iter().zip(&right).map(|(left, right)| {
        let (left, right) = (heard(left.as_ref()), heard(right.as_ref()));
        packet_of_two((left.0, &left.1), (right.0, &right.1))
    });
    Some(voices(packets, stretch))
}

/// The packets of a stretch, one for each of its slots.
pub(crate) fn voices(packets: impl Iterator<Item = Vec<u8>>, stretch: &Range<i64>) -> Cut {
    let mut samples = Vec::new();
    let mut start = stretch.start;
    if start == 0 {
        start = -i64::from(EDIT);
        let silences = |kind| packet_of_two((kind, &[&SILENT]), (kind, &[&SILENT]));
        append_silence_of(&mut samples, u64::from(EDIT), silences);
    }
    let starts = (stretch.start..stretch.end).step_by(SLOT as usize);
    for (data, at) in packets.zip(starts) {
        samples.push(Sample { data, duration: (stretch.end - at).min(SLOT) as u32 });
    }
    Cut { start, samples }
}

/// What is heard of one side in a slot.
#[derive(Debug)]
struct Slot<'t> {
    stream: u32,
    kind: u8,
    is_silent: bool,
    /// The frames, in order; empty where there is none.
    frames: Vec<Option<&'t [u8]>>,
}

/// The slots of a side; `None` when what is heard on it cannot be put into them.
fn side<'t>(tracks: &'t [Track], stretch: &Range<i64>, side: usize) -> Option<Vec<Option<Slot<'t>>>> {
    let count = slots(stretch);
    let mut slots: Vec<Option<Slot<'_>>> = Vec::new();
    slots.resize_with(count as usize, || None);
    let end = stretch.start + count * SLOT;
    for track in tracks.iter().filter(|track| track.channel.sides()[side]) {
        for packet in &track.packets {
            let packet_end = packet.start + i64::from(packet.samples);
            if packet_end <= stretch.start || packet.start >= end {
                continue;
            }
            let Some(frames) = Frames::parse(&packet.data) else { continue };
            let (samples, is_silent) = (i64::from(frames.samples), frames.is_silent());
            if samples > SLOT {
                if is_silent {
                    continue;
                }
                return None;
            }
            let starts = (packet.start..).step_by(samples as usize);
            for (frame, at) in frames.frames.iter().zip(starts).filter(|(_, at)| (stretch.start..end).contains(at)) {
                let slot = &mut slots[((at - stretch.start) / SLOT) as usize];
                let place = (at.rem_euclid(SLOT) / samples) as usize;
                let empty = || Slot {
                    stream: track.stream,
                    kind: frames.kind,
                    is_silent,
                    frames: vec![None; (SLOT / samples) as usize],
                };
                let known = slot.get_or_insert_with(empty);
                let is_same = (known.stream, known.kind) == (track.stream, frames.kind);
                match (known.is_silent, is_silent) {
                    (_, true) if !is_same => continue,
                    (false, false) if !is_same => return None,
                    (true, false) if !is_same || known.frames[place].is_some() => *known = empty(),
                    _ => {}
                }
                // A time that was heard already stays as it is: LiveKit's own silent frames may repeat one.
                known.frames[place].get_or_insert(frame);
                known.is_silent &= is_silent;
            }
        }
    }
    // What a SILK layer lacks of its 20 ms has to be concealed; a CELT frame may be silent.
    let is_whole = |slot: &Slot<'_>| is_celt(slot.kind) || slot.is_silent || slot.frames.iter().all(Option::is_some);
    slots.iter().flatten().all(is_whole).then_some(slots)
}

/// What a packet has of a slot: the kind of its frames, and these; silence where nothing is heard.
fn heard<'t>(slot: Option<&Slot<'t>>) -> (u8, Vec<&'t [u8]>) {
    match slot {
        Some(slot) if slot.frames.iter().all(Option::is_some) || is_celt(slot.kind) => {
            (slot.kind, slot.frames.iter().map(|frame| frame.unwrap_or(&SILENT)).collect())
        }
        Some(_) | None => (0xf8, vec![&SILENT]),
    }
}

#[cfg(test)]
mod tests;
