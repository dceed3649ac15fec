//! The tables that say which streams there are: PAT and PMT (ISO/IEC 13818-1, section 2.4.4).

use super::packet::Packet;
use crate::crc;

/// The longest section of these tables, in bytes (sections 2.4.4.5 and 2.4.4.9).
const LONGEST: usize = 1024;
/// The shortest: its header and checksum.
const SHORTEST: usize = 12;
/// What fills up a packet after its last section.
const STUFFING: u8 = 0xff;

/// A stream, as the PMT announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Its PID.
    pub pid: u16,
    /// Its type (table 2-34).
    pub stream_type: u8,
}

/// A program of a PAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its number, not 0.
    pub number: u16,
    /// The PID of its PMT.
    pub pid: u16,
}

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub struct Assembler {
    /// A section that has begun.
    open: Vec<u8>,
}

impl Assembler {
    /// Takes the next packet and passes on each section that ends in it: `None` for one that is damaged.
    pub fn push(&mut self, packet: &Packet<'_>, take: &mut dyn FnMut(Option<&[u8]>)) {
        let Some(payload) = packet.payload else { return };
        if !packet.begins_unit {
            // What comes before the first beginning is the end of something that began earlier.
            if !self.open.is_empty() {
                self.open.extend_from_slice(payload);
                self.close(take);
            }
            return;
        }
        let after = &payload[1..];
        let Some((end, begin)) = after.split_at_checked(usize::from(payload[0])) else {
            self.open.clear();
            return take(None);
        };
        if !self.open.is_empty() {
            self.open.extend_from_slice(end);
            self.close(take);
            if !self.open.is_empty() {
                take(None);
            }
        }
        self.open.clear();
        self.open.extend_from_slice(begin);
        self.close(take);
    }

    /// Passes on what is whole.
    fn close(&mut self, take: &mut dyn FnMut(Option<&[u8]>)) {
        while let [id, high, low, ..] = self.open[..] {
            let length = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
            if id == STUFFING {
                break;
            }
            if length > LONGEST {
                take(None);
                return self.open.clear();
            }
            if self.open.len() < length {
                return;
            }
            let section = &self.open[..length];
            take(Some(section).filter(|section| is_whole(section)));
            self.open.drain(..length);
        }
        if self.open.first().is_none_or(|byte| *byte == STUFFING) {
            self.open.clear();
        }
    }
}

/// Whether a section has the long form and its checksum is right.
fn is_whole(section: &[u8]) -> bool {
    section.len() >= SHORTEST && section[1] & 0x80 != 0 && crc::update(u32::MAX, section) == 0
}

/// Whether a section of this table is in force (`current_next_indicator`); its number follows the length.
fn content(section: &[u8], table: u8) -> Option<&[u8]> {
    (section[0] == table && section[5] & 1 == 1).then(|| &section[8..section.len() - 4])
}

/// The programs of a PAT (section 2.4.4.3); `None` when the section is none that is in force.
pub fn programs(section: &[u8]) -> Option<Vec<Program>> {
    let entry = |entry: &[u8; 4]| Program {
        number: u16::from_be_bytes([entry[0], entry[1]]),
        pid: u16::from_be_bytes([entry[2] & 0x1f, entry[3]]),
    };
    let entries = content(section, 0)?.as_chunks().0;
    // Number 0 is where the network is described.
    Some(entries.iter().map(entry).filter(|program| program.number != 0).collect())
}

/// The streams of a program's PMT (section 2.4.4.8); `None` when the section is none of it that is in force.
pub fn streams(section: &[u8], program: Program) -> Option<Vec<Announced>> {
    let content = content(section, 2).filter(|_| section[3..5] == program.number.to_be_bytes())?;
    let skip = |bytes: &[u8]| Some(usize::from(u16::from_be_bytes([*bytes.first()? & 0x0f, *bytes.get(1)?])));
    let mut rest = content.get(4 + skip(content.get(2..)?)?..)?;
    let mut streams = Vec::new();
    while let [stream_type, high, low, info @ ..] = rest {
        streams.push(Announced { pid: u16::from_be_bytes([high & 0x1f, *low]), stream_type: *stream_type });
        rest = info.get(2 + skip(info)?..)?;
    }
    Some(streams)
}
