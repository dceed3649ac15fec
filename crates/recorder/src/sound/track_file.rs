//! Writes one participant's track as an Ogg/Opus file: the packets received, unchanged, each at its place on the timeline.
//!
//! Sample 0 of what is played of the file is sample 0 of the recording. Where nothing was said or received, packets of silence are
//! inserted: players count samples and do not honour a jump of the granule position. Nothing shorter than 2.5 ms can be inserted
//! and nothing can be cut out of a packet, so packets follow each other until they are [`TOLERANCE`] off; each longer pause
//! realigns them.

use std::collections::BTreeMap;

use bytes::Bytes;
use echosphere_media::ogg::{self, About, Writer, packet_duration};

use super::index::{Index, PlacedStream};
use crate::clock::LONGEST;
use crate::log::{Body, Entry};

/// How far a packet may be from its place before silence is inserted or a packet left out, in samples (15 ms).
pub const TOLERANCE: i64 = 720;
/// The least number of samples at 48 kHz that are decoded and not played: the delay of libopus, so that the beginning is not cut.
const PRE_SKIP: i64 = 312;
/// The shortest packet of silence, in samples (2.5 ms).
const UNIT: i64 = 120;
/// The most silence that is written at once, in samples (10 s), so that the file of somebody who joined late is not built in
/// memory.
const AT_ONCE: i64 = 480_000;
/// How many bytes wait for earlier packets that may still arrive; beyond that the earliest are written.
const MAX_WAITING: usize = 8 << 20;
/// Frames of silence: CELT, full band, mono, of 20, 10, 5 and 2.5 ms (RFC 6716 sections 3.1 and 4.3: the silence flag is set).
const SILENCE: [(i64, [u8; 3]); 4] =
    [(960, [0xf8, 0xff, 0xfe]), (480, [0xf0, 0xff, 0xfe]), (240, [0xe8, 0xff, 0xfe]), (UNIT, [0xe0, 0xff, 0xfe])];

/// Where a packet goes: its sample, its stream, its sequence number.
type Place = (i64, u32, u64);

/// Writes one track of a capture log as an Ogg/Opus file, chunk by chunk.
#[derive(Debug)]
pub struct TrackFile {
    streams: Vec<PlacedStream>,
    offset: i64,
    /// The sample of the log at which the track ends.
    until: i64,
    serial: u32,
    comments: Vec<String>,
    waiting: BTreeMap<Place, Bytes>,
    waiting_bytes: usize,
    written: Option<Place>,
    writer: Option<(Writer, i64)>,
}

impl TrackFile {
    /// A file for a track; `None` when the log has no packet of such a track. Sample 0 of the log is sample `offset` of the
    /// recording, and the track ends at sample `until` of the log, or at the end of the recording if that is earlier. `comments`
    /// are `NAME=value`.
    pub fn new(index: &Index, track: &str, offset: i64, until: i64, comments: Vec<String>) -> Option<Self> {
        let until = until.min(i64::try_from(index.samples).unwrap_or(LONGEST));
        let streams: Vec<_> = index.streams.iter().filter(|stream| stream.track_sid == track).cloned().collect();
        (!streams.is_empty()).then(|| Self {
            streams,
            offset,
            until,
            serial: ogg::serial(track),
            comments,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            written: None,
            writer: None,
        })
    }

    /// Takes the entries of the next chunk.
    pub fn take(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            let Some(Body::Packet(packet)) = entry.body else { continue };
            let stream = self.streams.iter().find(|stream| stream.stream == packet.stream);
            let Some(start) = stream.and_then(|stream| stream.sample(&packet)) else { continue };
            let place = (start, packet.stream, packet.sequence);
            // LiveKit's own silence, on mute and close, may be anywhere; without it, the same silence is inserted.
            let is_silence = packet.payload.starts_with(&SILENCE[0].1);
            let is_late = self.written.is_some_and(|written| place <= written);
            let is_outside = start >= self.until || start < -LONGEST;
            if is_silence || is_late || is_outside || packet_duration(&packet.payload).is_none() {
                continue;
            }
            self.waiting_bytes += packet.payload.len();
            let double = self.waiting.insert(place, packet.payload);
            self.waiting_bytes -= double.map_or(0, |double| double.len());
        }
    }

    /// Appends to `out` what is before a sample of the log; true when there is more of it, for which this has to be called again.
    pub fn write(&mut self, before: i64, out: &mut Vec<u8>) -> bool {
        let begun = out.len();
        while let Some((&place, packet)) = self.waiting.first_key_value() {
            if place.0 >= before && self.waiting_bytes <= MAX_WAITING {
                return false;
            }
            if out.len() - begun > 1 << 16 {
                return true;
            }
            let place_in_file = place.0 + self.offset;
            let channels = if packet.first().is_some_and(|toc| toc & 4 != 0) { 2 } else { 1 };
            let length = i64::from(packet_duration(packet).unwrap_or(0));
            let (writer, pre_skip) =
                begin(&mut self.writer, self.serial, &mut self.comments, channels, place_in_file, out);
            let gap = place_in_file + *pre_skip - writer.granule() as i64;
            // The remainder of a gap is filled too, however short.
            if gap >= AT_ONCE + TOLERANCE {
                put_silence(writer, AT_ONCE, out);
                return true;
            }
            if gap >= TOLERANCE || self.written.is_none() {
                put_silence(writer, gap, out);
            }
            // The packet repeats a place that is written, or is so far behind that the file is closer to the truth without it.
            let is_late = -gap >= TOLERANCE && -gap * 4 >= length * 3;
            if !is_late {
                writer.push(packet, out);
            }
            self.waiting_bytes -= packet.len();
            self.written = Some(place);
            self.waiting.pop_first();
        }
        before == i64::MAX && self.fill(out)
    }

    /// Appends silence up to the end of the track, whose length is known from the recording; true when there is more of it.
    fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let end = self.until + self.offset;
        let (writer, pre_skip) = begin(&mut self.writer, self.serial, &mut self.comments, 1, end, out);
        let left = end + *pre_skip - writer.granule() as i64;
        put_silence(writer, left.clamp(0, AT_ONCE), out);
        left > AT_ONCE
    }

    /// Ends the file, after everything was written.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        begin(&mut self.writer, self.serial, &mut self.comments, 1, 0, out);
        if let Some((writer, _)) = self.writer {
            writer.finish(out);
        }
    }
}

/// The writer, started if it was not, and its pre-skip: the samples that are decoded and not played. This is chosen such that
/// silence can fill the file exactly up to sample `first`.
fn begin<'w>(
    writer: &'w mut Option<(Writer, i64)>,
    serial: u32,
    comments: &mut Vec<String>,
    channels: u8,
    first: i64,
    out: &mut Vec<u8>,
) -> &'w mut (Writer, i64) {
    writer.get_or_insert_with(|| {
        let pre_skip = PRE_SKIP + (-first - PRE_SKIP).rem_euclid(UNIT);
        let about = About { serial, channels, pre_skip: pre_skip as u16, comments: std::mem::take(comments) };
        (Writer::begin(&about, out), pre_skip)
    })
}

/// Inserts silence, to the nearest 2.5 ms.
fn put_silence(writer: &mut Writer, samples: i64, out: &mut Vec<u8>) {
    let mut left = (samples + UNIT / 2) / UNIT * UNIT;
    for (length, packet) in SILENCE {
        while left >= length {
            writer.push(&packet, out);
            left -= length;
        }
    }
}

#[cfg(test)]
mod tests;
