//! Reads the spooled body of an upload: its parts, header, chat history, and the index of its sound. Blocking; bounded memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::earlier;
use echosphere_livekit::session_upload::chat_history::{self, ChatHistory};
use echosphere_livekit::session_upload::header::{self, Header};
use echosphere_livekit::session_upload::multipart::{Lengths, Part, Scan, Scanner};
use echosphere_livekit::session_upload::{AUDIO, CHAT_HISTORY, HEADER};
use echosphere_media::ogg::{self, IndexBuilder, OpusIndex};

use super::sound_ahead::SoundAhead;

/// A header larger than this is taken as missing.
const MAX_HEADER: u64 = 4 << 20;
/// Bytes of a chat history that are read.
const MAX_CHAT: u64 = 64 << 20;
/// How much longer than it says a session may be, in samples: 10 s.
const SLACK: u64 = 10 * 48_000;
/// Bytes read from the file at a time.
const PIECE: usize = 512 << 10;

/// The sound of a body.
pub struct SoundPart {
    /// Its first byte in the body.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its index, or why there is none.
    pub index: Result<OpusIndex, ogg::Error>,
}

/// What a body contains.
pub struct Body {
    /// Whether every part, and the end of the body, came.
    pub closed: bool,
    /// The header, why it cannot be read, or `None` when none came whole.
    pub header: Option<Result<Header, header::Error>>,
    /// The chat history, as far as it came.
    pub chat: Option<ChatHistory>,
    /// The sound, as far as it came.
    pub sound: Option<SoundPart>,
}

/// Reads a spooled body. `received_at` is when it began to come, `ahead` what was found of its sound meanwhile.
pub fn read(path: &Path, content_type: &str, received_at: WallTime, ahead: Option<SoundAhead>) -> io::Result<Body> {
    let mut file = File::open(path)?;
    let mut scan = scan(&mut file, content_type, Lengths::Believed)?;
    if !scan.closed {
        // Cut, or a length was wrong; in the first case the second look finds the same.
        scan = self::scan(&mut file, content_type, Lengths::Ignored)?;
    }
    let header = match find(&scan, HEADER).filter(|part| part.complete && part.length <= MAX_HEADER) {
        Some(part) => Some(Header::parse(&content(&mut file, part, MAX_HEADER)?)),
        None => None,
    };
    let chat = match find(&scan, CHAT_HISTORY) {
        Some(part) => {
            let mut chat = chat_history::parse_from(&mut Section::new(&mut file, part, MAX_CHAT))?;
            chat.damaged |= !part.complete || part.length > MAX_CHAT;
            Some(chat)
        }
        None => None,
    };
    let sound = match find(&scan, AUDIO).filter(|part| part.length > 0) {
        Some(part) => {
            let longest = longest(header.as_ref(), received_at);
            let builder = match ahead.and_then(|ahead| ahead.built(part.offset, part.length)) {
                Some(builder) => builder,
                None => index(&mut file, part)?,
            };
            let index = builder.finish_within(longest);
            Some(SoundPart { offset: part.offset, length: part.length, index })
        }
        None => None,
    };
    let mut chat = chat;
    if let Some(chat) = &mut chat {
        let has_sound = sound.as_ref().is_some_and(|sound| sound.index.is_ok());
        let began = header.as_ref().and_then(|header| header.as_ref().ok()?.start_time).filter(|_| has_sound);
        earlier::mark(&mut chat.transcript.turns, began);
    }
    Ok(Body { closed: scan.closed, header, chat, sound })
}

/// The header of a spooled body, if it came whole and can be read.
pub fn read_header(path: &Path, content_type: &str) -> io::Result<Option<Header>> {
    header_of(&mut File::open(path)?, content_type)
}

/// The header in the beginning of a body, if it is there whole and can be read.
pub fn header_of(body: &mut (impl Read + Seek), content_type: &str) -> io::Result<Option<Header>> {
    let scan = scan(body, content_type, Lengths::Believed)?;
    let Some(part) = find(&scan, HEADER).filter(|part| part.complete && part.length <= MAX_HEADER) else {
        return Ok(None);
    };
    Ok(Header::parse(&content(body, part, MAX_HEADER)?).ok())
}

