//! Reads segments that somebody else wrote: what is in them, how long they are, and what is wrong with them (ISO/IEC 13818-1, and
//! RFC 8216, section 3.2).
//!
//! A segment is read by itself, as HLS has it: its continuity counters begin anywhere. Whether it follows the one before is said by
//! [`Timing::gap_to`].

mod audio;
mod packet;
mod pes;
mod problem;
mod section;
mod timing;
mod video;

pub use audio::{Audio, TOLERANCE};
pub use problem::{Kind, MOST_PROBLEMS, Problem};
pub use timing::Timing;
pub use video::Video;

use packet::{Packet, Piece};
use problem::Problems;
use section::{Announced, Assembler, Program};

use super::STREAM_TYPE_ADTS;

/// H.264 (table 2-34).
const STREAM_TYPE_H264: u8 = 0x1b;
/// The PID of the PAT.
const PAT_PID: u16 = 0;

/// Why nothing of a segment can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no bytes.
    #[error("the segment is empty")]
    Empty,
    /// It has no packet of 188 bytes.
    #[error("this is not MPEG-TS: it has no packet")]
    NotTransportStream,
    /// No undamaged PAT names a program.
    #[error("the segment has no program (PAT)")]
    NoProgram,
    /// No undamaged PMT describes the program.
    #[error("the segment does not say which streams it has (PMT)")]
    NoStreams,
    /// There is no whole frame of AAC and no picture of H.264 that has a time.
    #[error("the segment has neither AAC nor H.264 that can be played")]
    NothingToPlay,
}

/// What a segment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// When it begins and how long it is: that of its pictures, at which a segment with pictures is cut; else that of its sound.
    pub timing: Timing,
    /// Its streams, in the order of the PMT.
    pub streams: Vec<Stream>,
    /// What is wrong with it, at most [`MOST_PROBLEMS`]: of the packets first, then of each stream.
    pub problems: Vec<Problem>,
}

/// A stream of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Its PID.
    pub pid: u16,
    /// Its type (table 2-34).
    pub stream_type: u8,
    /// What is in it.
    pub content: Content,
}

/// What is in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// AAC in ADTS.
    Aac(Audio),
    /// H.264.
    H264(Video),
    /// AAC or H.264 of which nothing can be played.
    Nothing,
    /// Something else, which was not read.
    Other,
}

impl Stream {
    /// The name of its type.
    pub fn name(&self) -> &'static str {
        match self.stream_type {
            0x01 => "MPEG-1 video",
            0x02 => "MPEG-2 video",
            0x03 | 0x04 => "MPEG audio",
            0x06 => "private data",
            STREAM_TYPE_ADTS => "AAC",
            0x11 => "AAC in LATM",
            0x15 => "metadata",
            STREAM_TYPE_H264 => "H.264",
            0x24 => "H.265",
            0x81 => "AC-3",
            _ => "unknown",
        }
    }
}

impl Segment {
    /// Its sound: that of the first stream of AAC.
    pub fn audio(&self) -> Option<&Audio> {
        self.streams
            .iter()
            .find_map(|stream| if let Content::Aac(audio) = &stream.content { Some(audio) } else { None })
    }

    /// Its pictures: those of the first stream of H.264.
    pub fn video(&self) -> Option<&Video> {
        self.streams
            .iter()
            .find_map(|stream| if let Content::H264(video) = &stream.content { Some(video) } else { None })
    }

    /// What a playlist says in CODECS (RFC 8216, section 4.3.4.2; RFC 6381): `avc1.4d401f,mp4a.40.2`. HE-AAC is taken for AAC-LC, which
    /// its ADTS headers say.
    pub fn codecs(&self) -> String {
        let video = self.video().and_then(|video| video.parameters).map(|parameters| parameters.codec());
        let audio = self.audio().map(|audio| format!("mp4a.40.{}", audio.format.object_type));
        video.into_iter().chain(audio).collect::<Vec<_>>().join(",")
    }

    /// The size in which its pictures are shown, in pixels: width and height.
    pub fn resolution(&self) -> Option<(u32, u32)> {
        self.video()?.parameters.map(|parameters| (parameters.width, parameters.height))
    }

    /// The channels of its sound.
    pub fn channels(&self) -> Option<u8> {
        self.audio()?.format.channels
    }
}

