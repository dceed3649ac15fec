//! Reads media playlists that somebody else wrote, LiveKit's Egress above all (RFC 8216, section 4).
//!
//! What stands in a playlist is an announcement: a segment may be missing, and its length wrong. Lengths are those of the segments
//! themselves (`ts::read`); a playlist says which segments there are, in which order, and when they were spoken.

use std::borrow::Cow;

/// The longest playlist that is read, in bytes: a day in segments of a second takes 9 MB.
pub const LONGEST: usize = 16 << 20;
/// The most segments that are read.
pub const MOST_SEGMENTS: usize = 100_000;
/// The longest key of an object, in bytes (Amazon S3, "Object key naming guidelines").
const LONGEST_KEY: usize = 1024;
/// The longest EXTINF and target duration that are believed, in seconds: a day.
const LONGEST_DURATION: u64 = 86_400;
/// Ticks of 90 kHz in a second.
const TICKS: u64 = 90_000;

/// Why a text is not read as a media playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not begin with EXTM3U (section 4.3.1.1).
    #[error("this is not a playlist: it does not begin with #EXTM3U")]
    NotAPlaylist,
    /// It lists other playlists (section 4.3.4).
    #[error("this is a multivariant playlist, which lists playlists and not segments")]
    Multivariant,
    /// It is longer than [`LONGEST`] bytes.
    #[error("the playlist has more than {LONGEST} bytes")]
    TooLong,
    /// It lists more than [`MOST_SEGMENTS`] segments.
    #[error("the playlist lists more than {MOST_SEGMENTS} segments")]
    TooManySegments,
    /// Its segments are not whole files of MPEG-TS: this tag says that they are encrypted, parts of files, or need an init section.
    #[error("the playlist has {0}, so that its segments are not whole files of MPEG-TS")]
    Unsupported(&'static str),
}

/// A media playlist, as far as it came whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Playlist {
    /// Its segments, in order.
    pub segments: Vec<Segment>,
    /// The number of its first segment (EXT-X-MEDIA-SEQUENCE, section 4.3.3.2): more than zero when earlier segments are not listed
    /// any more.
    pub media_sequence: u64,
    /// The EXT-X-TARGETDURATION (section 4.3.3.1) that it declares, in seconds; `None` when there is none up to a day. LiveKit's
    /// may be less than the length of a segment.
    pub target_seconds: Option<u64>,
    /// Whether it has EXT-X-ENDLIST (section 4.3.3.4): no segment comes any more.
    pub is_ended: bool,
    /// Whether it breaks off in the middle of a line or of a segment's lines. What came whole is there.
    pub is_cut: bool,
}

/// What a playlist says about a segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// Its address as it is written: LiveKit writes the bare name of a file, without any escaping.
    pub name: String,
    /// The length that EXTINF says (section 4.3.2.1), to the nearest tick of 90 kHz; `None` when it says none up to a day.
    pub ticks: Option<u64>,
    /// The wall-clock time of its first sample (EXT-X-PROGRAM-DATE-TIME, section 4.3.2.6), in milliseconds since the Unix epoch, rounded
    /// down; `None` when there is none that can be read.
    pub wall_millis: Option<i64>,
    /// Whether an EXT-X-DISCONTINUITY (section 4.3.2.3) stands before it.
    pub discontinuity: bool,
}

impl Segment {
    /// The key of the segment's object, beside the playlist with the key `playlist` or in a folder below it. `None` when its address
    /// leads anywhere else (another server, an absolute path, `..`) or is no key.
    pub fn key(&self, playlist: &str) -> Option<String> {
        let is_usual = |part: &str| !matches!(part, "" | "." | "..");
        let is_address = self.name.contains("://") || self.name.contains(['\\', '?', '#']);
        if is_address || !self.name.split('/').all(is_usual) || self.name.contains(char::is_control) {
            return None;
        }
        let folder = playlist.rfind('/').map_or("", |end| &playlist[..=end]);
        Some(format!("{folder}{}", self.name)).filter(|key| key.len() <= LONGEST_KEY)
    }
}

