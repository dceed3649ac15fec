//! Replaces stretches of a stream with silence: packets are exchanged for silent ones of the same length. Nothing is decoded,
//! nothing moves, and all other packets stay as they are.

use std::ops::Range;

use super::index::{Entry, LONGEST_PACKET, Link, OpusIndex, PRE_ROLL, take_packets};
use super::joiner::Joiner;
use super::opus_packet::duration;
use super::page;

/// What is silenced on either side of a stretch, in samples: a packet carries traces of the one before it (prediction, and the
/// in-band FEC of RFC 6716 section 2.1.7), and the decoder depends on nothing further back than the pre-roll.
const MARGIN: i64 = (PRE_ROLL + LONGEST_PACKET) as i64;
/// A page is closed at this length: a second, in samples.
const PAGE: u32 = 48_000;
/// The serial number of the first link; each has the next one.
const SERIAL: u32 = 1;

/// A silent packet of this many samples, for any decoder and whatever came before: CELT frames that say they are silent. `None`
/// when no packet has that length.
fn silence(samples: u32, channels: u8) -> Option<Vec<u8>> {
    let (config, frame) = [(31_u8, 960_u32), (30, 480), (29, 240), (28, 120)]
        .into_iter()
        .find(|(_, frame)| samples.is_multiple_of(*frame))?;
    let count = u8::try_from(samples / frame).ok().filter(|count| (1..=48).contains(count))?;
    let toc = (config << 3) | if channels == 2 { 4 } else { 0 };
    let mut packet = if count == 1 { vec![toc] } else { vec![toc | 3, count] };
    packet.extend([0xff, 0xfe].repeat(usize::from(count)));
    Some(packet)
}

/// Rewrites a file piece by piece. The caller reads what [`Silencer::wanted`] names, hands it to [`Silencer::take`], and keeps what
/// that and [`Silencer::finish`] return, in order.
#[derive(Debug)]
pub struct Silencer<'i> {
    index: &'i OpusIndex,
    stretches: Vec<Range<i64>>,
    next: usize,
    joiner: Joiner,
    pending: Pending,
    sequence: u32,
    offset: u64,
    entries: Vec<Entry>,
    /// The links that have begun.
    links: Vec<Link>,
    out: Vec<u8>,
}

/// The page that is being filled.
#[derive(Debug, Default)]
struct Pending {
    start: i64,
    samples: u32,
    lacing: Vec<u8>,
    payload: Vec<u8>,
}

impl<'i> Silencer<'i> {
    /// Silences stretches, in samples of the media timeline, and a margin around each.
    pub fn new(index: &'i OpusIndex, stretches: &[Range<i64>]) -> Self {
        let wider = |stretch: &Range<i64>| stretch.start.saturating_sub(MARGIN)..stretch.end.saturating_add(MARGIN);
        Self {
            index,
            stretches: stretches.iter().map(wider).collect(),
            next: 0,
            joiner: Joiner::default(),
            pending: Pending::default(),
            sequence: 0,
            offset: 0,
            entries: Vec::new(),
            links: Vec::new(),
            out: Vec::new(),
        }
    }

