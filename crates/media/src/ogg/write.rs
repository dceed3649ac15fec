//! Writes packets to an Ogg/Opus file (RFC 3533, RFC 7845), a page at a time and without re-encoding.
//!
//! A page lasts at most a second (RFC 7845 section 6) and is held back until something follows it, because the last page of a
//! stream says that it is the last.

use super::opus_packet::duration;
use super::page::FIXED;
use crate::crc;

/// Samples of a page after which it is closed: one second.
const PAGE_SAMPLES: u64 = 48_000;
/// The most lacing values of a page (RFC 3533 section 6).
const LACING: usize = 255;
/// The vendor string in the comment header.
const VENDOR: &[u8] = b"EchoSphere";

/// What an Ogg/Opus file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The logical stream's number.
    pub serial: u32,
    /// Channels to decode to: 1 or 2.
    pub channels: u8,
    /// Samples of 48 kHz at the beginning that are decoded but not heard.
    pub pre_skip: u16,
    /// `NAME=value` comments (RFC 7845 section 5.2). Those that do not fit on a page are left out.
    pub comments: Vec<String>,
}

/// Writes an Ogg/Opus file. Holds at most one page.
#[derive(Debug)]
pub struct Writer {
    serial: u32,
    sequence: u32,
    /// Samples up to the end of the last packet.
    granule: u64,
    begun_at: u64,
    lacing: Vec<u8>,
    payload: Vec<u8>,
}

impl Writer {
    /// Begins a file: its headers, two pages, are appended to `out`.
    pub fn begin(about: &About, out: &mut Vec<u8>) -> Self {
        let mut writer = Self {
            serial: about.serial,
            sequence: 0,
            granule: 0,
            begun_at: 0,
            lacing: Vec::new(),
            payload: Vec::new(),
        };
        for (flags, header) in [(2, head(about)), (0, tags(&about.comments))] {
            writer.append(&header);
            writer.close(flags, out);
        }
        writer
    }

    /// Samples that were written, pre-skip included: where the next packet goes.
    pub fn granule(&self) -> u64 {
        self.granule
    }

    /// Appends a packet; a page without room for it is closed and appended to `out` first. False, and nothing happens, when it is
    /// not an Opus packet or too long for a page.
    pub fn push(&mut self, packet: &[u8], out: &mut Vec<u8>) -> bool {
        let values = packet.len() / 255 + 1;
        let Some(samples) = duration(packet).map(u64::from).filter(|_| values <= LACING) else { return false };
        let is_full = self.lacing.len() + values > LACING || self.granule + samples - self.begun_at > PAGE_SAMPLES;
        if is_full && !self.lacing.is_empty() {
            self.close(0, out);
        }
        self.append(packet);
        self.granule += samples;
        true
    }

    /// Ends the file.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.close(4, out);
    }

    fn append(&mut self, packet: &[u8]) {
        self.lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.lacing.push((packet.len() % 255) as u8);
        self.payload.extend_from_slice(packet);
    }

    fn close(&mut self, flags: u8, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(b"OggS\0");
        out.push(flags);
        out.extend_from_slice(&self.granule.to_le_bytes());
        out.extend_from_slice(&self.serial.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(self.lacing.len() as u8);
        debug_assert_eq!(out.len() - at, FIXED);
        out.append(&mut self.lacing);
        out.append(&mut self.payload);
        let sum = crc::update(0, &out[at..]);
        out[at + 22..at + 26].copy_from_slice(&sum.to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.begun_at = self.granule;
    }
}

/// The number of a logical stream, from a name: the same name has the same one.
pub fn serial(name: &str) -> u32 {
    crc::update(0, name.as_bytes())
}

fn head(about: &About) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(about.channels.clamp(1, 2));
    head.extend_from_slice(&about.pre_skip.to_le_bytes());
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    // No gain, and the mapping of one stream of one or two channels.
    head.extend_from_slice(&[0, 0, 0]);
    head
}

fn tags(comments: &[String]) -> Vec<u8> {
    let mut room = LACING * 255 - 64 - VENDOR.len();
    let fits = |comment: &&String| {
        let needed = 4 + comment.len();
        let fits = needed <= room;
        room -= if fits { needed } else { 0 };
        fits
    };
    let kept: Vec<&String> = comments.iter().filter(fits).collect();
    let mut tags = b"OpusTags".to_vec();
    let mut text = |bytes: &[u8]| {
        tags.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        tags.extend_from_slice(bytes);
    };
    text(VENDOR);
    let mut list = Vec::new();
    for comment in &kept {
        list.extend_from_slice(&(comment.len() as u32).to_le_bytes());
        list.extend_from_slice(comment.as_bytes());
    }
    tags.extend_from_slice(&(kept.len() as u32).to_le_bytes());
    tags.extend_from_slice(&list);
    tags
}

#[cfg(test)]
mod tests;
