//! Writes one participant's track as an Ogg/Opus file: the packets received, unchanged, each at its place on the timeline.
//!
//! Sample 0 of what is played of the file is sample 0 of the recording. Where nothing was said or received, packets of silence are
//! inserted: players count samples and do not honour a jump of the granule position. Nothing shorter than 2.5 ms can be inserted
//! and nothing can be cut out of a packet, so packets follow each other until they are [`TOLERANCE`] off; each longer pause
//! realigns them.

use std::collections::BTreeMap;

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
    waiting: BTreeMap<Place, Vec<u8>>,
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
            let is_behind = -gap >= TOLERANCE && -gap * 4 >= length * 3;
            if !is_behind {
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
mod tests {
    use super::*;
    use crate::clock::{Placement, Step};
    use crate::log::Packet;
    use echosphere_media::ogg::{IndexBuilder, OpusIndex};
    use proptest::prelude::*;

    const CODE: [u8; 4] = [0x78, 1, 2, 3];

    fn index(streams: &[(u32, i64)]) -> Index {
        let placed = |&(stream, offset): &(u32, i64)| PlacedStream {
            stream,
            track_sid: "TR_a".to_owned(),
            placement: Some(Placement { steps: vec![Step { from_rtp: i64::MIN, offset }] }),
            ..PlacedStream::default()
        };
        Index { streams: streams.iter().map(placed).collect(), samples: LONGEST as u64, ..Index::default() }
    }

    /// One past the last sample of the last packet, each of which is 20 ms long.
    fn end(index: &Index, chunks: &[Vec<Entry>]) -> i64 {
        let packets = crate::sound::packets(chunks.iter().flatten());
        let ends = packets.filter_map(|packet| index.streams[packet.stream as usize].sample(packet));
        ends.max().unwrap_or(0) + 960
    }

    fn entry(stream: u32, sequence: u64, rtp: u64, payload: Vec<u8>) -> Entry {
        Entry { number: sequence, at: 0, body: Some(Body::Packet(Packet { stream, sequence, rtp, payload })) }
    }

    /// Everything that is played of a file: where each packet that is not silence begins.
    fn read(bytes: &[u8]) -> (OpusIndex, Vec<(i64, Vec<u8>)>) {
        let mut builder = IndexBuilder::default();
        builder.push(bytes);
        let index = builder.finish().unwrap();
        let all = -1_000..index.total_samples() as i64;
        let range = index.byte_range(all.clone());
        let packets = index.packets(all, &bytes[range.start as usize..range.end as usize]);
        let spoken = packets.into_iter().filter(|packet| !SILENCE.iter().any(|(_, silence)| packet.data == silence));
        let spoken = spoken.map(|packet| (packet.start, packet.data)).collect();
        (index, spoken)
    }

    fn write(index: &Index, offset: i64, chunks: Vec<Vec<Entry>>) -> Vec<u8> {
        let mut file = TrackFile::new(index, "TR_a", offset, end(index, &chunks), Vec::new()).unwrap();
        let mut out = Vec::new();
        for chunk in chunks {
            file.take(chunk);
        }
        while file.write(i64::MAX, &mut out) {}
        file.finish(&mut out);
        out
    }

    #[test]
    fn packets_lie_where_the_recording_has_them_over_streams_and_pauses() {
        // Speaks, is silent for 3 s, rejoins with another clock 20 s later.
        let packets = |stream, rtps: std::ops::Range<u64>| {
            rtps.map(move |n| entry(stream, n, n * 960, CODE.to_vec())).collect::<Vec<_>>()
        };
        let index = index(&[(0, 9_617), (1, 1_000_031)]);
        let chunks = vec![packets(0, 0..50), packets(0, 200..250), packets(1, 5..30)];
        let (file, spoken) = read(&write(&index, 0, chunks.clone()));
        assert_eq!(spoken.len(), 125);
        assert_eq!(spoken[0].0, 9_617, "the first packet lies on the sample");
        assert_eq!(spoken[50].0, 9_617 + 200 * 960);
        assert!((spoken[100].0 - (1_000_031 + 5 * 960)).abs() <= UNIT / 2, "{}", spoken[100].0);
        assert!(file.gaps().is_empty(), "filled, not jumped over");
        let (_, moved) = read(&write(&index, 48_000, chunks));
        assert_eq!(moved[0].0, 57_617);
        assert!(TrackFile::new(&index, "TR_b", 0, 0, Vec::new()).is_none());
    }

    #[test]
    fn doubles_late_packets_and_the_servers_own_silence_change_nothing() {
        let index = index(&[(0, 0)]);
        let mut file = TrackFile::new(&index, "TR_a", 0, 9_600, Vec::new()).unwrap();
        let mut out = Vec::new();
        file.take((0..10).map(|n| entry(0, n, n * 960, CODE.to_vec())));
        file.take([entry(0, 3, 3 * 960, CODE.to_vec()), entry(0, 11, 9 * 960, [0xf8, 0xff, 0xfe, 0].to_vec())]);
        assert!(!file.write(8 * 960, &mut out));
        file.take([entry(0, 4, 4 * 960, CODE.to_vec())]);
        while file.write(i64::MAX, &mut out) {}
        file.finish(&mut out);
        let (index, spoken) = read(&out);
        assert_eq!((spoken.len(), index.total_samples()), (10, 9_600));
    }

    #[test]
    fn a_file_is_as_long_as_its_track_and_ends_with_the_recording() {
        let mut index = index(&[(0, 0)]);
        index.samples = 60 * 48_000;
        let written = |until| {
            let mut file = TrackFile::new(&index, "TR_a", 480, until, Vec::new()).unwrap();
            let (mut out, mut most) = (Vec::new(), 0);
            // The last one is after the end of everything.
            file.take([0, 1, 2, 5_000].map(|n| entry(0, n, n * 960, CODE.to_vec())));
            loop {
                let before = out.len();
                let has_more = file.write(i64::MAX, &mut out);
                most = most.max(out.len() - before);
                if !has_more {
                    break;
                }
            }
            file.finish(&mut out);
            assert!(most < 10_000, "{most}");
            let (file, spoken) = read(&out);
            (file.total_samples() as i64 - 480, spoken.len())
        };
        assert_eq!(written(2 * 960), (2 * 960, 2));
        assert_eq!(written(30 * 48_000), (30 * 48_000, 3), "silence to its end");
        assert_eq!(written(i64::MAX), (60 * 48_000, 3));
        // Nobody spoke: silence all the same.
        let mut silent = TrackFile::new(&index, "TR_a", 0, 960, Vec::new()).unwrap();
        let mut out = Vec::new();
        while silent.write(i64::MAX, &mut out) {}
        silent.finish(&mut out);
        assert_eq!(read(&out).0.total_samples(), 960);
    }

    #[test]
    fn a_late_comer_does_not_fill_the_memory() {
        let index = index(&[(0, 3_600 * 48_000)]);
        let mut file = TrackFile::new(&index, "TR_a", 0, 3_600 * 48_000 + 960, Vec::new()).unwrap();
        file.take([entry(0, 0, 0, CODE.to_vec())]);
        let (mut all, mut most) = (Vec::new(), 0);
        loop {
            let mut out = Vec::new();
            let more = file.write(i64::MAX, &mut out);
            most = most.max(out.len());
            all.extend(out);
            if !more {
                break;
            }
        }
        file.finish(&mut all);
        assert!(most < 100_000, "{most}");
        assert_eq!(read(&all).1[0].0, 3_600 * 48_000);
    }

    proptest! {
        /// Clocks drift and packets are lost: every packet that is written is within the tolerance of its place and byte for byte
        /// what was received, and next to none is left out.
        #[test]
        fn a_drifting_clock_never_carries_the_file_away(
            ppm in -300_i64..300, sent in prop::collection::vec(prop::bool::weighted(0.97), 2_000..6_000), offset in 0_i64..5_000,
        ) {
            let steps = (0..sent.len() as i64 / 50).map(|second| {
                let off = second * ppm * 48_000 / 1_000_000 / 120 * 120;
                Step { from_rtp: second * 48_000, offset: 9_600 + off }
            });
            let mut index = index(&[(0, 0)]);
            index.streams[0].placement = Some(Placement { steps: steps.collect() });
            let placement = index.streams[0].placement.clone().unwrap();
            let payload = |n: u64| [&[0x78][..], &n.to_be_bytes()].concat();
            let came: Vec<u64> = sent.iter().enumerate().filter(|(_, sent)| **sent).map(|(n, _)| n as u64).collect();
            let entries = came.iter().map(|&n| entry(0, n, n * 960, payload(n))).collect();
            let (_, spoken) = read(&write(&index, offset, vec![entries]));
            for (start, data) in &spoken {
                let n = u64::from_be_bytes(data[1..].try_into().unwrap());
                let wanted = placement.sample(n * 960).unwrap() + offset;
                prop_assert!((start - wanted).abs() <= TOLERANCE, "packet {n} lies at {start}, not {wanted}");
                prop_assert_eq!(data, &payload(n));
            }
            prop_assert!(came.len() - spoken.len() <= 3, "{} of {}", spoken.len(), came.len());
        }
    }
}
