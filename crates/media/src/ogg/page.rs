//! Parses and builds single Ogg pages (RFC 3533 section 6).

use crate::crc;

/// The bytes before the lacing values.
pub const FIXED: usize = 27;
/// The longest page: fixed part, 255 lacing values, 255 bytes for each.
pub const MAX_LEN: usize = FIXED + 255 + 255 * 255;

/// A page in memory.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    bytes: &'a [u8],
}

/// What the bytes at a position are.
#[derive(Debug, Clone, Copy)]
pub enum Parsed<'a> {
    /// A page whose checksum is right.
    Page(Page<'a>),
    /// Perhaps the beginning of a page; more bytes are needed to tell.
    Incomplete,
    /// A page header that claims this many bytes, with a wrong checksum.
    Damaged(usize),
    /// No page begins here.
    NotAPage,
}

/// Finds out whether a page begins at the first of these bytes.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let magic = b"OggS\0";
    let seen = bytes.len().min(magic.len());
    if bytes[..seen] != magic[..seen] {
        return Parsed::NotAPage;
    }
    let Some(&segments) = bytes.get(FIXED - 1) else { return Parsed::Incomplete };
    let payload_at = FIXED + usize::from(segments);
    let Some(lacing) = bytes.get(FIXED..payload_at) else { return Parsed::Incomplete };
    let length = payload_at + lacing.iter().map(|&value| usize::from(value)).sum::<usize>();
    let Some(bytes) = bytes.get(..length) else { return Parsed::Incomplete };
    let page = Page { bytes };
    if page.is_intact() { Parsed::Page(page) } else { Parsed::Damaged(length) }
}

/// Builds a page with its checksum. The lacing values, at most 255, are those of the payload.
pub fn build(flags: u8, granule: i64, serial: u32, sequence: u32, lacing: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut page = Vec::with_capacity(FIXED + lacing.len() + payload.len());
    page.extend(b"OggS\0");
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(serial.to_le_bytes());
    page.extend(sequence.to_le_bytes());
    page.extend([0; 4]);
    page.push(lacing.len() as u8);
    page.extend(lacing);
    page.extend(payload);
    let sum = crc::update(0, &page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

impl<'a> Page<'a> {
    /// The page that these bytes begin with, which was found intact before. `None` if they do not even have the shape of a page.
    pub fn trusted(bytes: &'a [u8]) -> Option<Self> {
        let payload_at = FIXED + usize::from(*bytes.get(FIXED - 1)?);
        let lacing = bytes.get(FIXED..payload_at)?;
        let length = payload_at + lacing.iter().map(|&value| usize::from(value)).sum::<usize>();
        Some(Self { bytes: bytes.get(..length)? })
    }

    /// The pages in these bytes, up to where they no longer have the shape of a page.
    pub fn all(bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let page = Self::trusted(&bytes[at..])?;
            at += page.len();
            Some(page)
        })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds any byte of a packet.
    pub fn has_payload(&self) -> bool {
        self.bytes.len() > FIXED + usize::from(self.bytes[FIXED - 1])
    }

    /// Whether the first packet is the rest of one that began on an earlier page.
    pub fn is_continued(&self) -> bool {
        self.bytes[5] & 1 != 0
    }

    /// Whether its logical stream begins here.
    pub fn begins_stream(&self) -> bool {
        self.bytes[5] & 2 != 0
    }

    /// Whether its logical stream ends here.
    pub fn ends_stream(&self) -> bool {
        self.bytes[5] & 4 != 0
    }

    /// The granule position: for Opus, samples of 48 kHz up to the end of the last packet that ends here; -1 when none does.
    pub fn granule(&self) -> i64 {
        i64::from_le_bytes(self.array(6))
    }

    /// The logical stream that it belongs to.
    pub fn serial(&self) -> u32 {
        u32::from_le_bytes(self.array(14))
    }

    /// Its number within the logical stream.
    pub fn sequence(&self) -> u32 {
        u32::from_le_bytes(self.array(18))
    }

    /// The packets, or parts of packets, with whether each ends here.
    pub fn pieces(&self) -> impl Iterator<Item = (&'a [u8], bool)> + use<'a> {
        let payload_at = FIXED + usize::from(self.bytes[FIXED - 1]);
        let lacing = &self.bytes[FIXED..payload_at];
        let payload = &self.bytes[payload_at..];
        let (mut value_at, mut at) = (0, 0);
        std::iter::from_fn(move || {
            let begin = at;
            loop {
                let Some(&value) = lacing.get(value_at) else {
                    // The values ended with 255: the packet continues on the next page.
                    return (at > begin).then(|| (&payload[begin..at], false));
                };
                value_at += 1;
                at += usize::from(value);
                if value < 255 {
                    return Some((&payload[begin..at], true));
                }
            }
        })
    }

    fn is_intact(&self) -> bool {
        let sum = crc::update(0, &self.bytes[..22]);
        let sum = crc::update(sum, &[0; 4]);
        crc::update(sum, &self.bytes[26..]) == u32::from_le_bytes(self.array(22))
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[at..at + N]);
        array
    }
}