/// Reads a media playlist. Tags that are not known, or not needed, are ignored, as are those whose value cannot be read; what is not
/// UTF-8 becomes U+FFFD. A last line without a line break counts as cut off, unless it is EXT-X-ENDLIST.
pub fn media(bytes: &[u8]) -> Result<Playlist, Error> {
    if bytes.len() > LONGEST {
        return Err(Error::TooLong);
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').map(line);
    if lines.next().is_none_or(|first| first.text.trim_end() != "#EXTM3U") {
        return Err(Error::NotAPlaylist);
    }
    let (mut playlist, mut next) = (Playlist::default(), Pending::default());
    for line in lines {
        if !line.is_whole && line.text.trim_end() != "#EXT-X-ENDLIST" {
            playlist.is_cut = true;
            break;
        }
        read_line(line.text.trim_end_matches(['\r', '\n']), &mut playlist, &mut next)?;
    }
    playlist.is_cut |= next.has_begun;
    Ok(playlist)
}

/// A line, and whether a line break ends it.
struct Line<'a> {
    text: Cow<'a, str>,
    is_whole: bool,
}

fn line(bytes: &[u8]) -> Line<'_> {
    Line { text: String::from_utf8_lossy(bytes), is_whole: bytes.ends_with(b"\n") }
}

/// What the lines before a segment's address say about it.
#[derive(Default)]
struct Pending {
    segment: Segment,
    has_begun: bool,
}

fn read_line(line: &str, playlist: &mut Playlist, next: &mut Pending) -> Result<(), Error> {
    if line.trim().is_empty() {
        return Ok(());
    }
    if !line.starts_with('#') {
        if playlist.segments.len() == MOST_SEGMENTS {
            return Err(Error::TooManySegments);
        }
        let segment = std::mem::take(next).segment;
        playlist.segments.push(Segment { name: line.to_owned(), ..segment });
        return Ok(());
    }
    let (tag, value) = line.split_once(':').unwrap_or((line, ""));
    let tag = tag.trim_end();
    match tag {
        "#EXTINF" => next.segment.ticks = ticks(value),
        "#EXT-X-PROGRAM-DATE-TIME" => next.segment.wall_millis = wall_millis(value),
        "#EXT-X-DISCONTINUITY" => next.segment.discontinuity = true,
        "#EXT-X-ENDLIST" => playlist.is_ended = true,
        "#EXT-X-TARGETDURATION" => playlist.target_seconds = seconds(value),
        "#EXT-X-MEDIA-SEQUENCE" => playlist.media_sequence = value.trim().parse().unwrap_or(0),
        "#EXT-X-STREAM-INF" | "#EXT-X-I-FRAME-STREAM-INF" | "#EXT-X-MEDIA" => return Err(Error::Multivariant),
        "#EXT-X-BYTERANGE" => return Err(Error::Unsupported("EXT-X-BYTERANGE")),
        "#EXT-X-MAP" => return Err(Error::Unsupported("EXT-X-MAP")),
        "#EXT-X-KEY" if !value.split(',').any(|part| part.trim() == "METHOD=NONE") => {
            return Err(Error::Unsupported("EXT-X-KEY"));
        }
        _ => {}
    }
    next.has_begun |= matches!(tag, "#EXTINF" | "#EXT-X-PROGRAM-DATE-TIME" | "#EXT-X-DISCONTINUITY");
    Ok(())
}

/// A target duration: a decimal integer, though some write a fraction, of which the whole seconds count.
fn seconds(value: &str) -> Option<u64> {
    let whole = value.trim().split('.').next()?;
    whole.parse().ok().filter(|seconds| *seconds <= LONGEST_DURATION)
}

/// The duration of an EXTINF (`4.003,title`), to the nearest tick. Decimals beyond the ninth do not count.
fn ticks(value: &str) -> Option<u64> {
    let number = value.split(',').next()?.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !(whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let digit = |place: usize| fraction.as_bytes().get(place).map_or(0, |digit| u64::from(digit - b'0'));
    let nanos = (0..9).fold(0, |nanos, place| nanos * 10 + digit(place));
    (whole < LONGEST_DURATION).then(|| whole * TICKS + (nanos * TICKS + 500_000_000) / 1_000_000_000)
}

/// A date (ISO 8601 with its offset from UTC), in milliseconds since the Unix epoch.
fn wall_millis(value: &str) -> Option<i64> {
    let date: jiff::Timestamp = value.trim().parse().ok()?;
    i64::try_from(date.as_nanosecond().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests;