/// The part of that name; of several, the first whole one, or else the first.
fn find<'s>(scan: &'s Scan, name: &str) -> Option<&'s Part> {
    let named = || scan.parts.iter().filter(|part| part.name == name);
    named().find(|part| part.complete).or_else(|| named().next())
}

fn scan(file: &mut (impl Read + Seek), content_type: &str, lengths: Lengths) -> io::Result<Scan> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut scanner = Scanner::new(content_type, lengths);
    let mut bytes = Vec::new();
    while let Some(wanted) = scanner.wanted(size) {
        file.seek(SeekFrom::Start(wanted.start))?;
        bytes.clear();
        if file.by_ref().take(wanted.end - wanted.start).read_to_end(&mut bytes)? == 0 {
            break;
        }
        scanner.push(&bytes);
    }
    Ok(scanner.finish())
}

/// A part of a body, to be read piece by piece.
struct Section<'f> {
    file: &'f mut File,
    begin: u64,
    length: u64,
    at: u64,
}

impl<'f> Section<'f> {
    fn new(file: &'f mut File, part: &Part, limit: u64) -> Self {
        Self { file, begin: part.offset, length: part.length.min(limit), at: 0 }
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.length - self.at).unwrap_or(usize::MAX));
        let count = self.file.read(&mut buffer[..most])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Section<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        let at = at.ok_or(io::ErrorKind::InvalidInput)?.min(self.length);
        self.file.seek(SeekFrom::Start(self.begin + at))?;
        self.at = at;
        Ok(at)
    }
}

fn content(file: &mut (impl Read + Seek), part: &Part, limit: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(part.offset))?;
    let mut bytes = Vec::new();
    file.take(part.length.min(limit)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How long the sound may be, in samples, when part of it is only claimed: as long as the session says it was, else no longer than
/// the time since it began, and in both cases [`SLACK`] longer.
fn longest(header: Option<&Result<Header, header::Error>>, received_at: WallTime) -> u64 {
    let Some(Ok(header)) = header else { return ogg::LONGEST };
    // If it began after it was received, the clocks disagree, and the time between says nothing.
    let since = |start: WallTime| u64::try_from(received_at.since(start)).ok().map(|nanos| nanos / 1_000_000);
    let millis = header.duration_ms.or_else(|| since(header.start_time?));
    millis.map_or(ogg::LONGEST, |millis| millis.saturating_mul(48).saturating_add(SLACK))
}

fn index(file: &mut File, part: &Part) -> io::Result<IndexBuilder> {
    file.seek(SeekFrom::Start(part.offset))?;
    let mut reader = file.take(part.length);
    let mut builder = IndexBuilder::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(builder);
        }
        builder.push(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_a_file_of_its_own() {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        let part = Part { name: String::new(), offset: 2, length: 6, complete: true };
        let mut section = Section::new(&mut file, &part, 5);
        let mut text = String::new();
        section.seek(SeekFrom::Start(0)).unwrap();
        section.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), section.seek(SeekFrom::End(-2)).unwrap()), ("23456", 3));
        text.clear();
        section.read_to_string(&mut text).unwrap();
        assert_eq!(
            (text.as_str(), section.seek(SeekFrom::Start(99)).unwrap(), section.read(&mut [0; 4]).unwrap()),
            ("56", 5, 0)
        );
    }

    #[test]
    fn a_session_is_as_long_as_it_says_or_as_there_was_time() {
        let at = |second: i64| WallTime::from_millis(second * 1_000);
        let of = |header: Header| longest(Some(&Ok(header)), at(1_000)) / 48_000;
        let (start_time, duration_ms) = (Some(at(940)), Some(30_000));
        assert_eq!(of(Header { start_time, duration_ms, ..Header::default() }), 40);
        assert_eq!(of(Header { start_time, ..Header::default() }), 70);
        assert_eq!(of(Header { duration_ms: Some(u64::MAX), ..Header::default() }), u64::MAX / 48_000);
        for unknown in [Header::default(), Header { start_time: Some(at(1_001)), ..Header::default() }] {
            assert_eq!(of(unknown), ogg::LONGEST / 48_000);
        }
        assert_eq!(longest(None, at(0)), ogg::LONGEST);
    }
}
