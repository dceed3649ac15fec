//! What a received body holds: its parts, its header, its chat history, the index of its sound. Blocking; bounded memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use echosphere_livekit::session_upload::chat_history::{self, ChatHistory};
use echosphere_livekit::session_upload::header::{self, Header};
use echosphere_livekit::session_upload::multipart::{Lengths, Part, Scan, Scanner};
use echosphere_media::ogg::{self, IndexBuilder, OpusIndex};

/// A header larger than this is none.
const MAX_HEADER: u64 = 4 << 20;
/// The part of a chat history that is read.
const MAX_CHAT: u64 = 64 << 20;
/// What is read from the file at a time.
const PIECE: usize = 512 << 10;

/// The sound of a body.
pub struct Sound {
    /// Its first byte in the body.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its index, or why there is none.
    pub index: Result<OpusIndex, ogg::Error>,
}

/// What a body holds.
pub struct Body {
    /// Whether every part, and the end of the body, came.
    pub closed: bool,
    /// The header, why it cannot be read, or `None` when none came whole.
    pub header: Option<Result<Header, header::Error>>,
    /// The chat history, as far as it came.
    pub chat: Option<ChatHistory>,
    /// The sound, as far as it came.
    pub sound: Option<Sound>,
}

/// Reads a spooled body.
pub fn read(path: &Path, content_type: &str) -> io::Result<Body> {
    let mut file = File::open(path)?;
    let mut scan = scan(&mut file, content_type, Lengths::Believed)?;
    if !scan.closed {
        // Cut, or a length was wrong; in the first case the second look finds the same.
        scan = self::scan(&mut file, content_type, Lengths::Ignored)?;
    }
    let header = match find(&scan, "header").filter(|part| part.complete && part.length <= MAX_HEADER) {
        Some(part) => Some(Header::parse(&content(&mut file, part, MAX_HEADER)?)),
        None => None,
    };
    let chat = match find(&scan, "chat_history") {
        Some(part) => {
            let mut chat = chat_history::parse(&content(&mut file, part, MAX_CHAT)?);
            chat.damaged |= !part.complete || part.length > MAX_CHAT;
            Some(chat)
        }
        None => None,
    };
    let sound = match find(&scan, "audio").filter(|part| part.length > 0) {
        Some(part) => Some(sound(&mut file, part)?),
        None => None,
    };
    Ok(Body { closed: scan.closed, header, chat, sound })
}

/// The header of a spooled body, if it came whole and can be read.
pub fn read_header(path: &Path, content_type: &str) -> io::Result<Option<Header>> {
    header_of(&mut File::open(path)?, content_type)
}

/// The header of a body of which this is the beginning, if it lies there and can be read.
pub fn header_of(body: &mut (impl Read + Seek), content_type: &str) -> io::Result<Option<Header>> {
    let scan = scan(body, content_type, Lengths::Believed)?;
    let Some(part) = find(&scan, "header").filter(|part| part.complete && part.length <= MAX_HEADER) else {
        return Ok(None);
    };
    Ok(Header::parse(&content(body, part, MAX_HEADER)?).ok())
}

/// The part with that name; of several the first whole one.
fn find<'s>(scan: &'s Scan, name: &str) -> Option<&'s Part> {
    let named = || scan.parts.iter().filter(|part| part.name == name);
    named().find(|part| part.complete).or_else(|| named().next())
}

fn scan(file: &mut (impl Read + Seek), content_type: &str, lengths: Lengths) -> io::Result<Scan> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut scanner = Scanner::new(content_type, lengths);
    let mut buffer = vec![0; PIECE];
    let mut at = file.seek(SeekFrom::Start(0))?;
    while at < size {
        let skip = scanner.skippable().min(size - at);
        if skip > 0 {
            scanner.skip(skip);
            at = file.seek(SeekFrom::Start(at + skip))?;
        }
        // Behind content that was skipped a short look is enough; elsewhere more is read at once.
        let wanted = if lengths == Lengths::Believed { 16 << 10 } else { PIECE };
        let count = file.read(&mut buffer[..wanted])?;
        if count == 0 {
            break;
        }
        scanner.push(&buffer[..count]);
        at += count as u64;
        at = file.seek(SeekFrom::Start(at))?;
    }
    Ok(scanner.finish())
}

fn content(file: &mut (impl Read + Seek), part: &Part, limit: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(part.offset))?;
    let mut bytes = Vec::new();
    file.take(part.length.min(limit)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn sound(file: &mut File, part: &Part) -> io::Result<Sound> {
    file.seek(SeekFrom::Start(part.offset))?;
    let mut reader = file.take(part.length);
    let mut builder = IndexBuilder::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        builder.push(&buffer[..count]);
    }
    Ok(Sound { offset: part.offset, length: part.length, index: builder.finish() })
}
