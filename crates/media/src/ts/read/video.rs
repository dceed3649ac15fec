//! What a stream of H.264 has in it.

use super::pes::Stream;
use super::problem::{Kind, Problems};
use super::timing::{Timing, difference};
use crate::h264::{self, Parameters};

/// A stream of H.264.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Video {
    /// When its first picture is shown, and until when its last one is: as long as the others are on average. Of a single picture the
    /// length is 0.
    pub timing: Timing,
    /// The PTS of the picture that is shown last.
    pub last: u64,
    /// Its pictures, one in each PES packet that has a time.
    pub pictures: u64,
    /// What its first sequence parameter set says.
    pub parameters: Option<Parameters>,
    /// Whether its first picture can be decoded by itself (an IDR picture).
    pub begins_with_key_frame: bool,
}

/// Reads a stream; `None` when nothing in it has a time.
pub fn read(stream: &Stream<'_>, pid: u16, problems: &mut Problems) -> Option<Video> {
    let mut times = stream.units.iter().filter_map(|unit| Some((unit.packet, unit.pts?, unit.dts?)));
    let (_, origin, mut decoded) = times.next()?;
    let (mut first, mut last, mut pictures) = (0, 0, 1);
    for (packet, pts, dts) in times {
        let at = difference(pts, origin);
        (first, last, pictures) = (at.min(first), at.max(last), pictures + 1);
        if difference(dts, decoded) < 0 {
            problems.add(packet, Kind::TimeGoesBack(pid));
        }
        decoded = dts;
    }
    let span = (last - first).cast_unsigned();
    let ticks = if pictures > 1 { span + span / (pictures - 1) } else { 0 };
    let pts = |at: i64| origin.wrapping_add_signed(at) & super::super::PTS_MASK;
    let second = stream.units.get(1).map_or(stream.bytes.len(), |unit| unit.at);
    Some(Video {
        timing: Timing { start: pts(first), ticks },
        last: pts(last),
        pictures,
        parameters: parameters(stream, problems),
        begins_with_key_frame: h264::units(&stream.bytes[..second]).any(|(_, unit)| h264::is_key(unit)),
    })
}

/// The first parameters; where they change, and that there are none, are problems.
fn parameters(stream: &Stream<'_>, problems: &mut Problems) -> Option<Parameters> {
    let mut first = None;
    for (at, unit) in h264::units(&stream.bytes) {
        let Some(parameters) = Parameters::parse(unit) else { continue };
        if *first.get_or_insert(parameters) != parameters {
            let begun = stream.units.partition_point(|unit| unit.at <= at);
            problems.add(stream.units[..begun].last().map_or(0, |unit| unit.packet), Kind::PicturesChange);
        }
    }
    if first.is_none() {
        problems.add(stream.units.first().map_or(0, |unit| unit.packet), Kind::NoParameters);
    }
    first
}
