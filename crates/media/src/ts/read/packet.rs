//! The packets of a transport stream (ISO/IEC 13818-1, section 2.4.3).

use super::super::{PACKET, SYNC};

/// A packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Its position among all packets, from 0.
    pub number: usize,
    /// Which stream it belongs to.
    pub pid: u16,
    /// Whether a PES packet or a section begins in it.
    pub begins_unit: bool,
    /// The continuity counter, 0 to 15.
    pub counter: u8,
    /// Whether the counter may jump here.
    pub may_jump: bool,
    /// Whether what it carries is scrambled.
    pub is_scrambled: bool,
    /// What it carries; `None` when it carries nothing.
    pub payload: Option<&'a [u8]>,
}

/// What the bytes of a transport stream are.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// A packet whose header cannot be read, with its number.
    Damaged(usize),
    /// Bytes before the packet with this number that belong to none.
    Lost {
        /// The packet's number.
        before: usize,
        /// How many they are.
        length: usize,
    },
    /// The beginning of a packet with which the stream ends.
    Cut {
        /// The packet's number.
        number: usize,
        /// How many bytes are there.
        length: usize,
    },
}

/// All of a stream, in order.
pub fn pieces(stream: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let (mut rest, mut number) = (stream, 0);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if rest[0] != SYNC {
            let length = (1..rest.len()).find(|&at| is_packet(&rest[at..])).unwrap_or(rest.len());
            rest = &rest[length..];
            return Some(Piece::Lost { before: number, length });
        }
        let Some((packet, after)) = rest.split_first_chunk() else {
            let length = std::mem::take(&mut rest).len();
            return Some(Piece::Cut { number, length });
        };
        rest = after;
        number += 1;
        Some(parse(number - 1, packet).map_or(Piece::Damaged(number - 1), Piece::Packet))
    })
}

/// Whether a whole packet begins here that another one follows, or nothing.
fn is_packet(bytes: &[u8]) -> bool {
    bytes[0] == SYNC && bytes.len() >= PACKET && bytes.get(PACKET).is_none_or(|byte| *byte == SYNC)
}

/// Reads a packet's header and adaptation field (sections 2.4.3.2 and 2.4.3.4).
fn parse(number: usize, packet: &[u8; PACKET]) -> Option<Packet<'_>> {
    let has_error = packet[1] & 0x80 != 0;
    let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
    let length = if has_adaptation { 1 + usize::from(packet[4]) } else { 0 };
    let payload = packet.get(4 + length..)?;
    let is_possible = (has_adaptation || has_payload) && !(has_payload && payload.is_empty());
    (is_possible && !has_error).then(|| Packet {
        number,
        pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
        begins_unit: packet[1] & 0x40 != 0,
        counter: packet[3] & 0x0f,
        may_jump: length > 1 && packet[5] & 0x80 != 0,
        is_scrambled: packet[3] & 0xc0 != 0,
        payload: has_payload.then_some(payload),
    })
}