    /// The bytes of the file that are needed next; `None` at its end.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let entry = self.index.entries.get(self.next)?;
        Some(entry.offset..entry.offset + u64::from(entry.length))
    }

    /// Takes the bytes that were wanted; returns the next bytes of the new file. Bytes that are not pages are left out.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(entry) = self.index.entries.get(self.next) else { return Vec::new() };
        self.begin_links();
        self.next += 1;
        if bytes.len() == entry.length as usize {
            let mut joiner = std::mem::take(&mut self.joiner);
            take_packets(bytes, entry, &mut joiner, |start, samples, data| self.packet(start, samples, data));
            self.joiner = joiner;
        }
        std::mem::take(&mut self.out)
    }

    /// The last bytes of the new file, and its index: that of the old one, with the new places.
    pub fn finish(mut self) -> (Vec<u8>, OpusIndex) {
        self.begin_links();
        self.flush(true);
        let index = OpusIndex { entries: self.entries, links: self.links, ..self.index.clone() };
        (self.out, index)
    }

    /// Ends the links that are over, and begins those that the next entry is in or after.
    fn begin_links(&mut self) {
        while let Some(link) = self.index.links.get(self.links.len()).filter(|link| link.first_entry <= self.next) {
            self.flush(true);
            self.links.push(Link { first_entry: self.entries.len(), ..link.clone() });
            self.joiner = Joiner::default();
            self.sequence = 0;
            self.headers(link);
        }
    }

    fn packet(&mut self, start: i64, samples: u32, data: &[u8]) {
        let end = start + i64::from(samples);
        let is_silenced = self.stretches.iter().any(|stretch| start < stretch.end && end > stretch.start);
        let channels = self.links.last().map_or(2, |link| link.head.channels);
        let data = if is_silenced { silence(samples, channels) } else { Some(data.to_vec()) };
        // A packet that does not fit on a page is damage.
        let Some(data) = data.filter(|data| data.len() < 254 * 255) else { return };
        let pending = &self.pending;
        let is_next = pending.start + i64::from(pending.samples) == start;
        let is_full = pending.samples >= PAGE || pending.lacing.len() + data.len() / 255 + 1 > 255;
        if !pending.lacing.is_empty() && (is_full || !is_next) {
            self.flush(false);
        }
        let pending = &mut self.pending;
        if pending.lacing.is_empty() {
            pending.start = start;
        }
        pending.samples += duration(&data).unwrap_or(0);
        pending.lacing.extend(std::iter::repeat_n(255, data.len() / 255));
        pending.lacing.push((data.len() % 255) as u8);
        pending.payload.extend(data);
    }

    fn flush(&mut self, last: bool) {
        let page = std::mem::take(&mut self.pending);
        let Some(link) = self.links.last().filter(|_| !page.lacing.is_empty()) else { return };
        let end = page.start + i64::from(page.samples);
        // End trimming (RFC 7845 section 4.4).
        let end = if last { end.min(link.heard().end) } else { end };
        let granule = end.saturating_sub(link.heard().start).saturating_add(i64::from(link.head.pre_skip));
        let length = self.page(if last { 4 } else { 0 }, granule.max(0), &page.lacing, &page.payload);
        self.entries.push(Entry { offset: self.offset, length, start: page.start, samples: page.samples });
        self.offset += u64::from(length);
    }

    /// The identification and the comment header (RFC 7845 section 5); comments of the old file are not copied.
    fn headers(&mut self, link: &Link) {
        let head = link.head;
        let mut id = b"OpusHead\x01".to_vec();
        id.push(head.channels);
        id.extend(head.pre_skip.to_le_bytes());
        id.extend(48_000_u32.to_le_bytes());
        id.extend(head.gain.to_le_bytes());
        id.push(0);
        let comment = b"OpusTags\x0a\0\0\0EchoSphere\0\0\0\0";
        for (flags, packet) in [(2, id.as_slice()), (0, comment.as_slice())] {
            let length = self.page(flags, 0, &[packet.len() as u8], packet);
            self.offset += u64::from(length);
        }
    }

    fn page(&mut self, flags: u8, granule: i64, lacing: &[u8], payload: &[u8]) -> u32 {
        let serial = SERIAL.wrapping_add(self.links.len().saturating_sub(1) as u32);
        let page = page::build(flags, granule, serial, self.sequence, lacing, payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.out.extend(&page);
        page.len() as u32
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of stretches that has one")]
mod tests {
    use super::super::testing::{headers, page, seconds};
    use super::super::{IndexBuilder, Packet};
    use super::*;
    use proptest::prelude::*;

    fn index(bytes: &[u8]) -> OpusIndex {
        let mut builder = IndexBuilder::default();
        builder.push(bytes);
        builder.finish().unwrap()
    }

    fn silenced(bytes: &[u8], stretches: &[Range<i64>]) -> (Vec<u8>, OpusIndex) {
        let index = index(bytes);
        let mut silencer = Silencer::new(&index, stretches);
        let mut out = Vec::new();
        while let Some(wanted) = silencer.wanted() {
            out.extend(silencer.take(&bytes[wanted.start as usize..wanted.end as usize]));
        }
        let (rest, index) = silencer.finish();
        out.extend(rest);
        (out, index)
    }

    fn all_packets(index: &OpusIndex, bytes: &[u8]) -> Vec<Packet> {
        let all = -4_000..index.total_samples() as i64;
        let range = index.byte_range(all.clone());
        index.packets(all, &bytes[range.start as usize..range.end as usize])
    }

    /// A tone in packets of `frame` samples with in-band FEC, one packet per page.
    fn tone(seconds: usize, frame: usize) -> Vec<u8> {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Stereo, opus::Application::Voip).unwrap();
        encoder.set_inband_fec(true).unwrap();
        encoder.set_packet_loss_perc(20).unwrap();
        let mut file = headers(3, 312);
        let count = seconds * 48_000 / frame;
        for n in 0..count {
            let pcm: Vec<i16> = (0..frame)
                .flat_map(|at| {
                    let t = (n * frame + at) as f64 / 48_000.0;
                    let value = 9_000.0 * (t * 300.0 * std::f64::consts::TAU).sin();
                    [value as i16, (value * 0.5) as i16]
                })
                .collect();
            let packet = encoder.encode_vec(&pcm, 4_000).unwrap();
            let flags = if n + 1 == count { 4 } else { 0 };
            file.extend(page(flags, ((n + 1) * frame) as i64, 3, n as u32 + 2, &[&packet]));
        }
        file
    }

    fn loudness(index: &OpusIndex, bytes: &[u8], range: Range<i64>) -> f64 {
        let mut decoder = opus::Decoder::new(48_000, opus::Channels::Stereo).unwrap();
        let mut pcm = vec![0_i16; 2 * 5_760];
        let (mut sum, mut count) = (0.0, 0);
        for packet in all_packets(index, bytes) {
            let decoded = decoder.decode(&packet.data, &mut pcm, false).unwrap();
            for at in 0..decoded {
                if range.contains(&(packet.start + at as i64)) {
                    sum += f64::from(pcm[2 * at]).powi(2);
                    count += 1;
                }
            }
        }
        (sum / f64::from(count.max(1))).sqrt()
    }

    #[test]
    fn a_stretch_is_silent_and_all_else_is_what_it_was() {
        for frame in [120, 480, 960, 2_880] {
            let bytes = tone(4, frame);
            let before = index(&bytes);
            let (new, after) = silenced(&bytes, &[48_000..96_000]);
            assert_eq!(index(&new).total_samples(), before.total_samples(), "any reader finds the same length");
            assert_eq!(all_packets(&index(&new), &new), all_packets(&after, &new));
            let (old, kept) = (all_packets(&before, &bytes), all_packets(&after, &new));
            assert_eq!(old.len(), kept.len());
            for (old, kept) in old.iter().zip(&kept) {
                assert_eq!((old.start, old.samples), (kept.start, kept.samples));
                let end = old.start + i64::from(old.samples);
                let inside = old.start < 96_000 + MARGIN && end > 48_000 - MARGIN;
                assert_eq!(old.data == kept.data, !inside, "the packet at {}", old.start);
            }
            assert!(loudness(&after, &new, 44_000..100_000) < 1.0);
            assert!(loudness(&after, &new, 4_000..38_000) > 4_000.0);
            assert!(loudness(&after, &new, 120_000..180_000) > 4_000.0);
        }
    }

    #[test]
    fn packets_on_two_pages_and_holes_keep_their_places() {
        let body = include_bytes!("../../../../testdata/agent-sessions/order/body.bin");
        let start = body.windows(4).position(|window| window == b"OggS").unwrap();
        let bytes = &body[start..];
        let before = index(bytes);
        let end = before.total_samples() as i64;
        let (new, after) = silenced(bytes, &[end / 2..end / 2 + 48_000]);
        assert_eq!((after.total_samples(), after.gaps()), (before.total_samples(), before.gaps()));
        let places = |packets: Vec<Packet>| packets.iter().map(|packet| packet.start).collect::<Vec<_>>();
        assert_eq!(places(all_packets(&after, &new)), places(all_packets(&before, bytes)));
        // A second is lost; what follows stays where it was.
        let whole = seconds(7, 0, 0, 5);
        let length = page(0, 0, 7, 2, &[super::super::testing::PACKET; 50]).len();
        let head = headers(7, 0).len();
        let holed = [&whole[..head + length], &whole[head + 2 * length..]].concat();
        let (new, after) = silenced(&holed, &[]);
        assert_eq!(after.gaps(), index(&holed).gaps());
        assert_eq!(index(&new).gaps()[0].start, 48_000);
        assert_eq!(index(&new).total_samples(), 5 * 48_000);
    }

    #[test]
    fn each_link_keeps_its_header_and_its_time() {
        let bytes = [tone(2, 960), seconds(9, 480, 0, 2), tone(1, 480)].concat();
        let before = index(&bytes);
        let (new, after) = silenced(&bytes, &[80_000..120_000]);
        let again = index(&new);
        assert_eq!((again.total_samples(), again.gaps()), (before.total_samples(), before.gaps()));
        assert_eq!(again.links(), after.links());
        let heard = |index: &OpusIndex| index.links().iter().map(Link::heard).collect::<Vec<_>>();
        assert_eq!(heard(&after), heard(&before));
        assert_eq!(all_packets(&again, &new), all_packets(&after, &new));
        let places =
            |packets: Vec<Packet>| packets.iter().map(|packet| (packet.link, packet.start)).collect::<Vec<_>>();
        assert_eq!(places(all_packets(&after, &new)), places(all_packets(&before, &bytes)));
    }

    proptest! {
        #[test]
        fn no_silenced_byte_is_left(from in 0_i64..200_000, length in 0_i64..100_000, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            let mut bytes = seconds(9, 312, 0, 4);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let mut builder = IndexBuilder::default();
            builder.push(&bytes);
            if let Ok(old) = builder.finish() {
                let (new, after) = silenced(&bytes, &[from..from + length]);
                prop_assert_eq!(after.total_samples(), old.total_samples());
                for packet in all_packets(&after, &new) {
                    let inside = packet.start < from + length && packet.start + i64::from(packet.samples) > from;
                    prop_assert!(!inside || packet.data.ends_with(&[0xff, 0xfe]));
                }
            }
        }
    }
}