/// Reads a segment.
pub fn segment(bytes: &[u8]) -> Result<Segment, Error> {
    let Collected { streams, mut problems } = collect(bytes)?;
    let read = |(announced, stream): (Announced, pes::Stream<'_>)| {
        let Announced { pid, stream_type } = announced;
        let content = match stream_type {
            STREAM_TYPE_ADTS => audio::read(&stream, &mut problems).map(Content::Aac),
            STREAM_TYPE_H264 => video::read(&stream, pid, &mut problems).map(Content::H264),
            _ => Some(Content::Other),
        };
        if content.is_none() {
            problems.add(stream.units.first().map_or(0, |unit| unit.packet), Kind::NothingInStream(pid));
        }
        Stream { pid, stream_type, content: content.unwrap_or(Content::Nothing) }
    };
    let streams: Vec<Stream> = streams.into_iter().map(read).collect();
    let mut segment = Segment { timing: Timing { start: 0, ticks: 0 }, streams, problems: problems.0 };
    let (video, audio) = (segment.video().map(|video| video.timing), segment.audio().map(|audio| audio.timing));
    // Of a single picture nobody knows how long it is shown.
    segment.timing = video.filter(|timing| timing.ticks > 0).or(audio).or(video).ok_or(Error::NothingToPlay)?;
    Ok(segment)
}

/// The ADTS frames of a segment's first stream of AAC, one after another, as [`crate::aac::adts::pieces`] takes them.
pub fn adts(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let streams = collect(bytes)?.streams;
    let aac = streams.into_iter().find(|(announced, _)| announced.stream_type == STREAM_TYPE_ADTS);
    aac.map(|(_, stream)| stream.bytes).filter(|bytes| !bytes.is_empty()).ok_or(Error::NothingToPlay)
}

/// The bytes of all streams that are read.
struct Collected<'a> {
    streams: Vec<(Announced, pes::Stream<'a>)>,
    problems: Problems,
}

/// What the tables say.
struct Tables {
    program: Program,
    announced: Vec<Announced>,
    /// The packet in which the PMT ends.
    packet: usize,
}

fn collect(bytes: &[u8]) -> Result<Collected<'_>, Error> {
    let tables = tables(bytes)?;
    let streams = tables.announced.iter().map(|announced| (*announced, pes::Stream::new(announced.pid)));
    let mut collected = Collected { streams: streams.collect(), problems: Problems::default() };
    let Collected { streams, problems } = &mut collected;
    let (mut pat, mut pmt, mut is_early) = (Assembler::default(), Assembler::default(), false);
    for piece in packet::pieces(bytes) {
        let packet = match piece {
            Piece::Packet(packet) => packet,
            Piece::Damaged(number) => {
                problems.add(number, Kind::PacketDamaged);
                continue;
            }
            Piece::Lost { before, length } => {
                problems.add(before, Kind::OutOfSync(length));
                continue;
            }
            Piece::Cut { number, length } => {
                problems.add(number, Kind::PacketCut(length));
                continue;
            }
        };
        if packet.pid == PAT_PID {
            pat.push(&packet, &mut |section| check_pat(section, &packet, problems));
        } else if packet.pid == tables.program.pid {
            pmt.push(&packet, &mut |section| check_pmt(section, &packet, &tables, problems));
        } else if let Some((_, stream)) = streams.iter_mut().find(|(announced, _)| announced.pid == packet.pid) {
            if packet.number < tables.packet && !std::mem::replace(&mut is_early, true) {
                problems.add(packet.number, Kind::TablesLate);
            }
            stream.push(&packet, problems);
        }
    }
    for (_, stream) in streams.iter_mut() {
        stream.close(problems);
    }
    Ok(collected)
}

/// Finds the first PAT and its first program's first PMT.
fn tables(bytes: &[u8]) -> Result<Tables, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let (mut pat, mut pmt) = (Assembler::default(), Assembler::default());
    let (mut program, mut announced, mut error) = (None, None, Error::NotTransportStream);
    for piece in packet::pieces(bytes) {
        let Piece::Packet(packet) = piece else { continue };
        match program {
            None if packet.pid == PAT_PID => {
                pat.push(&packet, &mut |section| {
                    program = section.and_then(section::programs).and_then(|all| all.first().copied());
                });
            }
            Some(program) if program.pid == packet.pid => {
                pmt.push(&packet, &mut |section| {
                    announced = announced.take().or_else(|| section::streams(section?, program));
                });
            }
            _ => {}
        }
        error = if program.is_some() { Error::NoStreams } else { Error::NoProgram };
        if let (Some(program), Some(announced)) = (program, announced.take()) {
            return Ok(Tables { program, announced, packet: packet.number });
        }
    }
    Err(error)
}

fn check_pat(section: Option<&[u8]>, packet: &Packet<'_>, problems: &mut Problems) {
    match section {
        None => problems.add(packet.number, Kind::TableDamaged(PAT_PID)),
        Some(section) if section::programs(section).is_some_and(|all| all.len() > 1) => {
            problems.add(packet.number, Kind::SeveralPrograms);
        }
        Some(_) => {}
    }
}

fn check_pmt(section: Option<&[u8]>, packet: &Packet<'_>, tables: &Tables, problems: &mut Problems) {
    match section {
        None => problems.add(packet.number, Kind::TableDamaged(tables.program.pid)),
        Some(section) if section::streams(section, tables.program).is_some_and(|now| now != tables.announced) => {
            problems.add(packet.number, Kind::StreamsChange);
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests;
