//! PES packets: what a stream carries, and when (ISO/IEC 13818-1, section 2.4.3.6).

use super::packet::Packet;
use super::problem::{Kind, Problems};

/// What one PES packet begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Where in the stream's bytes its payload begins.
    pub at: usize,
    /// The number of the packet in which it begins.
    pub packet: usize,
    /// When it is presented, in ticks of 90 kHz modulo 2^33.
    pub pts: Option<u64>,
    /// When it is decoded; the same, where it says nothing else.
    pub dts: Option<u64>,
}

/// Puts a stream together from its packets.
#[derive(Debug)]
pub struct Stream<'a> {
    pid: u16,
    /// Counter and payload of its last packet.
    last: Option<(u8, &'a [u8])>,
    /// The PES packet that has begun, and where.
    open: Option<(usize, Vec<u8>)>,
    /// The payloads, one after another.
    pub bytes: Vec<u8>,
    /// What begins where in them.
    pub units: Vec<Unit>,
}

impl<'a> Stream<'a> {
    /// A stream of which nothing has come yet. HLS allows its counter to begin anywhere.
    pub fn new(pid: u16) -> Self {
        Self { pid, last: None, open: None, bytes: Vec::new(), units: Vec::new() }
    }

    /// Takes the stream's next packet.
    pub fn push(&mut self, packet: &Packet<'a>, problems: &mut Problems) {
        let Some(payload) = packet.payload else { return };
        let last = self.last.replace((packet.counter, payload));
        match last {
            // A packet may be sent twice (section 2.4.3.3).
            Some((counter, before)) if counter == packet.counter && before == payload => return,
            Some((counter, _)) if (counter + 1) & 0x0f != packet.counter && !packet.may_jump => {
                problems.add(packet.number, Kind::PacketsMissing(self.pid));
            }
            _ => {}
        }
        if packet.is_scrambled {
            return problems.add(packet.number, Kind::Scrambled);
        }
        if packet.begins_unit {
            self.close(problems);
            self.open = Some((packet.number, payload.to_vec()));
        } else if let Some((_, pes)) = &mut self.open {
            pes.extend_from_slice(payload);
        }
    }

    /// Ends the PES packet that has begun: another one begins, or the segment ends.
    pub fn close(&mut self, problems: &mut Problems) {
        let Some((packet, pes)) = self.open.take() else { return };
        let Some(header) = Header::parse(&pes) else { return problems.add(packet, Kind::PesDamaged(self.pid)) };
        let end = header.end.unwrap_or(pes.len());
        if end > pes.len() {
            problems.add(packet, Kind::PesCut(self.pid));
        }
        self.units.push(Unit { at: self.bytes.len(), packet, pts: header.pts, dts: header.dts });
        self.bytes.extend_from_slice(&pes[header.length..end.min(pes.len())]);
    }
}

/// The header of a PES packet.
struct Header {
    /// Its length, at most that of what came.
    length: usize,
    /// Where the PES packet ends; `None` when that is not said.
    end: Option<usize>,
    pts: Option<u64>,
    dts: Option<u64>,
}

impl Header {
    fn parse(pes: &[u8]) -> Option<Self> {
        let &[0, 0, 1, _, high, low, marks, flags, length, ..] = pes else { return None };
        let length = 9 + usize::from(length);
        let said = usize::from(u16::from_be_bytes([high, low]));
        let end = (said > 0).then_some(6 + said);
        if marks & 0xc0 != 0x80 || pes.len() < length || end.is_some_and(|end| end < length) {
            return None;
        }
        let fields = &pes[9..length];
        let pts = if flags & 0x80 == 0 { None } else { Some(timestamp(fields)?) };
        let dts = if flags & 0xc0 == 0xc0 { Some(timestamp(fields.get(5..)?)?) } else { pts };
        Some(Self { length, end, pts, dts })
    }
}

/// A timestamp of 33 bits in 5 bytes; its marker bits must be set.
fn timestamp(bytes: &[u8]) -> Option<u64> {
    let bytes: [u64; 5] = bytes.first_chunk::<5>()?.map(u64::from);
    let is_marked = bytes[0] & bytes[2] & bytes[4] & 1 == 1;
    is_marked
        .then_some((bytes[0] >> 1 & 7) << 30 | bytes[1] << 22 | (bytes[2] >> 1) << 15 | bytes[3] << 7 | bytes[4] >> 1)
}
